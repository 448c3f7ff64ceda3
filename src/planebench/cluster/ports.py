"""Free ports on loopback, kept free until they are used."""

from __future__ import annotations

import socket

from planebench.components.layout import LOOPBACK


class Ports:
    """Ports that no other program is given as long as they are held.

    Each is bound, but not listened on. Linux then hands it out to nobody, while a program that asks for this very
    port with SO_REUSEADDR, as every Go program does, may listen on it.
    """

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self) -> int:
        """A free port of the system's choice."""
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, 0))
        self._held.append(holder)
        port: int = holder.getsockname()[1]
        return port

    def close(self) -> None:
        """Give all of them back."""
        for holder in self._held:
            holder.close()
        self._held.clear()
