"""Requests as they go over the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from planebench.load.dispatch import Rendering
from planebench.model import RequestTemplate

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63)


def render(
    template: RequestTemplate, name: str = "pod-7", namespace: str = "ns", index: int = 7
) -> tuple[str, str]:
    """Head and body."""
    rendering = Rendering(template, "127.0.0.1:6443", "planebench")
    head, _, body = rendering.render(name.encode(), namespace.encode(), index).decode().partition("\r\n\r\n")
    return head, body


def test_a_read_has_no_body() -> None:
    head, body = render(RequestTemplate("get", "pods", "GET", "/api/v1/namespaces/__NAMESPACE__/pods/__NAME__"))
    assert head.split("\r\n") == [
        "GET /api/v1/namespaces/ns/pods/pod-7 HTTP/1.1",
        "Host: 127.0.0.1:6443",
        "User-Agent: planebench",
        "Accept: application/json",
    ]
    assert body == ""


def test_the_form_of_the_reply_is_asked_for() -> None:
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    head, _ = render(RequestTemplate("list", "pods", "GET", "/api/v1/pods", accept=accept))
    assert f"Accept: {accept}" in head.split("\r\n")


def test_a_post_without_a_body_has_no_length_but_zero() -> None:
    head, body = render(RequestTemplate("update", "x", "PUT", "/restart"))
    assert ("Content-Length: 0" in head.split("\r\n"), body) == (True, "")


@given(NAMES, NAMES, st.integers(-1, 10**6))
def test_names_are_put_in_and_the_length_is_right(name: str, namespace: str, index: int) -> None:
    body = b'{"a": "__NAME__", "b": ["__NAMESPACE__", "__NAME__"], "c": "__INDEX__", "d": "100%"}'
    template = RequestTemplate(
        "patch", "x", "PATCH", "/__NAMESPACE__/__NAME__?n=__INDEX__", body, "application/a+json"
    )
    head, found = render(template, name, namespace, index)
    assert found == f'{{"a": "{name}", "b": ["{namespace}", "{name}"], "c": "{index}", "d": "100%"}}'
    lines = head.split("\r\n")
    assert lines[0] == f"PATCH /{namespace}/{name}?n={index} HTTP/1.1"
    assert f"Content-Length: {len(found.encode())}" in lines
    assert "Content-Type: application/a+json" in lines


@given(NAMES, st.integers(0, 10**6))
def test_a_traced_request_names_itself(name: str, operation: int) -> None:
    template = RequestTemplate("create", "pods", "POST", "/api/v1/pods", b'{"name": "__NAME__"}')
    plain = Rendering(template, "h", "a").render(name.encode(), b"ns", 7, operation).decode().split("\r\n")
    traced = Rendering(template, "h", "a", "4f3a2b1c-creation").render(name.encode(), b"ns", 7, operation).decode()
    named = f"Audit-ID: 4f3a2b1c-creation-{operation}"
    assert [line for line in traced.split("\r\n") if line != named] == plain
    assert traced.split("\r\n").count(named) == 1
