"""What the processes of a run have sent to each other, as their clients' ends of the connections count it."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TextIO

from planebench.model import ComponentProcess
from planebench.observe.sockets import TcpSocket, tcp_sockets

COLUMNS: Final = ("t_ns", "process", "component", "role", "peer", "sent_bytes", "received_bytes")
"""Bytes are cumulative: what TCP carried for a process's connections to a peer, a component, TLS included."""

_Link = tuple[str, str]
"""A client's process, and the process that listens."""


class TrafficSampler:
    """Writes a row for each pair of processes at each :meth:`sample`; close it at the end.

    A connection that ends between two samples counts as far as the last one has seen it. Where the kernel does not
    tell, the file has no rows.
    """

    def __init__(self, processes: Callable[[], Sequence[ComponentProcess]], path: Path, t0_ns: int) -> None:
        self._processes = processes
        self._t0_ns = t0_ns
        self._file: TextIO = path.open("w", newline="")
        self._rows = csv.writer(self._file)
        self._rows.writerow(COLUMNS)
        self._owners: dict[int, str] = {}
        """inode -> process; "" stands for one that is not of the run."""
        self._links: dict[int, _Link] = {}
        self._open: dict[int, tuple[int, int]] = {}
        self._ended: dict[_Link, tuple[int, int]] = {}

    def sample(self) -> None:
        try:
            sockets = tcp_sockets()
        except OSError:
            return
        now_ns = time.monotonic_ns() - self._t0_ns
        processes = {process.name: process for process in self._processes()}
        self._learn(sockets, processes)
        self._end(sockets)
        for (name, peer), (sent, received) in sorted(self._totals().items()):
            process, server = processes.get(name), processes.get(peer)
            if process is not None and server is not None:
                row = [now_ns, name, process.component, process.role, server.component, sent, received]
                self._rows.writerow(row)
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _learn(self, sockets: Sequence[TcpSocket], processes: dict[str, ComponentProcess]) -> None:
        """Whose the sockets are, and what the clients' ends have carried until now."""
        if any(socket.inode not in self._owners for socket in sockets):
            found = {inode: process.name for process in processes.values() for inode in _inodes(process.pid)}
            self._owners = {socket.inode: found.get(socket.inode, "") for socket in sockets}
        listeners = {socket.local_port: self._owners[socket.inode] for socket in sockets if socket.listening}
        for socket in sockets:
            owner, peer = self._owners[socket.inode], listeners.get(socket.peer_port, "")
            if owner and peer and not socket.listening and socket.local_port not in listeners:
                self._links[socket.inode] = (owner, peer)
            if socket.inode in self._links:
                self._open[socket.inode] = (socket.sent_bytes, socket.received_bytes)

    def _end(self, sockets: Sequence[TcpSocket]) -> None:
        for inode in self._open.keys() - {socket.inode for socket in sockets}:
            self._ended[self._links[inode]] = _add(self._ended.get(self._links[inode]), self._open.pop(inode))
            del self._links[inode]

    def _totals(self) -> dict[_Link, tuple[int, int]]:
        totals = dict(self._ended)
        for inode, carried in self._open.items():
            totals[self._links[inode]] = _add(totals.get(self._links[inode]), carried)
        return totals


def _add(one: tuple[int, int] | None, other: tuple[int, int]) -> tuple[int, int]:
    return other if one is None else (one[0] + other[0], one[1] + other[1])


def _inodes(pid: int) -> list[int]:
    """Of a process's sockets (proc(5))."""
    inodes = []
    try:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(file.readlink())
            except OSError:  # closed meanwhile
                continue
            if target.startswith("socket:["):
                inodes.append(int(target[8:-1]))
    except OSError:
        return inodes  # it has ended: its supervisor tells
    return inodes
