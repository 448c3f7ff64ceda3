import gzip
import json
import re
from importlib import resources

import pytest

from planebench.binaries import catalog
from planebench.binaries.build import linker_flags
from planebench.binaries.component import ComponentSpec, spec
from planebench.model import UsageError


def test_catalogue_takes_versions_from_the_modules() -> None:
    assert {one.name: one.version for one in catalog()} == {
        "etcd": "v3.7.3",
        "kwok": "v0.8.0",
        "toxiproxy": "v2.12.0",
        "kube-apiserver": "v1.37.2",
        "kube-scheduler": "v1.37.2",
        "kube-controller-manager": "v1.37.2",
        "kueue": "v0.17.0",
        "virt-api": "v1.8.4",
        "virt-controller": "v1.8.4",
    }


def test_components_of_a_graph_stand_together_and_share_their_flags() -> None:
    graphs = [one.graph for one in catalog()]
    assert graphs == sorted(graphs, key=graphs.index)
    for one in catalog():
        assert len({linker_flags(other) for other in catalog() if other.graph == one.graph}) == 1


def test_unknown_component_is_named_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'kubelet'; known components: toxiproxy, etcd, kwok"):
        spec("kubelet")


@pytest.mark.parametrize("one", catalog(), ids=lambda one: one.name)
def test_modules_name_the_component_as_a_tool_and_pin_every_sum(one: ComponentSpec) -> None:
    go_mod = (one.module_dir / "go.mod").read_text()
    assert re.search(rf"^(tool|\t)\s*{re.escape(one.package)}$", go_mod, re.MULTILINE)
    replaced = dict(re.findall(r"^\t(\S+) => (\S+ v\S+)$", go_mod, re.MULTILINE))
    required = re.findall(r"^\t(\S+) (v\S+)(?: // indirect)?$", go_mod, re.MULTILINE)
    assert len(required) > (15 if one.name == "toxiproxy" else 50), "one of them is small"
    go_sum = (one.module_dir / "go.sum").read_text()
    for module, version in required:
        pinned = replaced.get(module, f"{module} {version}")
        assert f"{pinned}/go.mod h1:" in go_sum


def test_kubernetes_stamps_its_version() -> None:
    flags = linker_flags(spec("kube-apiserver"))
    assert flags.startswith("-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 ")
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=37 " in flags


def test_kubevirt_manifests_are_of_the_version_that_is_built() -> None:
    version = spec("virt-controller").version
    data = resources.files("planebench.planes.kubevirt") / f"manifests-{version}.json.gz"
    assert json.loads(gzip.decompress(data.read_bytes()))["version"] == version
