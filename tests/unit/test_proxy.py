"""What is said to proxies, whatever pieces their answers come in."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.kube import proxy
from planebench.model import UsageError


def talk(url: str, answers: list[bytes], host: str = "api.example", port: int = 6443) -> tuple[bytes, bool]:
    """What was sent in all, and whether the way is free."""
    dialogue = proxy.dialogue(proxy.split(url), host, port)
    sent = [next(dialogue)]
    try:
        for answer in answers:
            sent.append(dialogue.send(answer))  # noqa: PERF401 (what was sent before the end counts)
    except StopIteration:
        return b"".join(sent), True
    return b"".join(sent), False


def torn(answer: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(answer)) for cut in cuts} | {0, len(answer)})
    return [answer[start:end] for start, end in itertools.pairwise(places)]


@given(st.lists(st.integers(0, 60), max_size=6))
def test_connect(cuts: list[int]) -> None:
    sent, free = talk("http://proxy:3128", torn(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n", cuts))
    assert free
    assert sent == b"CONNECT api.example:6443 HTTP/1.1\r\nHost: api.example:6443\r\n\r\n"


@given(st.lists(st.integers(0, 12), max_size=6))
def test_socks_by_name(cuts: list[int]) -> None:
    answers = torn(b"\x05\x00", cuts[:2]) + torn(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38", cuts)
    sent, free = talk("socks5://proxy", answers)
    assert free
    assert sent == b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0bapi.example\x19\x2b"


def test_socks_by_address() -> None:
    sent, _ = talk("socks5h://proxy:1", [b"\x05\x00"], host="2001:db8::1")
    assert sent.endswith(b"\x05\x01\x00\x04" + bytes.fromhex("20010db8000000000000000000000001") + b"\x19\x2b")


def test_users_and_passwords_are_unquoted() -> None:
    sent, _ = talk("http://me:a%40b@proxy", [])
    assert b"Proxy-Authorization: Basic bWU6YUBi\r\n" in sent
    sent, _ = talk("socks5://me:a%40b@proxy", [b"\x05\x02"])
    assert sent == b"\x05\x02\x00\x02" + b"\x01\x02me\x03a@b"


@pytest.mark.parametrize(
    ("url", "answers", "said"),
    [
        ("http://proxy", [b"HTTP/1.1 403 Forbidden\r\n\r\n"], "the proxy refused: 403 Forbidden"),
        ("http://proxy", [b"\x05\x00"], "speaks no HTTP"),
        ("http://proxy", [b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000], "speaks no HTTP"),
        ("socks5://proxy", [b"HTTP/1.1 400 Bad\r\n\r\n"], "speaks no SOCKS 5"),
        ("socks5://proxy", [b"\x05\xff"], "wants another way to log in"),
        ("socks5://me:x@proxy", [b"\x05\x02", b"\x01\x01"], "user or password is wrong"),
        ("socks5://proxy", [b"\x05\x00", b"\x05\x05\x00\x01" + bytes(6)], "connection refused"),
        ("socks5://proxy", [b"\x05\x00", b"\x05\x63\x00\x01" + bytes(6)], "error 99"),
    ],
)
def test_a_refusal_is_told(url: str, answers: list[bytes], said: str) -> None:
    with pytest.raises(proxy.ProxyError, match=said):
        talk(url, answers)


@pytest.mark.parametrize(
    "url", ["proxy:3128", "ftp://proxy", "http://", "http://proxy:99999", "http://proxy:0", ""]
)
def test_what_is_no_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="proxy-url") as caught:
        proxy.split(url.replace("//", "//me:secret@"))
    assert "secret" not in str(caught.value)
