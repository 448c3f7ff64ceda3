"""Planes: the built-in ones are whole, and what is wrong with one's own is told in one line."""

from __future__ import annotations

import ast
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import planebench
from planebench.model import INDEX_LABEL, UsageError
from planebench.observe.milestones import ObjectType, Reducer
from planebench.planes import Plane, Setting, builtin_names, load_plane
from planebench.planes.plane import ManifestFile, substitute
from planebench.scenario import builtin_names as builtin_scenarios

BUILTIN = builtin_names()

OWN = """
name: own
description: a plane of one's own
settings: {size: 3, image: example.com/app, fast: true}
install: [{file: objects.yaml}]
processes:
  - name: controller
    component: controller
    user: {name: system:controller}
    argv: ["--port=${port}", "--size=${size}"]
    ready: {path: /readyz}
services: [{name: webhook, namespace: own, process: controller}]
watches:
  things:
    resource: {group: example.com, version: v1, plural: things, kind: Thing}
    milestones: [{name: ready, field: status.ready, equals: "true"}]
  pods:
    resource: {version: v1, plural: pods, kind: Pod}
    milestones: [{name: scheduled, field: spec.nodeName}]
workloads:
  thing:
    description: things
    resource: {group: example.com, version: v1, plural: things, kind: Thing}
    manifest: thing.yaml
    tracked: things
    watches: [things, pods]
    bound: {watch: pods, milestone: scheduled}
    up: {watch: things, milestone: ready}
    changes:
      stop:
        body: {spec: {replicas: 0}}
        converged: {watch: things, seen: revision}
      start:
        body: {spec: {replicas: "${size}", revision: __REVISION__}}
        converged: {watch: things, seen: successor, milestone: ready}
        needs: stop
"""
THING = """
apiVersion: example.com/v1
kind: Thing
metadata: {name: __NAME__, namespace: __NAMESPACE__}
spec: {size: "${size}", image: "${image}:v${size}", fast: "${fast}", index: __INDEX__}
"""
OBJECTS = """
apiVersion: v1
kind: Namespace
metadata: {name: own}
---
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {kind: not-an-object}}
  - nested:
      - {apiVersion: v1, kind: Secret, metadata: {name: b}}
---
"""


def test_no_code_knows_a_plane_beside_core() -> None:
    """Names of built-in planes and of their components are data; a scenario's name may be a default."""
    others = [plane for plane in map(load_plane, BUILTIN) if plane.name != "core"]
    names = {name for plane in others for name in (plane.name, *(one.component for one in plane.processes))}
    found = [
        f"{file.name}: {node.value}"
        for file in Path(planebench.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        if any(name in node.value for name in names) and node.value not in builtin_scenarios()
    ]
    # Examples of field paths and ids in docstrings.
    assert [line for line in found if not line.startswith("model.py: ")] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plane.yaml").write_text(OWN)
    (tmp_path / "thing.yaml").write_text(THING)
    (tmp_path / "objects.yaml").write_text(OBJECTS)
    return tmp_path


def changed(folder: Path, *path: Any, to: Any) -> str:
    """The plane's folder with one value of its descriptor changed; None takes it out."""
    document = yaml.safe_load(OWN)
    place = document
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    (folder / "plane.yaml").write_text(yaml.safe_dump(document))
    return str(folder)


def with_process(folder: Path, **fields: Any) -> None:
    """The same with some fields of its process set."""
    document = yaml.safe_load(OWN)
    document["processes"][0] |= fields
    (folder / "plane.yaml").write_text(yaml.safe_dump(document))


# --- the built-in ones ---------------------------------------------------------------------------------------


def test_those_that_are_built_in() -> None:
    assert BUILTIN == ["core", "kubevirt", "kueue"]


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_plane_loads_whole(name: str) -> None:
    """Every file that it names exists and can be read, every placeholder in it is known."""
    plane = load_plane(name)
    assert (plane.name, bool(plane.description)) == (name, True)
    for source in (*plane.install, *plane.expose, *plane.namespace):
        found = plane.manifests(source)
        assert {item["kind"] for item in found} >= set(source.kinds), f"{source.file} has all kinds"
        assert all(item["metadata"]["name"] for item in found)
    plane.stages()
    for workload in plane.workloads:
        template = plane.create(workload)
        body = json.loads(template.body)
        assert body["kind"] == plane.workload(workload).resource.kind
        assert body["metadata"]["labels"][INDEX_LABEL] == "__INDEX__"
        assert b"${" not in template.body
        namespaced = plane.workload(workload).resource.namespaced
        place = "/namespaces/__NAMESPACE__/" if namespaced else "/"
        assert plane.delete(workload).path.endswith(place + template.path.split("/")[-1] + "/__NAME__")
        for change in plane.workload(workload).changes:
            assert b"__REVISION__" not in plane.change(workload, change, revision="1").body
    assert plane.limits
    assert plane.unfaithful


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_field_paths_are_understood(name: str) -> None:
    plane = load_plane(name)
    for key, watch in plane.watches.items():
        fields = [watch.owner_field, watch.node_field, watch.revision_field]
        fields += [milestone.field for milestone in watch.milestones]
        ObjectType([field for field in fields if field])
        Reducer(watch.spec(key))


@pytest.mark.parametrize("name", BUILTIN)
def test_every_setting_is_used(name: str) -> None:
    """A setting with another value changes something beside itself."""
    plane = load_plane(name)

    def everything(plane: Plane) -> str:
        found: list[Any] = [plane.model_dump(exclude={"settings"}), plane.stages()]
        sources = (*plane.install, *plane.expose, *plane.namespace)
        found += [plane.manifests(source) for source in sources if ".json" not in source.file]
        found += [plane.manifest(workload) for workload in plane.workloads]
        return json.dumps(found)

    of_files = {"kubevirt_version": "1.8.2", "manifests": "../kubevirt"}
    for key, value in plane.settings.items():
        other = of_files.get(key, f"{value}x") if isinstance(value, str) else int(value) + 1
        assert everything(load_plane(name, {key: other})) != everything(plane), key


def test_kubevirt_s_seeds_come_with_their_status() -> None:
    plane = load_plane("kubevirt")
    (seeds,) = [source for source in plane.install if source.with_status]
    kubevirt = next(item for item in plane.manifests(seeds) if item["kind"] == "KubeVirt")
    assert kubevirt["status"]["phase"] == "Deployed", "without it KubeVirt's components ignore the object"
    limiter = kubevirt["spec"]["configuration"]["controllerConfiguration"]["restClient"]["rateLimiter"]
    assert limiter == {"tokenBucketRateLimiter": {"qps": 200, "burst": 400}}


@pytest.mark.parametrize("name", ["kubevirt", "kueue"])
def test_webhooks_refer_to_the_plane_s_services(name: str) -> None:
    plane = load_plane(name)
    known = {(service.namespace, service.name) for service in plane.services}
    objects = [item for source in plane.expose for item in plane.manifests(source)]
    configured = [webhook["clientConfig"]["service"] for item in objects for webhook in item.get("webhooks", ())]
    configured += [item["spec"]["service"] for item in objects if item["kind"] == "APIService"]
    assert configured
    assert {(service["namespace"], service["name"]) for service in configured} <= known


def test_kueue_s_configuration_names_the_places_of_its_process() -> None:
    plane = load_plane("kueue", {"kueue_qps": 77})
    process = plane.process("kueue")
    values: dict[str, Setting] = dict.fromkeys(process.placeholders, "x") | {
        "port": 1,
        "health_port": 2,
        "metrics_port": 3,
    }
    text = plane.files(process, values | {"cert_folder": "/certificates"})["config.yaml"]
    found = yaml.safe_load(text)
    assert found["webhook"] == {"host": "127.0.0.1", "port": 1, "certDir": "/certificates"}
    assert found["health"] == {"healthProbeBindAddress": "127.0.0.1:2"}
    assert found["metrics"]["bindAddress"] == "127.0.0.1:3"
    assert found["clientConnection"] == {"qps": 77, "burst": 100}
    assert found["integrations"]["labelKeysToCopy"] == [INDEX_LABEL]


def test_kueue_s_own_certificates_find_no_webhooks_to_go_into() -> None:
    """It looks for them by these names; planebench's go by URL, with certificates of planebench's own."""
    plane = load_plane("kueue")
    names = {item["metadata"]["name"] for source in plane.expose for item in plane.manifests(source)}
    assert not {name for name in names if name.startswith("kueue-")}


# --- loading -------------------------------------------------------------------------------------------------


def test_a_plane_of_one_s_own(folder: Path) -> None:
    plane = load_plane(str(folder), {"size": 5})
    assert plane.settings == {"size": 5, "image": "example.com/app", "fast": True}
    assert plane.process("controller").argv == ("--port=${port}", "--size=5")
    assert plane.manifest("thing")["spec"] == {
        "size": 5,
        "image": "example.com/app:v5",
        "fast": True,
        "index": "__INDEX__",
    }
    assert plane.stages() == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing",
            r"plane 'nothing' is neither built in \(core, kubevirt, kueue\) nor a folder with a plane\.yaml",
        ),
        ("", "plane '' is neither built in"),
        ("../planes/core", "is neither built in"),
        (".", "is neither built in"),
        ("kubevirt/vm.yaml", "is neither built in"),
    ],
)
def test_no_such_plane(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        load_plane(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sise": 4}, r"plane core has no setting 'sise'; it has: added_replicas, completions, daemon_cpu, "),
        ({"pod_cpu": 4}, r"setting 'pod_cpu' of plane core must be of type str, not 4"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_plane("core", settings)


def test_a_process_with_further_ports_and_files(folder: Path) -> None:
    ready = {"path": "/healthz", "port": "health", "tls": False}
    with_process(folder, ports=["health"], ready=ready, metrics="/stats", files=["settings.conf"])
    (folder / "settings.conf").write_text("listen ${health_port}, image ${image}, in ${folder}\n")
    plane = load_plane(str(folder))
    process = plane.process("controller")
    assert (process.metrics and process.metrics.path, process.ready.port) == ("/stats", "health")
    values: dict[str, Setting] = {"health_port": 4711, "folder": "/there"}
    assert plane.files(process, values) == {"settings.conf": "listen 4711, image example.com/app, in /there\n"}


def test_a_process_without_metrics(folder: Path) -> None:
    with_process(folder, metrics=None)
    assert load_plane(str(folder)).process("controller").metrics is None


def test_an_unknown_placeholder_in_a_process_s_file(folder: Path) -> None:
    changed(folder, "processes", 0, "files", to=["settings.conf"])
    (folder / "settings.conf").write_text("listen ${health_port}\n")
    with pytest.raises(UsageError, match=r"settings\.conf: \$\{health_port\} is unknown to process controller"):
        load_plane(str(folder))


def test_binaries_of_a_plane_s_own(folder: Path) -> None:
    changed(folder, "binaries", to={"controller": "bin/controller"})
    with pytest.raises(UsageError, match=r"binaries\.controller: there is no file bin/controller"):
        load_plane(str(folder))
    (folder / "bin").mkdir()
    (folder / "bin" / "controller").touch()
    assert load_plane(str(folder)).own_binaries() == {"controller": folder / "bin" / "controller"}


def test_a_truth_value_is_no_number(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"setting 'size' of plane .* must be of type int, not True"):
        load_plane(str(folder), {"size": True})


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("name",), None, "plane.yaml: name: Field required"),
        (("naem",), "x", "plane.yaml: naem: Extra inputs are not permitted"),
        (("settings",), [1], "plane.yaml: settings: must be a mapping"),
        (("settings", "size"), {"a": 1}, r"plane.yaml: settings\.size\.\w+: "),
        (("watches", "pods", "milestones", 0, "one_off"), ["a"], r"watches\.pods\.milestones\.0\.one_off: Extra"),
        (("processes", 0, "argv"), ["--a=${nothing}"], "controller has .{nothing} in its argv, which is unknown"),
        (("services", 0, "port"), "x", "services: webhook: process controller has no port 'x'"),
        (("processes", 0, "ready"), {"path": "/", "port": "x"}, "controller: ready: there is no port 'x'"),
        (("processes", 0, "metrics"), {"port": "x"}, "controller: metrics: there is no port 'x'"),
        (("processes", 0, "metrics"), {"account": "x"}, r"metrics\.account must be NAMESPACE/NAME"),
        (("processes", 0, "files"), ["x"], r"processes\.controller\.files: there is no file x"),
        (("namespace",), [{"file": "x.yaml"}], r"namespace: there is no file x\.yaml"),
        (("services", 0, "process"), "x", "services: webhook refers to an unknown process 'x'"),
        (("workloads", "thing", "tracked"), "x", "workloads.thing refers to an unknown watch 'x'"),
        (("workloads", "thing", "watches"), ["pods"], "the tracked watch 'things' is not among its watches"),
        (
            ("workloads", "thing", "watches"),
            ["things"],
            "bound refers to 'pods', which is not among the workload's",
        ),
        (("workloads", "thing", "up", "milestone"), "x", "up refers to an unknown milestone 'x' of things"),
        (
            ("workloads", "thing", "changes", "start", "converged", "milestone"),
            "x",
            "changes.start refers to an unknown milestone 'x'",
        ),
        (
            ("workloads", "thing", "changes", "start", "converged", "seen"),
            "x",
            r"converged\.seen: Input should be",
        ),
        (("workloads", "thing", "changes", "start", "needs"), "x", "changes.start needs an unknown change 'x'"),
        (("workloads", "thing", "manifest"), "x.yaml", r"workloads\.thing\.manifest: there is no file x\.yaml"),
        (("install", 0, "file"), "x.yaml", "install: there is no file x.yaml"),
        (("expose",), [{"file": "x.yaml"}], "expose: there is no file x.yaml"),
        (("simulator",), {"stages": ["x.yaml"]}, r"simulator\.stages: there is no file x\.yaml"),
        (("limits",), [{"component": "x", "meaning": "workers"}], "x: workers: needs a value or a default"),
        (
            ("figures",),
            {"controller": {"metrics": [{"id": "a", "title": "a", "kind": "gauge", "family": "("}]}},
            r"a: '\(' is no regular expression",
        ),
    ],
)
def test_what_is_wrong_is_named(folder: Path, path: tuple[Any, ...], to: Any, message: str) -> None:
    name = changed(folder, *path, to=to)
    with pytest.raises(UsageError, match=message) as raised:
        load_plane(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "plane.yaml: must hold one mapping"),
        (b"- a", "must hold one mapping"),
        (b"a: 1\n---\nb: 2", "must hold one mapping"),
        (b"a: [", "plane.yaml: cannot be read: while parsing"),
        (b"a: \xff\xfe", "cannot be read"),
        (b"a: &a [*a]", "must be plain data"),
        (b"2026-01-01: a", "must be plain data"),
        (b"? [a]\n: b", "cannot be read"),
        (b"a: " + b"[" * 5000, "cannot be read"),
        (b"name: 2026-01-01\ndescription: a date", "watches: Field required"),
    ],
)
def test_a_descriptor_that_is_none(folder: Path, content: bytes, message: str) -> None:
    (folder / "plane.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=message) as raised:
        load_plane(str(folder))
    assert "\n" not in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(yaml.safe_load(OWN))),
)
def test_no_descriptor_leads_to_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, value: Any, key: str
) -> None:
    folder = tmp_path_factory.mktemp("plane")
    for name, content in (("thing.yaml", THING), ("objects.yaml", OBJECTS)):
        (folder / name).write_text(content)
    document = yaml.safe_load(OWN) | {key: value}
    (folder / "plane.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    try:
        plane = load_plane(str(folder))
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(plane, Plane)


# --- its files -----------------------------------------------------------------------------------------------


def test_objects_at_any_depth_in_the_file_s_order(folder: Path) -> None:
    plane = load_plane(str(folder))
    assert [item["kind"] for item in plane.manifests(ManifestFile(file="objects.yaml"))] == [
        "Namespace",
        "ConfigMap",
        "Secret",
    ]
    chosen = plane.manifests(ManifestFile(file="objects.yaml", kinds=("Secret", "Namespace")))
    assert [item["kind"] for item in chosen] == ["Namespace", "Secret"]


def test_json_is_taken_as_it_is(folder: Path) -> None:
    plane = load_plane(str(folder))
    content = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "${size} ${unknown}"}})
    (folder / "a.json").write_text(content)
    (folder / "a.json.gz").write_bytes(gzip.compress(content.encode()))
    (plain,) = plane.manifests(ManifestFile(file="a.json"))
    assert plain["data"] == {"a": "${size} ${unknown}"}
    assert plane.manifests(ManifestFile(file="a.json.gz")) == [plain]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b'"\xff"'),
        ("a.json.gz", b"no gzip"),
        ("a.json.gz", gzip.compress(b"{}" * 100)[:-10]),
        ("a.json.gz", gzip.compress(b"{}" * 100)[:15] + b"xxxxxxxx"),
        ("a.yaml", b"a: b: c"),
        ("missing.yaml", None),
    ],
)
def test_a_damaged_file_is_named(folder: Path, file: str, content: bytes | None) -> None:
    plane = load_plane(str(folder))
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(UsageError, match=f"{file}: cannot be read"):
        plane.manifests(ManifestFile(file=file))


def test_an_unknown_placeholder_in_a_file(folder: Path) -> None:
    (folder / "thing.yaml").write_text("a: ${siez}")
    with pytest.raises(UsageError, match=r"\$\{siez\} is unknown here; known are: fast, image, size"):
        load_plane(str(folder)).manifest("thing")


@pytest.mark.parametrize(
    ("content", "found"), [("", "0 documents"), ("a: 1\n---\nb: 2", "2 documents"), ("- a", "list"), ("a", "str")]
)
def test_a_manifest_is_one_object(folder: Path, content: str, found: str) -> None:
    (folder / "thing.yaml").write_text(content)
    with pytest.raises(UsageError, match=rf"thing\.yaml: a workload's manifest holds one object, not {found}"):
        load_plane(str(folder)).create("thing")


# --- requests ------------------------------------------------------------------------------------------------


def test_create(folder: Path) -> None:
    template = load_plane(str(folder)).create("thing")
    assert (template.verb, template.method, template.resource) == ("create", "POST", "things.example.com")
    assert template.path == "/apis/example.com/v1/namespaces/__NAMESPACE__/things"
    assert json.loads(template.body)["metadata"]["name"] == "__NAME__"


def test_delete(folder: Path) -> None:
    plane = load_plane(str(folder))
    template = plane.delete("thing")
    assert (template.verb, template.method) == ("delete", "DELETE")
    assert template.path == "/apis/example.com/v1/namespaces/__NAMESPACE__/things/__NAME__"
    assert json.loads(template.body) == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": "Background",
    }
    assert json.loads(plane.delete("thing", grace_period_s=0).body)["gracePeriodSeconds"] == 0


def test_changes(folder: Path) -> None:
    plane = load_plane(str(folder))
    template = plane.change("thing", "start", revision="r7")
    assert (template.verb, template.method) == ("patch", "PATCH")
    assert template.content_type == "application/merge-patch+json"
    assert json.loads(template.body) == {"spec": {"replicas": 3, "revision": "r7"}}
    assert template.path == plane.delete("thing").path
    with pytest.raises(UsageError, match="workload thing of plane own has no change 'halt'; it has: stop, start"):
        plane.change("thing", "halt")


def test_a_change_by_a_subresource() -> None:
    template = load_plane("kubevirt").change("vm", "stop")
    assert (template.verb, template.method, template.subresource) == ("update", "PUT", "stop")
    assert template.resource == "virtualmachines.subresources.kubevirt.io"
    assert template.path.endswith("/namespaces/__NAMESPACE__/virtualmachines/__NAME__/stop")


def test_an_unknown_workload() -> None:
    plane = load_plane("kubevirt")
    for ask in (plane.create, plane.delete, plane.manifest, plane.watch_specs):
        with pytest.raises(
            UsageError, match="plane kubevirt has no workload 'pod'; it has: pool, replicaset, vm, vmi"
        ):
            ask("pod")


def test_watches_of_a_workload() -> None:
    specs = load_plane("kubevirt").watch_specs("vm", ("a", "b"))
    assert [spec.name for spec in specs] == ["vms", "vmis", "pods"]
    more = load_plane("kubevirt").watch_specs("vm", changes=("migrate", "patch"))
    assert [spec.name for spec in more] == ["vms", "vmis", "pods", "migrations"]
    assert specs[0].resource.id == "virtualmachines.kubevirt.io"
    assert specs[0].namespaces == ("a", "b")
    assert specs[0].label_selector == INDEX_LABEL


# --- placeholders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${n}", 3),
        ("a${n}b${s}", "a3bx"),
        ("${t}", True),
        ("$n {n}", "$n {n}"),
        ({"a": ["${n}", {"b": "${s}"}], "${n}": 1}, {"a": [3, {"b": "x"}], "${n}": 1}),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_substitution(value: Any, expected: Any) -> None:
    assert substitute(value, {"n": 3, "s": "x", "t": True}) == expected


def test_unknown_placeholders() -> None:
    with pytest.raises(UsageError, match=r"\$\{x\} is unknown here; known are: none"):
        substitute("${x}", {})
    assert substitute("${x} ${y}", {"y": 1}, partial=True) == "${x} 1"
