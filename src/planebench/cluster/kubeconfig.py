"""Kubeconfig files with certificates in them, so that they can be copied."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from planebench.cluster.pki import write_secret
from planebench.model import Access


def write(file: Path, access: Access, name: str) -> Path:
    """A kubeconfig for one user of one cluster, for the owner's eyes only; JSON is YAML, too."""
    identity = access.identity
    assert identity is not None and access.ca is not None  # noqa: S101 (planebench's own clusters have both)
    user = identity.user
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": access.url, "certificate-authority-data": _encoded(access.ca)}}
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _encoded(identity.certificate),
                    "client-key-data": _encoded(identity.key),
                },
            }
        ],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "current-context": name,
    }
    write_secret(file, json.dumps(content, indent=2).encode())
    return file


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()
