"""LIST, then WATCH without a gap, on one connection of the engine's loop.

A watch starts at its LIST's resourceVersion and goes on from the last one seen (bookmarks included) whenever it
ends; each such interruption is recorded as a gap. Only where the API server no longer has that version (410 Gone)
is the LIST read again and compared: then times in the gap are unknown, and the gap says that it was not resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from planebench.kube.frames import LineSplitter
from planebench.kube.histogram import Histogram
from planebench.kube.loop import Loop
from planebench.kube.peer import Peer
from planebench.kube.tls import Connection
from planebench.model import WatchSpec
from planebench.observe.milestones import Change, Reducer
from planebench.observe.records import Records

_PAGE_OBJECTS: Final = 500
_WATCH_TIMEOUT_S: Final = 6 * 3600
"""Asked of the API server; longer than any run, so that an end is seen as what it is."""
_APPEARS: Final = frozenset(("ADDED", "MODIFIED"))
_BACKOFF_S: Final = (0.01, 0.05, 0.1, 0.1, 0.2)
"""A connection that is refused costs next to nothing, while what a watch misses is seen so much later."""


class _ListMeta(msgspec.Struct, gc=False, rename={"token": "continue", "version": "resourceVersion"}):
    version: str = ""
    token: str = ""


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    reason: str = ""


class _Event(msgspec.Struct):
    type: str = ""


class _FailureEvent(msgspec.Struct):
    object: _Failure


class Watch:
    """All streams of one :class:`~planebench.model.WatchSpec`, and what they have shown.

    Args:
        t0_ns: ``time.monotonic_ns()`` at the trial's start.
        numbers: hands out the objects' numbers, unique in the run.
        synced: called once, with the number of listed objects, when the watch is open.
        refused: called instead, with the API server's words, when it cannot be.
        failed: called when an event cannot be understood: what is seen is incomplete from then on.

    Raises:
        UsageError: a field path of the spec is malformed.
    """

    def __init__(
        self,
        spec: WatchSpec,
        loop: Loop,
        peer: Peer,
        records: Records,
        *,
        user_agent: str,
        t0_ns: int,
        numbers: Iterator[int],
        synced: Callable[[int], None],
        refused: Callable[[str], None],
        failed: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self.reducer = Reducer(spec, numbers)
        self.records = records
        self.loop = loop
        self.peer = peer
        self.user_agent = user_agent
        self.t0_ns = t0_ns
        self.refused = refused
        self.failed = failed
        self.code = records.strings.code(spec.name)
        self.string = records.strings.code
        self.read_delay = Histogram()
        """From the kernel's receipt to our reading, ns."""
        self.events = 0
        self.gaps = 0
        self._synced = synced
        self._unsynced = max(len(spec.namespaces), 1)
        self._listed = 0
        obj = self.reducer.object_type
        event = msgspec.defstruct("Event", [("type", str), ("object", obj)], gc=False)
        page = msgspec.defstruct("Page", [("metadata", _ListMeta), ("items", list[obj] | None, ())])  # type: ignore[valid-type]
        self.decode_event: Callable[[bytes], Any] = msgspec.json.Decoder(event).decode
        self.decode_page: Callable[[bytes], Any] = msgspec.json.Decoder(page).decode
        self.streams = [Stream(self, namespace) for namespace in spec.namespaces or ("",)]

    def stream_synced(self, listed: int) -> None:
        self._listed += listed
        self._unsynced -= 1
        if self._unsynced == 0:
            self._synced(self._listed)

    def note(self, change: Change, t_ns: int) -> None:
        """Record what a change shows; ``t_ns`` on the trial's clock."""
        records = self.records
        if change.milestones:
            rows: list[int] = []
            for milestone in change.milestones:
                rows += (change.number, self.string(milestone), t_ns)
            records.milestones.add(rows)
        if change.description is not None:
            records.describe(change.description)

    def stop(self) -> None:
        for stream in self.streams:
            stream.stop()


class Stream:
    """One LIST and WATCH: of a namespace, or of all."""

    def __init__(self, watch: Watch, namespace: str) -> None:
        self._watch = watch
        self._namespace = namespace
        resource = watch.spec.resource
        self._path = resource.path(namespace or None)
        self._selector = f"&labelSelector={quote(watch.spec.label_selector)}" if watch.spec.label_selector else ""
        self._connection: Connection | None = None
        self._lines = LineSplitter()
        self._version = ""
        self._token = ""
        self._listing = True
        self._synced = False
        self._stopped = False
        self._body: list[bytes] = []
        self._seen: set[str] = set()
        self._listed = 0
        self._tries = 0
        self._gap_ns = 0
        """Since when the watch has been interrupted (trial clock); 0: it is not."""
        self._gap_reason = ""
        self._gap_resumed = True
        self._connect()

    # --- connection

    def opened(self, connection: Connection) -> None:
        watch = self._watch
        if self._listing:
            target = f"{self._path}?limit={_PAGE_OBJECTS}{self._selector}"
            if self._token:
                target += f"&continue={quote(self._token)}"
        else:
            target = (
                f"{self._path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={_WATCH_TIMEOUT_S}"
                f"&resourceVersion={self._version}{self._selector}"
            )
        self._lines = LineSplitter()
        self._body = []
        connection.parser.expect(keep_body=True)
        connection.send(
            f"GET {watch.peer.prefix}{target} HTTP/1.1\r\nHost: {watch.peer.access.authority}\r\n"
            f"{watch.peer.headers}User-Agent: {watch.user_agent}\r\nAccept: application/json\r\n\r\n".encode()
        )

    def received(self, connection: Connection, stamp_ns: int, now_ns: int) -> None:
        parser = connection.parser
        if self._listing or parser.status != 200:
            self._body += parser.take()
            if parser.complete:
                self._answered(connection, parser.status, b"".join(self._body), stamp_ns)
            return
        if not self._synced or self._gap_ns:
            self._established(stamp_ns)
        pieces = parser.take()
        lines = self._lines.feed(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if lines:
            self._events(lines, stamp_ns, now_ns)
        if parser.complete and self._connection is connection:  # no ERROR event has ended it
            self._interrupted("timeout", now_ns)
            self._again(connection)

    def lost(self, connection: Connection, reason: str, now_ns: int) -> None:
        self._connection = None
        if self._listing:
            if not self._synced and self._tries >= len(_BACKOFF_S):
                self._watch.refused(reason)
                return
        else:
            self._interrupted("closed" if reason.startswith("closed") else "connection", now_ns)
        self._retry()

    def stop(self) -> None:
        """End the watch; a gap that is still open is recorded without an end."""
        self._stopped = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._gap_ns:
            self._record_gap(-1)

    def _connect(self) -> None:
        if not self._stopped and self._connection is None:
            self._connection = Connection(self._watch.loop, self._watch.peer, self)

    def _retry(self) -> None:
        delay = _BACKOFF_S[min(self._tries, len(_BACKOFF_S) - 1)]
        self._tries += 1
        self._watch.loop.after(delay, self._connect)

    def _again(self, connection: Connection) -> None:
        """Ask anew, on the same connection where the server leaves it open."""
        if connection.parser.closing or not connection.parser.complete:
            connection.close()
            self._connection = None
            self._retry()
        else:
            self.opened(connection)

    # --- list

    def _answered(self, connection: Connection, status: int, body: bytes, stamp_ns: int) -> None:
        if status == 200:
            self._page(connection, body, stamp_ns)
            return
        failure = _failure(body)
        if status == 401:
            self._watch.peer.unauthorized(connection.sent_ns)
        if status == 410:
            self._gone(connection)
        elif not self._synced and status not in (429, 500, 503, 504):
            connection.close()
            self._connection = None
            self._watch.refused(failure.message or f"HTTP status {status}")
        else:
            wait = connection.parser.header("retry-after") or ""
            connection.close()
            self._connection = None
            if wait.isdecimal():
                self._tries += 1
                self._watch.loop.after(int(wait), self._connect)
            else:
                self._retry()

    def _page(self, connection: Connection, body: bytes, stamp_ns: int) -> None:
        watch = self._watch
        reducer = watch.reducer
        page = watch.decode_page(body)
        t_ns = stamp_ns - watch.t0_ns
        for obj in page.items or ():
            self._seen.add(reducer.uid(obj))
            if self._synced:
                watch.note(reducer.seen(obj), t_ns)
            else:
                watch.note(reducer.listed(obj), t_ns)
                self._listed += 1
        self._version = page.metadata.version
        self._token = page.metadata.token
        if not self._token:
            for uid in self._missing():
                watch.note(reducer.vanished(uid), t_ns)
            self._seen.clear()
            self._listing = False
        self._again(connection)

    def _missing(self) -> list[str]:
        alive = self._watch.reducer.alive.items()
        return [
            uid for uid, tracked in alive if uid not in self._seen and self._namespace in ("", tracked.namespace)
        ]

    def _gone(self, connection: Connection) -> None:
        self._gap_reason = "410"
        self._relist()
        self._again(connection)

    def _relist(self) -> None:
        """The API server no longer has our version: list again, and compare."""
        self._gap_resumed = False
        self._listing = True
        self._listed = 0
        self._token = ""
        self._seen.clear()

    # --- watch

    def _events(self, lines: Sequence[bytes], stamp_ns: int, now_ns: int) -> None:
        watch = self._watch
        decode, reducer, code, string = watch.decode_event, watch.reducer, watch.code, watch.string
        t_ns, read_ns = stamp_ns - watch.t0_ns, now_ns - watch.t0_ns
        rows: list[int] = []
        for line in lines:
            try:
                event = decode(line)
                kind = event.type
            except msgspec.MsgspecError as error:
                if not _is_error(line):  # a Status is not of the objects' type
                    watch.failed(f"watch {watch.spec.name}: an event that cannot be read: {error}")
                    continue
                kind = "ERROR"
            if kind in _APPEARS:
                change = reducer.seen(event.object)
            elif kind == "DELETED":
                change = reducer.deleted(event.object)
            elif kind == "BOOKMARK":
                change = reducer.bookmark(event.object)
            else:
                self._error_event(line, now_ns)
                break
            self._version = change.version
            try:
                version = int(change.version)
            except ValueError:
                version = -1
            rows += (t_ns, read_ns, code, change.number, string(kind), version, len(line))
            if change.milestones or change.description is not None:
                watch.note(change, t_ns)
        watch.records.events.add(rows)
        watch.events += len(lines)
        watch.read_delay.add(now_ns - stamp_ns)

    def _error_event(self, line: bytes, now_ns: int) -> None:
        failure = msgspec.json.decode(line, type=_FailureEvent).object
        gone = failure.code == 410
        self._interrupted("410" if gone else "closed", now_ns)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if gone:
            self._relist()
        self._retry()

    def _established(self, stamp_ns: int) -> None:
        self._tries = 0
        if self._gap_ns:
            self._record_gap(stamp_ns - self._watch.t0_ns)
        if not self._synced:
            self._synced = True
            self._watch.stream_synced(self._listed)

    def _interrupted(self, reason: str, now_ns: int) -> None:
        if not self._gap_ns:
            self._gap_ns = now_ns - self._watch.t0_ns
            self._gap_reason = reason
            self._gap_resumed = True
            self._watch.gaps += 1

    def _record_gap(self, end_ns: int) -> None:
        watch = self._watch
        reason = watch.records.strings.code(self._gap_reason)
        watch.records.gaps.add((watch.code, self._gap_ns, end_ns, reason, int(self._gap_resumed)))
        self._gap_ns = 0


def _failure(body: bytes) -> _Failure:
    try:
        return msgspec.json.decode(body, type=_Failure)
    except msgspec.MsgspecError:
        return _Failure()


def _is_error(line: bytes) -> bool:
    try:
        return msgspec.json.decode(line, type=_Event).type == "ERROR"
    except msgspec.MsgspecError:
        return False
