"""Flame graphs: frames of folded stacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.report.html.flame import LEAST, MOST_DEPTH, flame, kind_of

NAMES = st.sampled_from(
    ["main.main", "runtime.mallocgc", "net/http.(*conn).serve", "k8s.io/a/b.(*C).D", "x.org/y.Z"]
)
STACKS = st.lists(st.tuples(st.lists(NAMES, min_size=1, max_size=6), st.integers(0, 1000)), max_size=30)


def test_frames_are_below_their_callers_the_widest_first() -> None:
    found = flame(["a;b 1", "a;c 2", "d 1"])
    assert found is not None
    assert [(frame.function, frame.depth, frame.left, frame.width) for frame in found.frames] == [
        ("a", 0, 0.0, 0.75),
        ("c", 1, 0.0, 0.5),
        ("b", 1, 0.5, 0.25),
        ("d", 0, 0.75, 0.25),
    ]
    assert (found.total, found.depth) == (4, 2)


def test_what_cannot_be_read_is_left_out_with_what_it_calls() -> None:
    found = flame(["a 1000", "b;c 1"])
    assert found is not None
    assert [frame.function for frame in found.frames] == ["a"]
    assert LEAST > 1 / 1001


def test_nothing_has_no_graph() -> None:
    assert flame([]) is None
    assert flame(["a 0"]) is None


def test_deep_stacks_are_cut() -> None:
    found = flame([";".join(f"f{number}" for number in range(500)) + " 1"])
    assert found is not None
    assert found.depth == MOST_DEPTH


@given(STACKS)
def test_frames_lie_within_their_callers(stacks: list[tuple[list[str], int]]) -> None:
    found = flame(f"{';'.join(functions)} {value}" for functions, value in stacks)
    total = sum(value for _, value in stacks)
    if found is None:
        assert total == 0
        return
    assert found.total == total
    callers: list[tuple[float, float]] = []
    for frame in found.frames:
        callers[frame.depth :] = [(frame.left, frame.left + frame.width)]
        assert frame.width >= LEAST
        if frame.depth:
            left, right = callers[frame.depth - 1]
            assert left - 1e-9 <= frame.left <= frame.left + frame.width <= right + 1e-9


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        ("runtime.mallocgc", "runtime"),
        ("internal/runtime/maps.(*Map).Set", "runtime"),
        ("net/http.(*conn).serve", "standard"),
        ("k8s.io/apiserver/pkg/server.(*Handler).ServeHTTP", "kubernetes"),
        ("sigs.k8s.io/json.Unmarshal", "kubernetes"),
        ("go.etcd.io/bbolt.(*Tx).Commit", "etcd"),
        ("example.com/client-go/api.Get", "plane"),
        ("example.common/api.Get", "other"),
        ("google.golang.org/grpc.(*Server).handle", "other"),
        ("main.main", "other"),
    ],
)
def test_colours_say_what_a_function_belongs_to(function: str, kind: str) -> None:
    assert kind_of(function, ["example.com"]) == kind
