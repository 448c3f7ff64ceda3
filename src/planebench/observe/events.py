"""What a watch sends, in the form that every API server has: a line of JSON for each event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from planebench.kube.frames import LineSplitter
from planebench.observe.milestones import ObjectType

ERROR: Final = "ERROR"
"""The type of an event that carries a Status, and ends the watch."""


class EventError(ValueError):
    """The bytes are no event of the watched objects."""


class Event(Protocol):
    """One event of a watch."""

    @property
    def type(self) -> str:
        """ADDED, MODIFIED, DELETED, BOOKMARK or ERROR."""

    @property
    def object(self) -> Any:
        """What :class:`~planebench.observe.milestones.Reducer` takes; anything at all where the type is ERROR."""


class Failure(msgspec.Struct):
    """The API server's Status, as much of it as says what went wrong."""

    code: int = 0
    message: str = ""
    reason: str = ""


class Splitter(Protocol):
    """Cuts a stream, whatever pieces it comes in, into events."""

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Take the next bytes; the events that they complete."""


class Events(Protocol):
    """One form of a watch's events."""

    media_type: str
    """As the API server's Content-Type names it, without parameters."""
    accept: str
    """As it is asked for."""

    def splitter(self) -> Splitter:
        """For a stream that begins."""

    def decode(self, raw: bytes) -> Event:
        """
        Raises:
            EventError: the bytes are no event of the watched objects.
        """

    def failure(self, raw: bytes) -> Failure:
        """What an ERROR event carries."""


class _Any(msgspec.Struct):
    type: str = ""


class _ErrorEvent(msgspec.Struct):
    object: Failure


class JsonEvents:
    """A line of JSON each."""

    media_type = "application/json"
    accept = "application/json"

    def __init__(self, types: ObjectType) -> None:
        event = msgspec.defstruct("Event", [("type", str), ("object", types.type)], gc=False)
        self._decode: Any = msgspec.json.Decoder(event).decode

    def splitter(self) -> LineSplitter:
        return LineSplitter()

    def decode(self, raw: bytes) -> Event:
        try:
            event: Event = self._decode(raw)
        except msgspec.MsgspecError as error:
            if _is_error(raw):  # a Status is not of the objects' type
                return _Any(ERROR)  # type: ignore[return-value]  # nobody reads its object
            raise EventError(str(error)) from None
        return event

    def failure(self, raw: bytes) -> Failure:
        return msgspec.json.decode(raw, type=_ErrorEvent).object


def _is_error(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_Any).type == ERROR
    except msgspec.MsgspecError:
        return False
