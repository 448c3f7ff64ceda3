"""Open-loop dispatch: every operation is sent when it is due, whatever became of the earlier ones.

An operation that finds no idle connection waits for one (a new one is opened, up to a limit); its lateness, sent
minus due, includes that wait. What is retried, and how it is recorded:

- 429, and 5xx with Retry-After: after the time that the server names, until the request's timeout.
- 401: once, after a second, in which the credentials are renewed.
- A connection that ended before the first byte of a reply: once, on another connection. The first request may
  have been executed, so a create that is then answered 409 (already exists), or a delete that is answered 404,
  counts as done: its record keeps the status and says ``connection`` for the lost first answer.
- Nothing else. A timeout closes the connection; ``done_ns`` stays -1, as for a reply that never came.
"""

from __future__ import annotations

import re
import time
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from planebench.kube.histogram import Histogram
from planebench.kube.loop import NEVER, Alarm, Loop
from planebench.kube.peer import Peer
from planebench.kube.tls import Connection
from planebench.load.messages import Messages, collapse
from planebench.load.protocol import PhaseFile
from planebench.model import RequestTemplate
from planebench.observe.records import Records

TIMEOUT: Final = "timeout"
CONNECTION: Final = "connection"
UNFINISHED: Final = "unfinished"
"""The engine was stopped before the operation's end."""

_CONNECT_TIMEOUT_S: Final = 10.0
_RECONNECT_S: Final = 0.1
_EXPIRY_CHECK_S: Final = 0.2
_NEW_CREDENTIALS_NS: Final = 1_000_000_000


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


class Rendering:
    """A template turned into one format operation per request."""

    __slots__ = ("_arguments", "_fixed_length", "_format", "_uses", "template")

    def __init__(
        self,
        template: RequestTemplate,
        host: str,
        user_agent: str,
        audit_id: str = "",
        *,
        prefix: str = "",
        headers: str = "",
    ) -> None:
        """
        Args:
            audit_id: what every request's Audit-ID header begins with; the operation's number follows.
            prefix: what stands before the path.
            headers: whole lines, for instance a token's.
        """
        self.template = template
        head = [
            f"{template.method} {prefix}{template.path} HTTP/1.1",
            f"Host: {host}",
            f"{headers}User-Agent: {user_agent}",
            f"Accept: {template.accept}",
        ]
        if audit_id:
            head.append(f"Audit-ID: {audit_id}-__OPERATION__")
        if template.body:
            head.append(f"Content-Type: {template.content_type}")
        request = "\r\n".join(head).encode()
        if template.body or template.method in ("POST", "PUT", "PATCH"):
            request += b"\r\nContent-Length: __LENGTH__"
        request += b"\r\n\r\n" + template.body
        pieces = _PLACEHOLDER.split(request)
        self._format = b"%b".join(piece.replace(b"%", b"%%") for piece in pieces)
        self._arguments = tuple(_SLOTS[name] for name in _PLACEHOLDER.findall(request))
        fixed = _PLACEHOLDER.split(template.body)
        self._fixed_length = sum(map(len, fixed))
        self._uses = tuple(template.body.count(name) for name in _SLOTS)

    def render(self, name: bytes, namespace: bytes, index: int, operation: int = 0) -> bytes:
        """A whole request."""
        number = b"%d" % index
        names, namespaces, indices, *_ = self._uses
        length = self._fixed_length + names * len(name) + namespaces * len(namespace) + indices * len(number)
        values = (name, namespace, number, b"%d" % length, b"%d" % operation)
        return self._format % tuple([values[slot] for slot in self._arguments])


_SLOTS: Final = {b"__NAME__": 0, b"__NAMESPACE__": 1, b"__INDEX__": 2, b"__LENGTH__": 3, b"__OPERATION__": 4}
_PLACEHOLDER: Final = re.compile(rb"__(?:NAME|NAMESPACE|INDEX|LENGTH|OPERATION)__")


class Request(msgspec.Struct, gc=False, eq=False):
    """An operation that has been due and is not finished."""

    phase: RunningPhase
    number: int
    """The operation's; -1 once it is finished."""
    due_ns: int
    deadline_ns: int
    sent_ns: int = -1
    attempts: int = 0
    refusals: int = 0
    """Failed tries to connect while it waited for a connection."""
    unauthorized: bool = False
    """It was answered 401 once."""
    size: int = 0
    note: str = ""
    until: bytes = b""
    """Of a stream: what its answer ends with."""
    tail: bytes = b""
    """Of a stream: the last bytes, in which the beginning of that may be."""
    connection: Connection | None = None


class RunningPhase:
    """A phase in execution."""

    def __init__(self, number: int, plan: PhaseFile, renderings: list[Rendering], start_ns: int) -> None:
        self.number = number
        self.plan = plan
        self.renderings = renderings
        self.namespaces = [namespace.encode() for namespace in plan.namespaces]
        self.start_ns = start_ns
        self.due_ns = array("q", (start_ns + due for due in plan.due_ns))
        self.planned = len(self.due_ns)
        self.next = 0
        self.sent = 0
        self.answered = 0
        self.failed = 0
        self.failed_by_verb: dict[str, int] = {}
        self.responses = Histogram()

    @property
    def finished(self) -> int:
        return self.answered + self.failed

    def release(self) -> None:
        """Forget the operations of a phase that has ended; its counts stay."""
        self.due_ns = array("q")
        self.plan = msgspec.structs.replace(
            self.plan, due_ns=[], template=[], index=[], object_name=[], namespace=[], number=[]
        )

    def number_of(self, operation: int) -> int:
        """What an operation is called in the records: its number in the whole phase."""
        return self.plan.number[operation] if self.plan.number else operation


class Dispatcher:
    """Sends phases' operations over a pool of connections.

    Args:
        connected: called once, when the first ``connections`` are open.
        unreachable: called instead, with the reason, if one of them cannot be opened.
        executed: called when a phase has ended.
    """

    def __init__(
        self,
        loop: Loop,
        peer: Peer,
        records: Records,
        *,
        t0_ns: int,
        connections: int,
        max_connections: int,
        user_agent: str,
        audit_id: str = "",
        connected: Callable[[], None],
        unreachable: Callable[[str], None],
        executed: Callable[[], None],
    ) -> None:
        self.messages = Messages()
        self.lateness = Histogram()
        """Sent minus due, ns."""
        self.phase: RunningPhase | None = None
        self.in_flight = 0
        self.opened_connections = 0
        self.lost_connections = 0
        self.most_connections = 0
        self.throttled = 0
        """Answers that said: later."""
        self.retried = 0
        """Requests sent again because their connection had ended."""
        self._loop = loop
        self._peer = peer
        self._records = records
        self._t0_ns = t0_ns
        self._max = max_connections
        self._user_agent = user_agent
        self._audit_id = audit_id
        self._wanted = connections
        self._spare = min(connections // 2, 32)
        """Fewer idle connections than this, and more are opened: an overloaded server is slow with handshakes."""
        self._connected: Callable[[], None] | None = connected
        self._unreachable = unreachable
        self._executed = executed
        self._idle: list[Connection] = []
        self._opening: dict[Connection, Alarm] = {}
        self._open = 0
        self._queue: deque[Request] = deque()
        self._expiry: deque[Request] = deque()
        self._waiting: set[Request] = set()
        """Those that wait for a Retry-After to pass."""
        self._reconnect: Alarm | None = None
        loop.on_due = self._send_due
        loop.expecting = lambda: bool(self.in_flight or self._opening)
        for _ in range(connections):
            self._open_connection()
        self._check_expiry()

    # --- phases

    def execute(self, number: int, plan: PhaseFile, start_ns: int) -> None:
        """Start a phase; its operations are due from ``start_ns`` (monotonic) on."""
        self._loop.look()  # connections that the server has closed since the last phase
        self.phase = RunningPhase(number, plan, self._renderings(plan), start_ns)
        self._next_due()
        self._maybe_executed()

    def release(self) -> None:
        """Make room for the next phase: the last one's operations are of no more use once it has ended."""
        if self.phase is not None and self.phase.finished == self.phase.planned:
            self.phase.release()

    def authorize(self) -> None:
        """The peer has other credentials: use them from now on."""
        if self.phase is not None:
            self.phase.renderings = self._renderings(self.phase.plan)

    def _renderings(self, plan: PhaseFile) -> list[Rendering]:
        peer = self._peer
        audit_id = f"{self._audit_id}-{plan.name}" if self._audit_id else ""
        return [
            Rendering(
                template,
                peer.access.authority,
                self._user_agent,
                audit_id,
                prefix=peer.prefix,
                headers=peer.headers,
            )
            for template in plan.templates
        ]

    def stop(self) -> None:
        """Record what is unfinished, and close."""
        phase = self.phase
        if phase is not None:
            for request in [*self._expiry]:
                if request.number >= 0:
                    self._record(request, -1, 0, 0, UNFINISHED)
            self._expiry.clear()
        for connection in [*self._idle, *self._opening]:
            connection.close()

    def _next_due(self) -> None:
        phase = self.phase
        self._loop.due_ns = phase.due_ns[phase.next] if phase and phase.next < phase.planned else NEVER

    def _send_due(self) -> None:
        phase = self.phase
        if phase is None:
            return
        if len(self._idle) < self._spare:
            self._loop.look()  # replies that nobody has read yet set connections free
        now = time.monotonic_ns()
        timeout_ns = int(phase.plan.request_timeout_s * 1e9)
        while phase.next < phase.planned:
            due = phase.due_ns[phase.next]
            if due > now:
                break
            request = Request(phase, phase.next, due, now + timeout_ns)
            phase.next += 1
            self.in_flight += 1
            self._expiry.append(request)
            if self._idle and not self._queue:
                self._send(request, self._idle.pop())
            else:
                self._queue.append(request)
            now = time.monotonic_ns()
        self._next_due()
        if len(self._idle) < self._spare:
            self._grow()

    def _send(self, request: Request, connection: Connection) -> None:
        phase = request.phase
        plan = phase.plan
        number = request.number
        data = phase.renderings[plan.template[number]].render(
            plan.object_name[number].encode(),
            phase.namespaces[plan.namespace[number]],
            plan.index[number],
            phase.number_of(number),
        )
        connection.owner = request
        request.until = phase.renderings[plan.template[number]].template.until.encode()
        connection.parser.expect(keep_body=bool(request.until))
        request.connection = connection
        request.attempts += 1
        connection.send(data)
        self._loop.expect()
        if request.sent_ns < 0:
            request.sent_ns = connection.sent_ns
            request.size = len(data)
            phase.sent += 1
            self.lateness.add(request.sent_ns - request.due_ns)

    def _serve_queue(self) -> None:
        while self._queue and self._idle:
            request = self._queue.popleft()
            if request.number >= 0:
                self._send(request, self._idle.pop())

    # --- connections

    def opened(self, connection: Connection) -> None:
        alarm = self._opening.pop(connection, None)
        if alarm is not None:
            alarm.cancel()
        self._open += 1
        self.opened_connections += 1
        self.most_connections = max(self.most_connections, self._open)
        self._idle.append(connection)
        if self._connected is not None and self._open >= self._wanted:
            connected, self._connected = self._connected, None
            connected()
        self._serve_queue()

    def lost(self, connection: Connection, reason: str, now_ns: int) -> None:
        alarm = self._opening.pop(connection, None)
        if alarm is not None:
            alarm.cancel()
            self._not_opened(reason)
            return
        self._open -= 1
        self.lost_connections += 1
        request = connection.owner
        if not isinstance(request, Request):
            if connection in self._idle:
                self._idle.remove(connection)
            return
        request.connection = None
        parser = connection.parser
        if parser.received == 0 and request.note != CONNECTION:
            request.note = CONNECTION
            self.retried += 1
            self._queue.appendleft(request)
            self._serve_queue()
            if self._queue:
                self._grow()
        else:
            self._count_error(request, f"connection lost: {reason}")
            self._finish(request, -1, parser.status, parser.received, CONNECTION, failed=True)

    def _not_opened(self, reason: str) -> None:
        if self._connected is not None:
            self._connected = None
            self._unreachable(reason)
            return
        if self._reconnect is not None:
            return
        self._reconnect = self._loop.after(_RECONNECT_S, self._reconnect_now)
        if self._open:
            return
        # A failed try to connect counts for all that wait; the second one is their end.
        waiting, self._queue = self._queue, deque()
        for request in waiting:
            request.refusals += 1
            if request.refusals < 2 and request.note != CONNECTION:
                self._queue.append(request)
            else:
                self._count_error(request, f"no connection: {reason}")
                self._finish(request, -1, 0, 0, CONNECTION, failed=True)

    def _reconnect_now(self) -> None:
        self._reconnect = None
        if self._queue:
            self._grow()

    def _grow(self) -> None:
        """Open as many connections as are short, up to the limit."""
        short = len(self._queue) + self._spare - len(self._idle) - len(self._opening)
        room = self._max - self._open - len(self._opening)
        if self._reconnect is None:
            for _ in range(min(short, room)):
                self._open_connection()

    def _open_connection(self) -> None:
        connection = Connection(self._loop, self._peer, self, patient=True)
        self._loop.expect()
        self._opening[connection] = self._loop.after(_CONNECT_TIMEOUT_S, lambda: self._give_up(connection))

    def _give_up(self, connection: Connection) -> None:
        if self._opening.pop(connection, None) is not None:
            connection.close()
            self._not_opened("no answer to the TLS handshake")

    # --- answers

    def received(self, connection: Connection, stamp_ns: int, now_ns: int) -> None:
        parser = connection.parser
        request = connection.owner
        if not isinstance(request, Request):
            return
        if request.until and parser.status == 200:
            self._streamed(request, connection, stamp_ns)
            return
        if not parser.complete:
            return
        connection.owner = None
        request.connection = None
        if parser.closing:
            connection.close()
            self._open -= 1
        else:
            self._idle.append(connection)
        status = parser.status
        if status < 400:
            self._finish(request, stamp_ns, status, parser.received, request.note, failed=False)
        else:
            self._refused(request, connection, stamp_ns, now_ns)
        if self._queue:
            self._serve_queue()

    def _streamed(self, request: Request, connection: Connection, stamp_ns: int) -> None:
        """A part of a stream has come. Its connection serves no other request: the stream would go on."""
        parser = connection.parser
        for piece in parser.take():
            text = request.tail + piece
            if request.until in text:
                self._end_stream(request, connection)
                self._finish(request, stamp_ns, parser.status, parser.received, request.note, failed=False)
                return
            request.tail = text[1 - len(request.until) :]
        if parser.complete:
            self._end_stream(request, connection)
            error = self._count_error(request, "the stream ended too early")
            self._finish(request, stamp_ns, parser.status, parser.received, error, failed=True)

    def _end_stream(self, request: Request, connection: Connection) -> None:
        connection.owner = None
        request.connection = None
        connection.close()
        self._open -= 1
        self._grow()

    def _refused(self, request: Request, connection: Connection, stamp_ns: int, now_ns: int) -> None:
        parser = connection.parser
        status = parser.status
        answer = _decode_status(b"".join(parser.take()))
        retry_after = parser.header("retry-after") or ""
        if status == 429 or (status >= 500 and retry_after.isdecimal()):
            again_ns = now_ns + (int(retry_after) if retry_after.isdecimal() else 1) * 1_000_000_000
            self.throttled += 1
            if again_ns < request.deadline_ns:
                self._count_error(request, f"{answer.message or f'HTTP status {status}'} (retried as told)")
                self._waiting.add(request)
                self._loop.at(again_ns, lambda: self._send_again(request))
                return
        if status == 401 and not request.unauthorized and now_ns + _NEW_CREDENTIALS_NS < request.deadline_ns:
            request.unauthorized = True
            self._peer.unauthorized(connection.sent_ns)
            self._waiting.add(request)
            self._loop.at(now_ns + _NEW_CREDENTIALS_NS, lambda: self._send_again(request))
            return
        verb = request.phase.renderings[request.phase.plan.template[request.number]].template.verb
        if request.note == CONNECTION and (verb, status) in (("create", 409), ("delete", 404)):
            self._finish(request, stamp_ns, status, parser.received, CONNECTION, failed=False)
            return
        said = self._count_error(request, answer.message or f"HTTP status {status}")
        error = "429" if status == 429 else f"{answer.reason or f'HTTP {status}'}: {said}"
        self._finish(request, stamp_ns, status, parser.received, error, failed=True)

    def _send_again(self, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            self._queue.append(request)
            self._serve_queue()
            if self._queue:
                self._grow()

    def _count_error(self, request: Request, message: str) -> str:
        """Count a message in its countable form, and give that back."""
        plan = request.phase.plan
        number = request.number
        return self.messages.add(
            collapse(message, plan.object_name[number], plan.namespaces[plan.namespace[number]])
        )

    def _check_expiry(self) -> None:
        """Requests expire in the order in which they came up."""
        self._loop.look()  # also for idle connections that the server has closed
        now = time.monotonic_ns()
        expiry = self._expiry
        while expiry and (expiry[0].number < 0 or expiry[0].deadline_ns <= now):
            request = expiry.popleft()
            if request.number < 0:
                continue
            connection = request.connection
            if connection is not None:
                connection.close()
                request.connection = None
                self._open -= 1
            elif request in self._waiting:
                self._waiting.remove(request)
            else:
                self._queue.remove(request)
            self._count_error(request, f"no answer within {request.phase.plan.request_timeout_s:g} s")
            self._finish(request, -1, 0, 0, TIMEOUT, failed=True)
        if self._queue:
            self._grow()
        self._loop.after(_EXPIRY_CHECK_S, self._check_expiry)

    def _finish(
        self, request: Request, done_ns: int, status: int, received: int, error: str, *, failed: bool
    ) -> None:
        phase = request.phase
        self._record(request, done_ns, status, received, error)
        if failed:
            verb = phase.renderings[phase.plan.template[request.number]].template.verb
            phase.failed_by_verb[verb] = phase.failed_by_verb.get(verb, 0) + 1
        request.number = -1  # finished: the expiry queue drops it
        self.in_flight -= 1
        if failed:
            phase.failed += 1
        else:
            phase.answered += 1
        if done_ns >= 0:
            phase.responses.add(done_ns - request.due_ns)
        if phase.next == phase.planned:
            self._maybe_executed()

    def _maybe_executed(self) -> None:
        phase = self.phase
        if phase is not None and phase.finished == phase.planned:
            self._executed()

    def _record(self, request: Request, done_ns: int, status: int, received: int, error: str) -> None:
        t0 = self._t0_ns
        self._records.requests.add(
            (
                request.phase.number,
                request.phase.number_of(request.number),
                request.due_ns - t0,
                request.sent_ns - t0 if request.sent_ns >= 0 else -1,
                done_ns - t0 if done_ns >= 0 else -1,
                status,
                request.size,
                received,
                request.attempts,
                self._records.strings.code(error) if error else -1,
            )
        )


def _decode_status(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        return _Status()
