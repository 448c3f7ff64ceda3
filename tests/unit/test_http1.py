"""Replies in every possible number of pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.kube.frames import LineSplitter
from planebench.kube.http1 import ProtocolError, ReplyParser


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds) if a < b]


def chunked(bodies: list[bytes], *, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    chunks = b"".join(b"%x%s\r\n%s\r\n" % (len(body), extension, body) for body in bodies if body)
    return chunks + b"0\r\n" + trailer + b"\r\n"


def parse(data: bytes, cuts: list[int], *, keep: bool = True) -> tuple[ReplyParser, bytes]:
    parser = ReplyParser()
    parser.expect(keep_body=keep)
    parts = pieces(data, cuts)
    body = b""
    for number, part in enumerate(parts):
        complete = parser.feed(part)
        body += b"".join(parser.take())
        assert complete == (number == len(parts) - 1)
    return parser, body


cuts = st.lists(st.integers(0, 10_000), max_size=30)
statuses = st.sampled_from([200, 201, 404, 409, 429, 500])


@given(st.binary(max_size=300), statuses, cuts)
def test_a_body_with_a_length(body: bytes, status: int, cuts: list[int]) -> None:
    data = b"HTTP/1.1 %d Some Reason\r\nA: b\r\ncontent-LENGTH: %d\r\n\r\n" % (status, len(body)) + body
    parser, got = parse(data, cuts)
    assert (got, parser.status, parser.received, parser.closing) == (body, status, len(data), False)


@given(
    st.lists(st.binary(max_size=100), max_size=6),
    st.sampled_from([b"", b";name=value", b" "]),
    st.sampled_from([b"", b"Audit-Id: 1\r\nOther: 2\r\n"]),
    cuts,
)
def test_a_chunked_body(bodies: list[bytes], extension: bytes, trailer: bytes, cuts: list[int]) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += chunked(bodies, extension=extension, trailer=trailer)
    parser, got = parse(data, cuts)
    assert (got, parser.received) == (b"".join(bodies), len(data))


@given(st.lists(st.tuples(statuses, st.binary(max_size=50), st.booleans()), min_size=1, max_size=5), cuts)
def test_replies_one_after_another(replies: list[tuple[int, bytes, bool]], cuts: list[int]) -> None:
    parser = ReplyParser()
    for status, body, in_chunks in replies:
        coding = b"Transfer-Encoding: chunked" if in_chunks else b"Content-Length: %d" % len(body)
        data = b"HTTP/1.1 %d X\r\n%s\r\n\r\n" % (status, coding) + (chunked([body]) if in_chunks else body)
        parser.expect(keep_body=True)
        assert [parser.feed(piece) for piece in pieces(data, cuts)][-1]
        assert (parser.status, b"".join(parser.take())) == (status, body)


@given(st.binary(max_size=300), cuts)
def test_anything_is_a_reply_or_an_error(data: bytes, cuts: list[int]) -> None:
    parser = ReplyParser()
    parser.expect()
    try:
        for piece in pieces(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, cuts):
            parser.feed(piece)
    except ProtocolError:
        return
    assert parser.received == 47 + len(data)


def test_a_body_that_nobody_wants_is_not_kept_but_an_error_is() -> None:
    assert parse(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}", [], keep=False)[1] == b""
    assert parse(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}", [], keep=False)[1] == b"{}"


def test_informational_replies_are_skipped() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nRetry-After: 7\r\n\r\n"
    parser, _ = parse(data, [30])
    assert parser.status == 204
    assert parser.header("retry-after") == "7"
    assert parser.header("after") is None


def test_a_body_until_the_connection_ends() -> None:
    parser = ReplyParser()
    parser.expect(keep_body=True)
    assert not parser.feed(b"HTTP/1.0 200 OK\r\n\r\nabc")
    assert not parser.feed(b"def")
    assert parser.closing
    assert parser.end_of_stream()
    assert b"".join(parser.take()) == b"abcdef"


def test_an_early_end_does_not_complete_a_reply() -> None:
    parser = ReplyParser()
    parser.expect()
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")
    assert not parser.end_of_stream()


def test_connection_close_is_noted() -> None:
    assert parse(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", [])[0].closing


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 xyz\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1_0\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
    ],
)
def test_what_is_no_reply_is_an_error(data: bytes) -> None:
    parser = ReplyParser()
    parser.expect()
    with pytest.raises(ProtocolError):
        parser.feed(data)


def test_nobody_may_speak_unasked() -> None:
    with pytest.raises(ProtocolError):
        ReplyParser().feed(b"HTTP/1.1 408 Request Timeout\r\n\r\n")


@given(
    st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=10),
    st.binary(max_size=9),
    cuts,
)
def test_lines_in_any_pieces(lines: list[bytes], rest: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    stream = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    got = [line for piece in pieces(stream, cuts) for line in splitter.feed(piece)]
    assert got == [line for line in lines if line]
