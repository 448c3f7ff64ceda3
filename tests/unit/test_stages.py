"""The documents that KWOK is given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from golden import assert_golden
from hypothesis import given
from hypothesis import strategies as st

from planebench.model import Manifest, UsageError
from planebench.planes import Plane, builtin_names, load_plane
from planebench.stages import builtin, merge_patch, shard, stages, workers


class _Readable(yaml.SafeDumper):
    """Texts of several lines as such."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Readable.add_representer(str, _Readable.represent_str)


def by_name(plane: Plane, delays_ms: Mapping[str, tuple[int, int]] | None = None) -> dict[str, Manifest]:
    return {stage["metadata"]["name"]: stage for stage in stages(plane, delays_ms)}


@pytest.mark.parametrize("plane", builtin_names())
def test_golden_documents(plane: str) -> None:
    found = yaml.dump_all(stages(load_plane(plane)), Dumper=_Readable, sort_keys=False, width=1000)
    assert_golden(f"stages-{plane}.yaml", found)


@pytest.mark.parametrize("plane", builtin_names())
def test_every_stage_is_whole(plane: str) -> None:
    for name, stage in by_name(load_plane(plane)).items():
        assert (stage["apiVersion"], stage["kind"]) == ("kwok.x-k8s.io/v1alpha1", "Stage"), name
        assert stage["spec"]["resourceRef"]["kind"]
        assert stage["spec"]["selector"]["matchExpressions"]
        assert stage["spec"]["steps"]


def test_the_built_in_ones_take_no_time_of_their_own() -> None:
    """But those that do something again."""
    waiting = [stage["metadata"]["name"] for stage in builtin() if "delay" in stage["spec"]]
    assert waiting == ["node-heartbeat", "pod-delete-again"]


def test_a_plane_s_stage_changes_the_built_in_one_of_its_name() -> None:
    core, kubevirt = by_name(load_plane("core")), by_name(load_plane("kubevirt"))
    assert kubevirt["node-ready"] == core["node-ready"]
    assert kubevirt["node-heartbeat"]["spec"]["delay"]["durationMilliseconds"] == 60_000
    assert kubevirt["node-heartbeat"]["spec"]["selector"] == core["node-heartbeat"]["spec"]["selector"]
    assert kubevirt["pod-start"]["spec"]["steps"] == core["pod-start"]["spec"]["steps"]
    assert "guest-stop" not in core


def test_delays() -> None:
    core = load_plane("core")
    found = by_name(core, {"pod-start": (100, 300)})
    assert found["pod-start"]["spec"]["delay"] == {
        "durationMilliseconds": 100,
        "jitterDurationMilliseconds": 300,
    }
    assert found["pod-start"]["spec"]["steps"] == by_name(core)["pod-start"]["spec"]["steps"]
    assert "delay" not in by_name(core)["pod-start"]["spec"], "nothing was changed for others"


def test_an_unknown_stage_has_no_delay() -> None:
    with pytest.raises(UsageError, match="no KWOK stage is called 'pod-stop'; there are: node-heartbeat, node-re"):
        stages(load_plane("core"), {"pod-stop": (1, 1)})


# --- workers -------------------------------------------------------------------------------------------------


def guests(workers: int) -> list[Manifest]:
    found = stages(load_plane("kubevirt", {"guest_workers": workers}))
    return [stage for stage in found if stage["metadata"]["name"].startswith("guest-start")]


def test_one_worker_needs_no_sharing() -> None:
    (stage,) = guests(1)
    assert stage["metadata"]["name"] == "guest-start"
    assert stage["spec"]["resourceRef"]["kind"] == "VirtualMachineInstance"


@pytest.mark.parametrize("workers", [2, 3, 4, 16])
def test_every_object_has_one_worker(workers: int) -> None:
    found = guests(workers)
    assert [stage["metadata"]["name"] for stage in found] == [f"guest-start-{n}" for n in range(workers)]
    kinds = [stage["spec"]["resourceRef"]["kind"] for stage in found]
    assert len(set(kinds)) == workers, "KWOK tells workers apart by how the kind is written"
    assert {kind.lower() for kind in kinds} == {"virtualmachineinstance"}
    shares = []
    for stage in found:
        assert len(stage["spec"]["selector"]["matchExpressions"]) == 2, "the stage's own condition is kept"
        expression = stage["spec"]["selector"]["matchExpressions"][0]["cel"]["expression"]
        match = re.fullmatch(r'self\.metadata\.uid\.matches\("\[([0-9a-f]+)\]\$"\)', expression)
        assert match is not None
        shares.append(match[1])
    assert sorted("".join(shares)) == sorted("0123456789abcdef")
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("workers", [0, -1, 17])
def test_too_many_workers(workers: int) -> None:
    message = f"stage guest-start: planebench.dev/workers must be from 1 to 16, not {workers}"
    with pytest.raises(UsageError, match=re.escape(message)):
        guests(workers)


def own_plane(folder: Path, stage: str) -> Plane:
    """The plane core with a stage of its own."""
    document = (
        "name: own\ndescription: own\nsimulator: {stages: [stages.yaml]}\n"
        "watches: {pods: {resource: {version: v1, plural: pods, kind: Pod}, milestones: []}}\nworkloads: {}\n"
    )
    (folder / "plane.yaml").write_text(document)
    (folder / "stages.yaml").write_text(stage)
    return load_plane(str(folder))


@pytest.mark.parametrize(
    ("kind", "workers", "problem"),
    [
        ("VM", "3", None),
        ("VM", "4", "must be from 1 to 3, not 4"),
        ("K8s", "4", "must be from 1 to 3, not 4"),
        ("VM", "two", "must be from 1 to 3, not two"),
        ("VM", "1.5", "must be from 1 to 3, not 1.5"),
    ],
)
def test_a_kind_can_be_written_in_so_many_ways(
    tmp_path: Path, kind: str, workers: str, problem: str | None
) -> None:
    stage = (
        f"metadata: {{name: play, annotations: {{planebench.dev/workers: {workers!r}}}}}\n"
        f"spec: {{resourceRef: {{apiGroup: a/v1, kind: {kind}}}, selector: {{}}, steps: []}}\n"
    )
    plane = own_plane(tmp_path, stage)
    if problem is None:
        kinds = {
            stage["spec"]["resourceRef"]["kind"] for stage in stages(plane) if "play" in str(stage["metadata"])
        }
        assert kinds == {"VM", "vM", "vm"}
    else:
        with pytest.raises(UsageError, match=problem):
            stages(plane)


@pytest.mark.parametrize("stage", ["spec: {}", "metadata: {}", "metadata:", "- a", "a"])
def test_a_stage_without_a_name(tmp_path: Path, stage: str) -> None:
    with pytest.raises(UsageError, match=r"plane own: a stage has no metadata\.name, see stages\.yaml"):
        stages(own_plane(tmp_path, stage))


def test_a_stage_without_annotations(tmp_path: Path) -> None:
    plane = own_plane(tmp_path, "metadata: {name: play, annotations: }")
    assert by_name(plane)["play"] == {"metadata": {"name": "play"}}


# --- merge patch ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "patch", "merged"),
    [  # RFC 7396, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=10,
)


@given(json_values, json_values)
def test_a_patch_holds_afterwards_and_nothing_is_modified(target: Any, patch: Any) -> None:
    before = repr(target), repr(patch)
    merged = merge_patch(target, patch)
    assert (repr(target), repr(patch)) == before
    assert merge_patch(merged, patch) == merged, "applied twice it changes nothing more"


@pytest.mark.parametrize(("guest_workers", "of"), [(1, 3), (4, 1), (4, 3), (16, 7)])
def test_each_of_several_kwoks_plays_nodes_pods_and_its_share_of_the_rest(guest_workers: int, of: int) -> None:
    every = stages(load_plane("kubevirt", {"guest_workers": guest_workers}))
    shares = [shard(every, number, of) for number in range(1, of + 1)]
    for share in shares:
        assert [stage for stage in every if stage["spec"]["resourceRef"]["kind"] in ("Node", "Pod")] == [
            stage for stage in share if stage["spec"]["resourceRef"]["kind"] in ("Node", "Pod")
        ]
    others = [
        stage["metadata"]["name"]
        for share in shares
        for stage in share
        if stage["spec"]["resourceRef"]["kind"] not in ("Node", "Pod")
    ]
    assert sorted(others) == sorted(
        stage["metadata"]["name"] for stage in every if stage["spec"]["resourceRef"]["kind"] not in ("Node", "Pod")
    ), "each is played once"


def test_how_many_objects_are_played_at_once() -> None:
    core = workers(stages(load_plane("core")), 16, 8)
    assert core == {"node": 8, "pod": 16}
    kubevirt = workers(stages(load_plane("kubevirt", {"guest_workers": 2})), 16, 8)
    assert kubevirt["pod"] == 16
    assert kubevirt["virtualmachineinstance"] == 2
