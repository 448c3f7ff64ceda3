"""What Prometheus answers, put together again to scrapes; and a server that fails."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.model import PlanebenchError, UsageError
from planebench.observe.prometheus import Prometheus, exposition
from planebench.slis.exposition import parse

TARGET = {"job": "etcd", "instance": "10.0.0.1:2381", "pod": "etcd-0"}


def series(family: str, values: list[tuple[float, str]], **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": family, **TARGET, **labels}, "values": [list(pair) for pair in values]}


def test_samples_of_one_time_are_one_scrape() -> None:
    found = exposition(
        [
            series("process_start_time_seconds", [(10.5, "1"), (20.5, "1")]),
            series("x_total", [(10.5, "3"), (20.5, "7")], code="200"),
            series("x_bucket", [(20.5, "4")], le="+Inf", pod="not the target's"),
        ],
        TARGET,
    )
    assert list(found) == [10.5, 20.5]
    scrape = parse(found[20.5].encode(), [".*"])
    assert scrape.samples["process_start_time_seconds"] == {frozenset(): 1}, "the target's labels are not its own"
    assert scrape.samples["x_total"] == {frozenset({("code", "200")}): 7}
    assert scrape.samples["x_bucket"] == {frozenset({("le", "+Inf"), ("pod", "not the target's")}): 4}


@given(st.text(max_size=20), st.floats(allow_nan=False))
def test_any_label_and_value_comes_through(label: str, value: float) -> None:
    text = {float("inf"): "+Inf", float("-inf"): "-Inf"}.get(value, repr(value))
    found = exposition([series("x", [(1.0, text)], name=label)], TARGET)
    scrape = parse(found[1.0].encode(), ["x"])
    if "\r" not in label:  # the parser of the text format takes it for a line's end
        assert scrape.samples["x"] == {frozenset({("name", label)}): value}


class _Answers(http.server.BaseHTTPRequestHandler):
    content: bytes = b""
    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, type[_Answers]]]:
    answers = type("Answers", (_Answers,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", answers
        listening.shutdown()
        thread.join()


def test_processes_are_found(server: tuple[str, type[_Answers]]) -> None:
    url, answers = server
    labels = {"__name__": "up", "job": "etcd", "instance": 'a"b'}
    answers.content = json.dumps({"data": {"result": [{"metric": labels, "value": [1, "1"]}]}}).encode()
    [found] = Prometheus(url).find(["etcd"])
    assert found.selector == 'job="etcd",instance="a\\"b"'


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [(404, b"not found", "HTTP Status Code 404"), (200, b"<html>", "is none"), (200, b"{}", "is none")],
)
def test_something_else_than_a_prometheus(
    status: int, content: bytes, said: str, server: tuple[str, type[_Answers]]
) -> None:
    url, answers = server
    answers.status, answers.content = status, content
    with pytest.raises(PlanebenchError, match=said):
        Prometheus(url).find(["etcd"])


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(PlanebenchError, match=r"Prometheus http://127\.0\.0\.1:1: cannot be reached: .*refused"):
        Prometheus("http://me:secret@127.0.0.1:1/").find(["etcd"])


@pytest.mark.parametrize("url", ["prometheus:9090", "ftp://x", "http://", "http://x:99999"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(UsageError, match="--prometheus"):
        Prometheus(url)
