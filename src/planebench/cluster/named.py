"""Clusters that go on by themselves: each in a folder of its own, kept by a process of its own.

The keeper (:mod:`planebench.cluster.keeper`) starts the control plane, writes ``cluster.json`` and waits. It is
the parent of all components, so that they end with it, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import platformdirs
import psutil

from planebench.cluster.local import ClusterConfig
from planebench.cluster.process import tail
from planebench.components import Layout
from planebench.kube.private import write_private
from planebench.model import Access, ComponentError, ComponentProcess, PlanebenchError, UsageError
from planebench.planes import Setting

STATE_VARIABLE: Final = "PLANEBENCH_STATE"
DEFAULT_NAME: Final = "default"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_RECORD: Final = "cluster.json"
_CONFIG: Final = "config.json"
_END_S: Final = 20.0
_POLL_S: Final = 0.05


class Keeper(msgspec.Struct, frozen=True):
    """The process that keeps a cluster; its start time tells it from a later one of the same number."""

    pid: int
    created_s: float

    @classmethod
    def current(cls) -> Keeper:
        return cls(os.getpid(), psutil.Process().create_time())

    @property
    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created_s) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


class ClusterRecord(msgspec.Struct, frozen=True):
    """What is known of a named cluster, in ``cluster.json``."""

    name: str
    plane: str
    settings: dict[str, Setting]
    started_wall_s: float
    keeper: Keeper
    admin: Access
    load: Access
    kubeconfig: Path
    logs: Path
    etcd_data: Path
    processes: list[ComponentProcess]
    deviations: list[str]
    timeline_s: dict[str, float]
    versions: dict[str, str] = {}
    failure: str = ""
    """Why it is down, where a component ended unasked."""


class ServedConfig(msgspec.Struct, frozen=True):
    """``config.json``: what the keeper is to start."""

    name: str
    plane: str
    config: dict[str, Any]
    versions: dict[str, str]


class NamedCluster:
    """A cluster that goes on, as seen from another process."""

    def __init__(self, record: ClusterRecord) -> None:
        self.record = record

    @property
    def processes(self) -> list[ComponentProcess]:
        return self.record.processes

    @property
    def answering(self) -> list[ComponentProcess]:
        """All of them: the first one that ends ends a run."""
        return self.record.processes

    @property
    def deviations(self) -> list[str]:
        return self.record.deviations

    @property
    def timeline_s(self) -> dict[str, float]:
        return self.record.timeline_s

    @property
    def etcd_data(self) -> Path:
        return self.record.etcd_data

    @property
    def admin(self) -> Access:
        return self.record.admin

    @property
    def load(self) -> Access:
        return self.record.load

    async def failure(self) -> ComponentError:
        """Waits until a component ends, and says which."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[ComponentProcess] = loop.create_future()
        descriptors = []
        try:
            for process in self.processes:
                try:
                    descriptor = os.pidfd_open(process.pid)
                except ProcessLookupError:
                    return _ended(process)
                descriptors.append(descriptor)
                loop.add_reader(descriptor, _resolve, ended, process)
            return _ended(await ended)
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)
                os.close(descriptor)


def _resolve(future: asyncio.Future[ComponentProcess], process: ComponentProcess) -> None:
    if not future.done():
        future.set_result(process)


def _ended(process: ComponentProcess) -> ComponentError:
    return ComponentError(
        f"{process.name} has ended; its log: {process.log}", component=process.name, log_tail=tail(process.log)
    )


# --- folders ---------------------------------------------------------------------------------------------------


def state_folder() -> Path:
    """Where named clusters live: ``$PLANEBENCH_STATE``, else the user's state folder."""
    chosen = os.environ.get(STATE_VARIABLE)
    return Path(chosen).absolute() if chosen else platformdirs.user_state_path("planebench") / "clusters"


def demand_name(name: str, what: str = "--name") -> None:
    """Raises UsageError for a name that is none."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{what} {name}: expected lower-case letters, digits and dashes, at most 40")


def folder_of(name: str) -> Path:
    """A cluster's folder. Raises UsageError for a name that is none."""
    demand_name(name)
    return state_folder() / name


def find(name: str) -> ClusterRecord | None:
    """A cluster's record, whether it is up or not; None: there is none."""
    return _read(folder_of(name))


def all_clusters() -> list[ClusterRecord]:
    """All of them, by name; those that are down, too."""
    root = state_folder()
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return [record for folder in folders if (record := _read(folder)) is not None]


def demand_free(name: str) -> None:
    """Raises UsageError where a cluster of that name is up."""
    record = find(name)
    if record is not None and record.keeper.alive:
        raise UsageError(f"cluster {name!r} is up already; `planebench down --name {name}` ends it")


def get(name: str) -> NamedCluster:
    """A cluster that is up. Raises UsageError where it is not."""
    record = find(name)
    if record is None or not record.keeper.alive:
        known = ", ".join(item.name for item in all_clusters() if item.keeper.alive) or "none"
        raise UsageError(f"no cluster {name!r} is up (up: {known}); start it with `planebench up --name {name}`")
    return NamedCluster(record)


def _read(folder: Path) -> ClusterRecord | None:
    try:
        return decode_record((folder / _RECORD).read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise PlanebenchError(f"{folder / _RECORD}: is damaged ({error}); remove {folder}") from None


def write_record(folder: Path, record: ClusterRecord) -> None:
    """A reader never sees half of one."""
    write_private(folder / _RECORD, msgspec.json.format(msgspec.json.encode(record, enc_hook=str)))


def decode_record(content: bytes) -> ClusterRecord:
    return msgspec.json.decode(content, type=ClusterRecord, dec_hook=_path)


def read_config(folder: Path) -> ServedConfig:
    """What the keeper is to start."""
    return msgspec.json.decode((folder / _CONFIG).read_bytes(), type=ServedConfig)


def decode_cluster_config(served: ServedConfig, **fixed: Any) -> ClusterConfig:
    """The configuration without its plane, which ``fixed`` gives."""
    return msgspec.convert({**served.config, **fixed}, ClusterConfig, dec_hook=_path)


def _path(kind: type, value: Any) -> Any:
    return Path(value) if kind is Path else value


# --- up and down -------------------------------------------------------------------------------------------------


async def start(
    process: asyncio.subprocess.Process,
    name: str,
    config: ClusterConfig,
    versions: dict[str, str],
    *,
    on_status: Callable[[str], None] = lambda _: None,
) -> NamedCluster:
    """Let a keeper start a cluster that goes on after this process.

    Raises:
        UsageError: one of that name is up.
        ComponentError: it did not get ready; nothing of it is left but its logs.
    """
    plane = config.plane
    plain = {
        "binaries": config.binaries,
        "versions": config.versions,
        "flags": config.flags,
        "scheduler_limits": config.scheduler_limits,
        "scheduler_configuration": config.scheduler_configuration,
        "controller_manager_limits": config.controller_manager_limits,
        "delays_ms": config.delays_ms,
        "topology": config.topology,
        "timeout_s": config.timeout_s,
    }
    served = ServedConfig(name, str(plane.source), {**plain, "settings": plane.settings}, versions)
    return await serve(process, served, on_status=on_status)


async def serve(
    process: asyncio.subprocess.Process,
    served: ServedConfig,
    *,
    place: Callable[[Layout], None] = lambda _: None,
    on_status: Callable[[str], None] = lambda _: None,
) -> NamedCluster:
    """Let a keeper start what is written down. Raises what :func:`start` raises, and what ``place`` raises.

    ``place`` puts files into the new cluster's folder before; it is called from another thread.
    """
    name = served.name
    demand_free(name)
    folder = folder_of(name)
    remove(folder)
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be made: {error.strerror}; ${STATE_VARIABLE} names another place"
        ) from None
    try:
        await asyncio.to_thread(place, layout(folder))
    except BaseException:
        remove(folder)
        raise
    (folder / _CONFIG).write_bytes(msgspec.json.encode(served, enc_hook=str))
    assert process.stdin is not None  # noqa: S101 (it is a pipe)
    process.stdin.write(f"{folder}\n".encode())
    process.stdin.close()
    if not await _came_up(process, on_status):
        await process.wait()
        raise ComponentError(f"the keeper of {name} ended with exit status {process.returncode}")
    return get(name)


async def _came_up(keeper: asyncio.subprocess.Process, on_status: Callable[[str], None]) -> bool:
    """Follow what the keeper tells; False where it ends without a word. Raises ComponentError with its words."""
    assert keeper.stdout is not None and keeper.stderr is not None  # noqa: S101 (both are pipes)
    async for line in keeper.stdout:
        kind, _, text = line.decode(errors="replace").rstrip("\n").partition(" ")
        match kind:
            case "status":
                on_status(text)
            case "ready":
                return True
            case "error":
                message, _, tail_lines = msgspec.json.decode(text, type=str).partition("\n")
                raise ComponentError(message, log_tail=tail_lines.splitlines())
    if complaint := (await keeper.stderr.read()).decode(errors="replace").strip():
        raise ComponentError(complaint.splitlines()[-1])
    return False


def stop(name: str) -> None:
    """End a cluster and remove its folder.

    Raises UsageError where there is none of that name.
    """
    folder = folder_of(name)
    record = _read(folder)
    if record is None and not folder.exists():
        known = ", ".join(item.name for item in all_clusters()) or "none"
        raise UsageError(f"there is no cluster {name!r}; there are: {known}")
    if record is not None and record.keeper.alive:
        _end(record.keeper)
    remove(folder)


def _end(keeper: Keeper) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper.pid, number)
        until_s = time.monotonic() + _END_S
        while keeper.alive and time.monotonic() < until_s:
            time.sleep(_POLL_S)


def remove(folder: Path) -> None:
    """A cluster's folder, whose keeper is gone."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def layout(folder: Path) -> Layout:
    return Layout(folder / "cluster")


def names() -> Iterator[str]:
    """The names of all clusters that have a folder."""
    root = state_folder()
    found = (item.name for item in root.iterdir()) if root.is_dir() else ()
    yield from sorted(name for name in found if _NAME.fullmatch(name))
