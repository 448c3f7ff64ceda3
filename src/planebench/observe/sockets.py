"""The kernel's own count of what each TCP connection has carried (sock_diag(7), tcp(7): tcp_info).

Read from netlink directly: general libraries decode all of tcp_info's fields for every socket, which at some
hundred connections and once a second costs more than the load engine.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2
_INFO: Final = 2  # INET_DIAG_INFO
_ESTABLISHED, _LISTEN = 1, 10
_STATES: Final = sum(1 << state for state in (_ESTABLISHED, 4, 5, 8, 9, _LISTEN))
"""Connections of which both ends, or one, still have something to say: no TIME_WAIT, no SYN."""

_HEADER: Final = struct.Struct("=IHHII")
_DIAG_REQUEST: Final = struct.Struct("=BBBxI48x")
_ID_PORTS: Final = struct.Struct("!HH")
_ATTRIBUTE: Final = struct.Struct("=HH")
_BYTES: Final = struct.Struct("=QQ")
_MESSAGE_BYTES: Final = 72
"""struct inet_diag_msg (linux/inet_diag.h)."""
_INODE_AT: Final = 68
_BYTES_AT: Final = 120
"""tcpi_bytes_acked and tcpi_bytes_received in struct tcp_info (linux/tcp.h), since Linux 4.1."""


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """One end of a connection, or a listening socket."""

    inode: int
    listening: bool
    local_port: int
    peer_port: int
    sent_bytes: int
    """Acknowledged by the peer: TLS records, without TCP's own headers."""
    received_bytes: int


def tcp_sockets() -> list[TcpSocket]:
    """All of this network namespace, IPv4.

    Raises:
        OSError: this system has no sock_diag.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
        netlink.settimeout(1.0)
        body = _DIAG_REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 1 << (_INFO - 1), _STATES)
        netlink.send(_HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + body)
        found: list[TcpSocket] = []
        while True:
            for kind, message in _messages(netlink.recv(1 << 18)):
                if kind == _DONE:
                    return found
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", message)[0], "sock_diag")
                found.append(_parse(message))


def _messages(data: bytes) -> Iterator[tuple[int, memoryview]]:
    view, position = memoryview(data), 0
    while position + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, position)
        if length < _HEADER.size:
            return
        yield kind, view[position + _HEADER.size : position + length]
        position += (length + 3) & ~3


def _parse(message: memoryview) -> TcpSocket:
    local_port, peer_port = _ID_PORTS.unpack_from(message, 4)
    (inode,) = struct.unpack_from("=I", message, _INODE_AT)
    sent = received = 0
    position = _MESSAGE_BYTES
    while position + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, position)
        if length < _ATTRIBUTE.size:
            break
        if kind == _INFO and length >= _ATTRIBUTE.size + _BYTES_AT + _BYTES.size:
            sent, received = _BYTES.unpack_from(message, position + _ATTRIBUTE.size + _BYTES_AT)
        position += (length + 3) & ~3
    return TcpSocket(inode, message[1] == _LISTEN, local_port, peer_port, sent, received)
