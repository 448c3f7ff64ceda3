from __future__ import annotations

import pytest

from planebench.load.messages import MOST_MESSAGES, OTHERS, Messages, collapse


@pytest.mark.parametrize(
    ("message", "collapsed"),
    [
        ('pods "pod-0123" is forbidden: no', 'pods "<name>" is forbidden: no'),
        ('pods "pod-0123" not found', 'pods "<name>" not found'),
        ('namespaces "load-1" not found', 'namespaces "<namespace>" not found'),
        ("load-1/pod-0123: pod-0123-a pod-0123.local", "<namespace>/<name>: pod-0123-a pod-0123.local"),
        ("ends with pod-0123.", "ends with <name>."),
        ("Precondition failed: UID c1fcc8b8-70a1-44e4-b9e7-6cefdc0aa000", "Precondition failed: UID <uid>"),
        ("resourceVersion 1234567 too old", "resourceVersion <number> too old"),
        ("exceeded quota: requested 1, limited 10", "exceeded quota: requested 1, limited 10"),
    ],
)
def test_names_collapse(message: str, collapsed: str) -> None:
    assert collapse(message, "pod-0123", "load-1") == collapsed


def test_no_name_replaces_nothing() -> None:
    assert collapse("a message", "", "") == "a message"


def test_counts() -> None:
    messages = Messages()
    for number in range(MOST_MESSAGES + 5):
        messages.add(f"message {number}")
    messages.add("message 0")
    assert messages.counts["message 0"] == 2
    assert messages.counts[OTHERS] == 5
    assert len(messages.counts) == MOST_MESSAGES + 1
