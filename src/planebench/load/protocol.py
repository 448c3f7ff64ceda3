"""What the engine and its parent say to each other: JSON lines over the engine's stdin and stdout.

A phase's operations do not pass through the pipe: the parent writes them to a file in the engine's folder, where
they also give the request records their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from planebench.model import Access, LoadPhase, Operation, Progress, RequestTemplate, WatchSpec


class Start(msgspec.Struct, tag=True, frozen=True):
    """The first command: where to connect and to write."""

    access: Access
    folder: str
    t0_ns: int
    connections: int
    max_connections: int
    user_agent: str
    parent: int
    """The parent's process id: the engine ends when it is no longer its child."""
    audit_id: str = ""
    """Requests name themselves ``ID-PHASE-OPERATION`` in their Audit-ID header; empty: they do not."""


class Watch(msgspec.Struct, tag=True, frozen=True):
    """Start a watch; answered by :class:`Synced`."""

    spec: WatchSpec


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """Read a phase's operations; answered by :class:`Prepared`."""

    phase: int


class Execute(msgspec.Struct, tag=True, frozen=True):
    """Execute the phase that was prepared last; answered by :class:`Executed`."""

    phase: int
    start_ns: int = -1
    """On the trial's clock: what several engines have agreed upon; -1: as soon as it can be on time."""


class Authorize(msgspec.Struct, tag=True, frozen=True):
    """Use other credentials from now on."""

    access: Access


class Stop(msgspec.Struct, tag=True, frozen=True):
    """Write everything and end; answered by :class:`Health`."""


Command = Start | Watch | Prepare | Execute | Authorize | Stop


class Ready(msgspec.Struct, tag=True, frozen=True):
    """All connections are open."""


class Synced(msgspec.Struct, tag=True, frozen=True):
    """A watch has listed and watches."""

    watch: str
    objects: int


class Report(msgspec.Struct, tag=True, frozen=True):
    progress: Progress


class Prepared(msgspec.Struct, tag=True, frozen=True):
    """A phase can start at once."""

    phase: int


class Executed(msgspec.Struct, tag=True, frozen=True):
    """A phase has ended: every operation was answered or failed for good."""

    progress: Progress


class Refused(msgspec.Struct, tag=True, frozen=True):
    """A watch that could not be started, and why."""

    watch: str
    message: str
    usage: bool = False
    """The fault is in what was asked for: a field path, for instance."""


class Unauthorized(msgspec.Struct, tag=True, frozen=True):
    """The API server no longer takes the credentials; told once until there are others."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The engine cannot go on, and says why."""

    message: str


class Health(msgspec.Struct, tag=True, frozen=True):
    """The last message."""

    health: dict[str, Any]


Message = Ready | Synced | Refused | Report | Prepared | Executed | Unauthorized | Failed | Health


def encode(message: Command | Message) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message, enc_hook=_path_text) + b"\n"


def decode_command(line: bytes) -> Command:
    return _COMMANDS.decode(line)


def decode_message(line: bytes) -> Message:
    return _MESSAGES.decode(line)


def _path_text(path: object) -> str:
    if not isinstance(path, Path):
        raise NotImplementedError(f"no message holds a {type(path).__name__}")
    return str(path)


_COMMANDS: Final[msgspec.json.Decoder[Command]] = msgspec.json.Decoder(
    Command, dec_hook=lambda _, text: Path(text)
)
_MESSAGES: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


class PhaseFile(msgspec.Struct, frozen=True):
    """A phase in columns: ``phase-N.json`` in the engine's folder.

    ``columns.*[i]`` belong to operation ``i``, the number that request records name.
    """

    name: str
    stage: str
    request_timeout_s: float
    templates: tuple[RequestTemplate, ...]
    namespaces: list[str]
    due_ns: list[int]
    """Offsets from the phase's start, ascending."""
    template: list[int]
    index: list[int]
    object_name: list[str]
    namespace: list[int]
    """Indices into ``namespaces``."""
    number: list[int] = []
    """Of a share of a phase: the operations' numbers in the whole. Empty: it is the whole."""


def write_phase(folder: Path, number: int, plan: PhaseFile) -> None:
    """``phase-N.json`` in an engine's folder."""
    (folder / f"phase-{number}.json").write_bytes(msgspec.json.encode(plan))


def phase_file(phase: LoadPhase) -> PhaseFile:
    """A phase's columns."""
    operations: Sequence[Operation] = phase.operations
    namespaces = list(dict.fromkeys(operation.namespace for operation in operations))
    codes = {namespace: code for code, namespace in enumerate(namespaces)}
    return PhaseFile(
        name=phase.name,
        stage=str(phase.stage or ""),
        request_timeout_s=phase.request_timeout_s,
        templates=phase.templates,
        namespaces=namespaces,
        due_ns=[operation.due_ns for operation in operations],
        template=[operation.template for operation in operations],
        index=[operation.index for operation in operations],
        object_name=[operation.name for operation in operations],
        namespace=[codes[operation.namespace] for operation in operations],
    )
