"""Checkpoints of named clusters: a control plane's whole state in a folder, from which equal ones are started.

A checkpoint holds etcd's data folder, the authorities and the service accounts' keys, and what the cluster was
started with. etcd stands still for the moment in which its files are copied: they are then what a killed etcd
leaves, from which it starts by itself. Revisions go on where they were, in every cluster that is started from it;
no client of an earlier life can reach one of these, for each has ports of its own.

Source: https://etcd.io/docs/v3.6/op-guide/recovery/ says what may go wrong with revisions that go back.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from planebench import __version__
from planebench.cluster import named
from planebench.cluster.identities import LASTING
from planebench.cluster.named import NamedCluster, ServedConfig
from planebench.cluster.pki import make_private
from planebench.components import Layout
from planebench.kube.private import write_private
from planebench.model import ComponentError, PlanebenchError, UsageError

FORMAT: Final = 1
_FOLDER: Final = ".checkpoints"
"""Below the clusters' folder; no cluster can be called so."""
_RECORD: Final = "checkpoint.json"
_CHUNK_BYTES: Final = 1 << 20
_ETCD: Final = "etcd"
_STOP_S: Final = 10.0
_POLL_S: Final = 0.001

# Sends SIGCONT as soon as whoever holds the other end of its pipe is done, or is gone.
_WAKER: Final = """\
import os, signal, sys
sys.stdin.read()
try: os.kill(int(sys.argv[1]), signal.SIGCONT)
except ProcessLookupError: pass
"""


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a checkpoint."""

    path: str
    """Below the cluster's folder."""
    size_bytes: int
    sha256: str


class Checkpoint(msgspec.Struct, frozen=True):
    """What is known of a checkpoint, in ``checkpoint.json``."""

    format: int
    name: str
    cluster: str
    """The cluster that it was taken of."""
    plane: str
    planebench: str
    """The version that took it."""
    saved_wall_s: float
    pause_s: float
    """How long etcd stood still for it."""
    nodes: int
    pods: int
    served: ServedConfig
    files: list[StoredFile]

    @property
    def size_bytes(self) -> int:
        """Of its files; etcd sets space aside, so that less of it is on disk."""
        return sum(file.size_bytes for file in self.files)

    @property
    def sha256(self) -> str:
        """Of its files' digests: another one of the same name has another."""
        digests = "".join(f"{file.sha256} {file.path}\n" for file in self.files)
        return hashlib.sha256(digests.encode()).hexdigest()


def folder_of(name: str) -> Path:
    """A checkpoint's folder. Raises UsageError for a name that is none."""
    named.demand_name(name, "checkpoint")
    return named.state_folder() / _FOLDER / name


def all_checkpoints() -> list[Checkpoint]:
    """All of them, by name. Raises UsageError where one cannot be read."""
    root = named.state_folder() / _FOLDER
    records = sorted(root.glob(f"*/{_RECORD}")) if root.is_dir() else []
    return [_read(record) for record in records]


def get(name: str) -> Checkpoint:
    """A checkpoint. Raises UsageError where there is none, it is damaged, or a newer planebench has written it."""
    record = folder_of(name) / _RECORD
    if not record.exists():
        known = ", ".join(item.name for item in all_checkpoints()) or "none"
        raise UsageError(f"there is no checkpoint {name!r}; there are: {known}")
    return _read(record)


def remove(name: str) -> None:
    """Remove a checkpoint, whole or damaged. Raises UsageError where there is none."""
    folder = folder_of(name)
    if not folder.exists():
        get(name)
    shutil.rmtree(folder)
    _remove_last(folder.parent)


def _remove_last(folder: Path) -> None:
    """The folder of all checkpoints, where it is empty."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def demand_free(name: str) -> None:
    """Raises UsageError where there is a checkpoint of that name."""
    if (folder_of(name) / _RECORD).exists():
        raise UsageError(f"checkpoint {name!r} is there already; `planebench checkpoint rm {name}` removes it")


def save(name: str, cluster: NamedCluster, *, nodes: int, pods: int) -> Checkpoint:
    """Take a checkpoint of a cluster that is up, which goes on.

    Args:
        nodes: how many it has, for :func:`all_checkpoints`; ``pods`` likewise.

    Raises:
        UsageError: there is one of that name, or the cluster has several members of etcd.
        PlanebenchError: the files could not be copied; nothing is left.
    """
    demand_free(name)
    members = [process for process in cluster.processes if process.component == _ETCD]
    if len(members) != 1:
        raise UsageError(
            f"cluster {cluster.record.name!r} has {len(members)} members of etcd: checkpoints can be taken where "
            "there is one"
        )
    folder = folder_of(name)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)  # of a save that was cut off
    source, kept = named.layout(named.folder_of(cluster.record.name)), Layout(folder)
    try:
        for item in LASTING:
            _copy(source.pki / item, kept.pki / item)
        with _standing_still(members[0].pid):
            begun_s = time.monotonic()
            _copy_tree(source.etcd_data, kept.etcd_data)
            pause_s = time.monotonic() - begun_s
        record = Checkpoint(
            format=FORMAT,
            name=name,
            cluster=cluster.record.name,
            plane=cluster.record.plane,
            planebench=__version__,
            saved_wall_s=time.time(),
            pause_s=round(pause_s, 3),
            nodes=nodes,
            pods=pods,
            served=named.read_config(named.folder_of(cluster.record.name)),
            files=[StoredFile(str(file.relative_to(folder)), *_digest(file)) for file in _files(folder)],
        )
        # Without its record it is none.
        write_private(folder / _RECORD, msgspec.json.format(msgspec.json.encode(record)))
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        _remove_last(folder.parent)
        if isinstance(error, OSError):
            raise PlanebenchError(f"checkpoint {name!r}: {error.filename}: {error.strerror}") from None
        raise
    return record


def demand_whole(checkpoint: Checkpoint) -> None:
    """Raises UsageError where a file is damaged, or an authority's certificate has run out."""
    folder = folder_of(checkpoint.name)
    spoilt = f"`planebench checkpoint rm {checkpoint.name}` removes it"
    for stored in checkpoint.files:
        try:
            found = _digest(folder / stored.path)
        except OSError as error:
            raise UsageError(
                f"checkpoint {checkpoint.name!r} is damaged: {stored.path}: {error.strerror}; {spoilt}"
            ) from None
        if found != (stored.size_bytes, stored.sha256):
            raise UsageError(
                f"checkpoint {checkpoint.name!r} is damaged: {stored.path} is not what was saved; {spoilt}"
            )
    authority = x509.load_pem_x509_certificate(Layout(folder).ca.read_bytes())
    if authority.not_valid_after_utc < datetime.datetime.now(datetime.UTC):
        raise UsageError(f"checkpoint {checkpoint.name!r}: its certificate authority is too old; {spoilt}")


def demand_usable(checkpoint: Checkpoint) -> None:
    """Raises UsageError where it is not whole, or a binary that its cluster was made of is gone."""
    demand_whole(checkpoint)
    for component, binary in checkpoint.served.config["binaries"].items():
        if not os.access(binary, os.X_OK):
            version = checkpoint.served.versions.get(component, "")
            raise UsageError(
                f"checkpoint {checkpoint.name!r}: {component} {version} is not at {binary} any more; "
                "`planebench components build` gets what planebench provides"
            )


def served(checkpoint: Checkpoint, cluster: str) -> ServedConfig:
    """What a keeper is to start, under another name or the old one."""
    found = checkpoint.served
    return ServedConfig(cluster, found.plane, {**found.config, "restored": True}, found.versions)


def place(checkpoint: Checkpoint, layout: Layout) -> None:
    """Put a checkpoint's files into a new cluster's folder. Raises PlanebenchError."""
    folder = folder_of(checkpoint.name)
    try:
        for stored in checkpoint.files:
            _copy(folder / stored.path, layout.folder / stored.path)
    except OSError as error:
        raise PlanebenchError(f"checkpoint {checkpoint.name!r}: {error.filename}: {error.strerror}") from None


@contextlib.contextmanager
def _standing_still(pid: int) -> Iterator[None]:
    """A process does nothing meanwhile. It goes on even where this one is killed."""
    waker = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WAKER, str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is not for it
    )
    assert waker.stdin is not None  # noqa: S101 (it is a pipe)
    try:
        os.kill(pid, signal.SIGSTOP)
        _wait_stopped(pid)
        yield
    except ProcessLookupError:
        raise ComponentError("etcd has ended", component=_ETCD) from None
    finally:
        waker.stdin.close()
        waker.wait()


def _wait_stopped(pid: int) -> None:
    """Threads finish the system call that they are in, such as a write, before they stop."""
    until_s = time.monotonic() + _STOP_S
    while any(
        # The state follows the program's name in brackets, which may hold anything.
        task.read_text().rpartition(")")[2].split()[0] not in "Tt"
        for task in Path(f"/proc/{pid}/task").glob("*/stat")
    ):
        if time.monotonic() > until_s:
            raise ComponentError(f"etcd did not stand still within {_STOP_S:g} s", component=_ETCD)
        time.sleep(_POLL_S)


def _copy_tree(source: Path, target: Path) -> None:
    for file in _files(source):
        if file.suffix != ".tmp":  # a segment of the log that etcd has only set aside
            _copy(file, target / file.relative_to(source))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _copy(source: Path, target: Path) -> None:
    """A copy for the owner's eyes only, without the zeros that etcd sets aside at the end of a file."""
    make_private(target.parent)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as content, os.fdopen(descriptor, "wb") as copy:
        while chunk := content.read(_CHUNK_BYTES):
            if chunk.count(0) == len(chunk):
                copy.seek(len(chunk), os.SEEK_CUR)
            else:
                copy.write(chunk)
        copy.truncate()


def _digest(file: Path) -> tuple[int, str]:
    """Size in bytes, and SHA-256."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
        return content.tell(), found


def _read(record: Path) -> Checkpoint:
    name = record.parent.name
    try:
        content = record.read_bytes()
        written = msgspec.json.decode(content, type=_Versioned).format
        if written > FORMAT:
            raise UsageError(
                f"checkpoint {name!r} is of a newer planebench (format {written}, not {FORMAT}); upgrade"
            )
        return msgspec.json.decode(content, type=Checkpoint)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"checkpoint {name!r} is damaged ({_RECORD}: {error}); `planebench checkpoint rm {name}` removes it"
        ) from None


class _Versioned(msgspec.Struct):
    format: int
