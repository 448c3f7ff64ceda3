"""How options' values are read."""

from __future__ import annotations

import gzip
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


@pytest.mark.parametrize("version", ["1.8.2", "v1.8.2"])
def test_a_plane_takes_the_objects_of_a_version(version: str) -> None:
    wanted = scenario.load("kubevirt-density", {"versions.kubevirt": version})
    plane = load_plane(wanted.plane, wanted.settings, wanted.versions)
    assert provision.versions(wanted, plane) == {"kubevirt": "1.8.2"}
    assert plane.description.startswith("KubeVirt v1.8.2,")
    other = load_plane("kubevirt")
    assert plane.manifests(plane.install[1]) != other.manifests(other.install[1])
    assert "v1.8.4" not in plane.as_json()


def test_a_version_of_which_a_plane_has_no_objects() -> None:
    with pytest.raises(
        UsageError,
        match=r"versions: plane kubevirt has no .* of kubevirt 1\.7\.0 .* of 1\.8\.2, 1\.8\.4; choose one",
    ):
        scenario.load("kubevirt-density", {"versions.kubevirt": "1.7.0"})


def test_manifests_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "manifests-v1.7.0.json.gz").write_bytes(gzip.compress(b'{"kind": "PriorityClass"}'))
    wanted = scenario.load("kubevirt-density", {"versions.kubevirt": "1.7.0", "settings.manifests": str(tmp_path)})
    plane = load_plane(wanted.plane, wanted.settings, wanted.versions)
    assert provision.versions(wanted, plane) == {"kubevirt": "1.7.0"}


def test_a_plane_s_objects_belong_to_a_version() -> None:
    wanted = scenario.load("kubevirt-density")
    plane = load_plane(wanted.plane, wanted.settings)
    assert provision.versions(wanted, plane) == {"kubevirt": "1.8.4"}
    other = scenario.load("kueue-density", {"versions.kueue": "0.16.0"})
    kueue = load_plane(other.plane, other.settings, other.versions)
    with pytest.raises(UsageError, match=r"versions\.kueue: 0\.16\.0 does not go with plane kueue"):
        provision.versions(other, kueue)
    assert plane.versions["kubevirt"] == spec("virt-api").version.removeprefix("v")
