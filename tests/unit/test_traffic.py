"""What processes have sent to each other, by the kernel's own count."""

from __future__ import annotations

import csv
import os
import socket
from pathlib import Path

import pytest

from planebench.model import ComponentProcess, Role
from planebench.observe import traffic
from planebench.observe.sockets import TcpSocket, tcp_sockets
from planebench.observe.traffic import TrafficSampler


def process(name: str, role: Role, pid: int) -> ComponentProcess:
    return ComponentProcess(name, name, role, pid, (), Path())


def test_the_kernel_counts_both_directions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as server:
            client.sendall(b"x" * 1000)
            received = 0
            while received < 1000:
                received += len(server.recv(1000))
            server.sendall(b"y" * 70)
            assert client.recv(70, socket.MSG_WAITALL) == b"y" * 70
            found = {one.inode: one for one in tcp_sockets()}
            ours = found[os.fstat(client.fileno()).st_ino]
            theirs = found[os.fstat(server.fileno()).st_ino]
            assert found[os.fstat(listener.fileno()).st_ino].listening
    assert (ours.peer_port, ours.received_bytes) == (port, 70)
    assert (theirs.local_port, theirs.received_bytes) == (port, 1000)
    assert ours.sent_bytes in (1000, 1001), "the handshake's SYN may count as a byte"
    assert theirs.sent_bytes in (70, 71)


CLIENT, SERVER = 11, 22
LISTENER = TcpSocket(1, True, 6443, 0, 0, 0)


def ends(inode: int, port: int, sent: int, received: int) -> list[TcpSocket]:
    return [
        TcpSocket(inode, False, port, 6443, sent, received),
        TcpSocket(inode + 1000, False, 6443, port, received, sent),
    ]


def test_a_connection_that_ends_keeps_its_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inodes = {CLIENT: [10, 20], SERVER: [1, 1010, 1020]}
    rounds = [
        [LISTENER, *ends(10, 5000, 100, 1000), *ends(30, 7000, 9, 9)],  # the last one is a stranger's
        [LISTENER, *ends(10, 5000, 150, 1500), *ends(20, 5001, 10, 20)],
        [LISTENER, *ends(20, 5001, 11, 22)],
    ]
    monkeypatch.setattr(traffic, "tcp_sockets", lambda: rounds.pop(0))
    monkeypatch.setattr(traffic, "_inodes", lambda pid: inodes[pid])
    processes = [process("kwok", Role.SIMULATOR, CLIENT), process("kube-apiserver", Role.SUBJECT, SERVER)]
    sampler = TrafficSampler(lambda: processes, tmp_path / "traffic.csv", 0)
    for _ in range(3):
        sampler.sample()
    sampler.close()
    with (tmp_path / "traffic.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["process"], row["role"], row["peer"]) for row in rows] == [
        ("kwok", "simulator", "kube-apiserver")
    ] * 3
    assert [(row["sent_bytes"], row["received_bytes"]) for row in rows] == [
        ("100", "1000"),
        ("160", "1520"),
        ("161", "1522"),
    ]


def test_where_the_kernel_does_not_tell_there_are_no_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> list[TcpSocket]:
        raise OSError("no sock_diag")

    monkeypatch.setattr(traffic, "tcp_sockets", refused)
    sampler = TrafficSampler(list, tmp_path / "traffic.csv", 0)
    sampler.sample()
    sampler.close()
    assert len((tmp_path / "traffic.csv").read_text().splitlines()) == 1
