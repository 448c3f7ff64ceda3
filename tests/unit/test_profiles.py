"""Profiles: read back what was written, whatever it is; packages, garbage collection, folded stacks."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planebench.model import PlanebenchError
from planebench.profiles import Profile, ProfileError, by_package, decode, folded, gc_share, package_of
from planebench.results import RunFolder
from planebench.slis.profiles import flame, profile_results

CPU = (("samples", "count"), ("cpu", "nanoseconds"))


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def encode(profile: Profile, *, packed: bool = True) -> bytes:
    """As Go writes it: one location with one line for each function."""
    names = ["", *dict.fromkeys(text for kind in profile.types for text in kind)]
    functions = list(dict.fromkeys(name for stack in profile.stacks for name in stack))
    strings = list(dict.fromkeys([*names, *functions]))
    content = bytearray()
    for kind, unit in profile.types:
        content += chunk(1, number(1, strings.index(kind)) + number(2, strings.index(unit)))
    for stack, values in zip(profile.stacks, profile.values, strict=True):
        places = [functions.index(name) + 1 for name in reversed(stack)]
        if packed:
            sample = chunk(1, b"".join(map(varint, places))) + chunk(2, b"".join(map(varint, values)))
        else:
            sample = b"".join(number(1, place) for place in places) + b"".join(
                number(2, value) for value in values
            )
        content += chunk(2, sample)
    for place, name in enumerate(functions, 1):
        content += chunk(4, number(1, place) + number(3, 0x400000) + chunk(4, number(1, place) + number(2, 7)))
        content += chunk(5, number(1, place) + number(2, strings.index(name)))
    for text in strings:
        content += chunk(6, text.encode())
    return bytes(content + number(10, profile.duration_ns))


def cpu(*samples: tuple[Sequence[str], int]) -> Profile:
    return Profile(
        CPU, tuple(tuple(stack) for stack, _ in samples), tuple((1, value) for _, value in samples), 10**10
    )


amounts = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    types = tuple(draw(st.lists(st.tuples(texts, texts), min_size=1, max_size=4)))
    stacks = draw(st.lists(st.lists(texts, max_size=5).map(tuple), max_size=8))
    values = tuple(tuple(draw(st.lists(amounts, min_size=len(types), max_size=len(types)))) for _ in stacks)
    return Profile(types, tuple(stacks), values, draw(st.integers(0, 2**62)))


@given(profiles(), st.booleans(), st.booleans())
def test_what_is_written_is_read(profile: Profile, packed: bool, zipped: bool) -> None:
    content = encode(profile, packed=packed)
    assert decode(gzip.compress(content) if zipped else content) == profile


@given(profiles(), st.data())
def test_a_torn_profile_is_an_error_or_a_shorter_one(profile: Profile, data: st.DataObject) -> None:
    content = encode(profile)
    cut = data.draw(st.integers(0, len(content)))
    try:
        decode(content[:cut])
    except ProfileError as error:
        assert "is no profile" in str(error)


@given(st.binary(max_size=200))
def test_anything_else_is_an_error_of_its_own_kind(content: bytes) -> None:
    with contextlib.suppress(ProfileError):
        decode(content)


def test_inlined_calls_come_innermost_first() -> None:
    strings = ["", "cpu", "nanoseconds", "main.outer", "main.inlined"]
    lines = chunk(4, number(1, 2)) + chunk(4, number(1, 1))
    content = chunk(1, number(1, 1) + number(2, 2)) + chunk(2, chunk(1, varint(9)) + chunk(2, varint(5)))
    content += chunk(4, number(1, 9) + lines)
    content += chunk(5, number(1, 1) + number(2, 3)) + chunk(5, number(1, 2) + number(2, 4))
    content += b"".join(chunk(6, text.encode()) for text in strings)
    assert decode(content).stacks == (("main.outer", "main.inlined"),)


@pytest.mark.parametrize(
    ("function", "package"),
    [
        ("k8s.io/apimachinery/pkg/runtime.(*codec).Decode", "k8s.io/apimachinery/pkg/runtime"),
        ("runtime.mallocgc", "runtime"),
        ("encoding/json.(*decodeState).object", "encoding/json"),
        ("sigs.k8s.io/structured-merge-diff/v6/value.Equals", "sigs.k8s.io/structured-merge-diff/v6/value"),
        ("k8s.io/client-go/tools/cache.(*cache[go.shape.*uint8]).Add", "k8s.io/client-go/tools/cache"),
        ("sync.(*Map[k8s.io/api/core/v1.Pod]).Load", "sync"),
        ("gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml.v3"),
        ("a.io/b/vendor/c.io/d.f", "c.io/d"),
        ("aeshashbody", "aeshashbody"),
    ],
)
def test_a_function_s_package(function: str, package: str) -> None:
    assert package_of(function) == package


def test_a_package_is_charged_with_what_it_calls_of_the_standard_library() -> None:
    profile = cpu(
        (("net/http.serve", "a.io/x.Handle", "b.io/y.Encode", "encoding/json.Marshal", "runtime.mallocgc"), 60),
        (("net/http.serve", "a.io/x.Handle"), 30),
        (("runtime.gcBgMarkWorker", "runtime.gcDrain"), 10),
    )
    shares = {share.package: share for share in by_package(profile, "cpu")}
    assert {name: share.charged for name, share in shares.items() if share.charged} == {
        "b.io/y": 0.6,
        "a.io/x": 0.3,
        "runtime": 0.1,
    }
    assert shares["runtime"].flat == pytest.approx(0.7)
    assert shares["a.io/x"].cumulative == pytest.approx(0.9)
    assert shares["runtime"].cumulative == pytest.approx(0.7)
    assert next(iter(shares)) == "b.io/y"


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["runtime.x", "a.io/b.f", "fmt.P", "main.m"]), min_size=1), st.integers(1, 9)
        ),
        min_size=1,
    )
)
def test_flat_shares_and_charges_add_up(samples: list[tuple[list[str], int]]) -> None:
    shares = by_package(cpu(*samples), "cpu")
    assert sum(share.flat for share in shares) == pytest.approx(1)
    assert sum(share.charged for share in shares) == pytest.approx(1)
    assert all(share.flat <= share.cumulative <= 1 + 1e-9 for share in shares)


def test_garbage_collection_counts_the_collector_s_workers_and_what_allocating_costs() -> None:
    profile = cpu(
        (("runtime.gcBgMarkWorker", "runtime.gcBgMarkWorker.func2", "runtime.gcDrain", "runtime.scanobject"), 20),
        (("main.f", "runtime.mallocgc", "runtime.gcAssistAlloc", "runtime.gcAssistAlloc1"), 5),
        (("main.f", "runtime.mallocgc"), 75),
    )
    assert gc_share(profile) == 0.25
    assert gc_share(cpu()) == 0
    assert by_package(cpu(), "cpu") == []


def test_folded_stacks_are_added_up() -> None:
    profile = cpu((("a.f", "b;c.g"), 5), (("a.f", "b;c.g"), 2), (("a.f",), 0))
    assert folded(profile, "cpu") == ["a.f;b:c.g 7"]
    assert folded(profile, "samples") == ["a.f 1", "a.f;b:c.g 2"]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    found = RunFolder.create(tmp_path / "run")
    found.profiles.mkdir()
    profile = cpu((("main.main", "a.io/x.F"), 2_000_000_000), (("runtime.gcBgMarkWorker",), 500_000_000))
    (found.profiles / "etcd.cpu.pb.gz").write_bytes(gzip.compress(encode(profile)))
    (found.profiles / "torn.cpu.pb.gz").write_bytes(b"\x1f\x8bno")
    common = {"component": "etcd", "kind": "cpu", "start_ns": 10**9, "end_ns": 2 * 10**9}
    entries = [
        {**common, "process": "etcd", "file": "etcd.cpu.pb.gz", "error": None},
        {**common, "process": "torn", "file": "torn.cpu.pb.gz", "error": None},
        {**common, "process": "kwok", "file": "kwok.cpu.pb.gz", "error": "HTTP 404: not found"},
    ]
    (found.profiles / "index.json").write_text(json.dumps(entries))
    return found


def test_a_run_s_profiles_are_summed_up(folder: RunFolder) -> None:
    etcd, kwok, torn = profile_results(folder)
    assert (etcd.total, etcd.gc_share, etcd.duration_s, etcd.start_s) == (2.5, 0.2, 10.0, 1.0)
    assert [(package.package, package.charged) for package in etcd.packages[:2]] == [
        ("a.io/x", 0.8),
        ("runtime", 0.2),
    ]
    assert kwok.error == "HTTP 404: not found"
    assert torn.error is not None and "is no profile" in torn.error
    assert flame(folder, "etcd") == ["main.main;a.io/x.F 2000000000", "runtime.gcBgMarkWorker 500000000"]


def test_a_profile_that_is_not_there_or_torn_is_named(folder: RunFolder) -> None:
    with pytest.raises(PlanebenchError, match=r"kwok\.cpu\.pb\.gz: cannot be read"):
        flame(folder, "kwok")
    with pytest.raises(PlanebenchError, match=r"torn\.cpu\.pb\.gz: is no profile"):
        flame(folder, "torn")
    (folder.profiles / "index.json").write_text("[{}]")
    with pytest.raises(PlanebenchError, match=r"index\.json: is damaged"):
        profile_results(folder)


def test_a_run_without_profiles_has_none(tmp_path: Path) -> None:
    assert profile_results(RunFolder.create(tmp_path / "run")) == ()
