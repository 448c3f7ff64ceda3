"""How options' values are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from planebench import scenario
from planebench.binaries import Sources
from planebench.binaries.component import spec
from planebench.cli.options import component_paths, pairs, seconds, sources, version_settings
from planebench.model import UsageError
from planebench.planes import load_plane
from planebench.run import provision


def test_pairs() -> None:
    assert pairs(["a.b=1", "c=x=y"], "--set") == {"a.b": "1", "c": "x=y"}
    assert pairs(None, "--set") == {}


@pytest.mark.parametrize("values", [["novalue"], ["=1"], ["a=1", "a=2"]])
def test_pairs_that_are_none_name_their_flag(values: list[str]) -> None:
    with pytest.raises(UsageError, match="--set "):
        pairs(values, "--set")


def test_component_paths() -> None:
    assert component_paths(["etcd=/bin/etcd"]) == {"etcd": Path("/bin/etcd")}


def test_seconds() -> None:
    assert seconds("10m", "--timeout") == 600
    assert seconds(None, "--timeout") is None
    with pytest.raises(UsageError, match="--timeout soon"):
        seconds("soon", "--timeout")


def test_versions_become_fields_of_a_scenario() -> None:
    chosen = {"kubernetes": "1.35.4", "kubevirt": "1.7.0"}
    assert version_settings(chosen) == {"versions.kubernetes": '"1.35.4"', "versions.kubevirt": '"1.7.0"'}
    wanted = scenario.load("smoke", version_settings(chosen))
    assert wanted.versions == chosen


def test_sources() -> None:
    found = sources(["cache", "go"], "mirror.example.com", ["etcd=/e"], Path("/k"))
    assert found == Sources(["cache", "go"], "mirror.example.com", {"etcd": Path("/e"), "kubernetes": Path("/k")})


@pytest.mark.parametrize("value", ["1.35", "latest", "{}", "1.35.4.1"])
def test_a_version_in_a_scenario_is_a_whole_one(value: str) -> None:
    with pytest.raises(UsageError, match=r"versions\.kubernetes: .*a whole version, for instance 1\.35\.4"):
        scenario.load("smoke", {"versions.kubernetes": value})


def test_a_plane_s_objects_belong_to_a_version() -> None:
    wanted = scenario.load("kubevirt-density")
    plane = load_plane(wanted.plane, wanted.settings)
    assert provision.versions(wanted, plane) == {"kubevirt": "1.8.4"}
    other = scenario.load("kubevirt-density", {"versions.kubevirt": "1.7.0"})
    with pytest.raises(UsageError, match=r"versions\.kubevirt: 1\.7\.0 does not go with plane kubevirt"):
        provision.versions(other, plane)
    assert plane.versions["kubevirt"] == spec("virt-api").version.removeprefix("v")
