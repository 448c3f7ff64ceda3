"""TLS towards API servers: whom to trust and what to show, as client-go takes it."""

from __future__ import annotations

import ssl

from planebench.model import Access


def context(access: Access) -> ssl.SSLContext:
    """A context for connections to an API server.

    What client-go accepts, this does too: an authority that is no root, and certificates of old clusters that
    miss extensions which Python wants since 3.13.

    Raises:
        OSError: a certificate or key is missing or unusable, or the key is encrypted.
    """
    found = ssl.create_default_context(cafile=access.ca)
    found.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    found.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not access.verified:
        found.check_hostname = False
        found.verify_mode = ssl.CERT_NONE
    if access.identity is not None:
        # Without a password of ours, OpenSSL would ask for one at the terminal.
        found.load_cert_chain(access.identity.certificate, access.identity.key, password="")
    return found
