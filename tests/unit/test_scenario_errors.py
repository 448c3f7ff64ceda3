"""Whatever is wrong with a scenario, the user reads one line that names the file, the line and the field."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from planebench import scenario
from planebench.model import UsageError

BASE = """\
apiVersion: planebench.dev/v1
name: base
nodes:
  - {name: a, count: 2}
workload:
  count: 5
  objects: [{template: pod}]
"""


def fault(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        scenario.parse(text, name="my.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("sloes: []", "my.yaml:8: sloes: unknown key; did you mean 'slos'?"),
        (
            "xyzzy: 1",
            "my.yaml:8: xyzzy: unknown key; known: apiVersion, name, description, plane, settings, nodes",
        ),
        ("seed: -1", "my.yaml:8: seed: must be at least 0, got -1"),
        ("seed: 1.5", "my.yaml:8: seed: expected a whole number, got 1.5"),
        ("seed: true", "my.yaml:8: seed: expected a whole number, got true"),
        ("seed: .inf", "my.yaml:8: expected a finite number, got .inf"),
        ("seed: 1e999", "my.yaml:8: expected a finite number, got 1e999"),
        ("seed:", "my.yaml:8: seed: expected a whole number, got nothing"),
        ("description: 5", "my.yaml:8: description: expected text, got 5 (write it in quotes)"),
        ("plane: kubvirt", "my.yaml:8: plane: plane 'kubvirt' is neither built in"),
        ("plane: ''", "my.yaml:8: plane: "),
        ("settings: {pod_cqu: 1}", "my.yaml:8: settings: plane core has no setting 'pod_cqu'"),
        ("timeouts: {run: 10}", "my.yaml:8: timeouts.run: expected a duration with a unit, for instance 10m"),
        ("timeouts: {run: 0s}", "my.yaml:8: timeouts.run: must be more than 0"),
        ("timeouts: {run: -5s}", "my.yaml:8: timeouts.run: expected a duration with a unit"),
        ("timeouts: {run: 9000h}", "my.yaml:8: timeouts.run: must be at most 168h"),
        ("timeouts: {ran: 10s}", "my.yaml:8: timeouts.ran: unknown key; did you mean 'run'?"),
        ("timeouts: 10s", "my.yaml:8: timeouts: expected a mapping with the keys cluster, nodes, request"),
        ("slos: {}", "my.yaml:8: slos: expected a list, got a mapping"),
        ("slos: [{sli: x}]", "my.yaml:8: slos[0]: needs max or min, for instance max: 1s"),
        ("slos: [{max: 1s}]", "my.yaml:8: slos[0].sli: is required"),
        ("slos: [{sli: x, max: soon}]", "my.yaml:8: slos[0].max: expected a duration (1s), a rate (20/s)"),
        ("slos: [{sli: x, max: 1s, min: 5}]", "my.yaml:8: slos[0]: min 5 and max 1s have different units"),
        ("slos: [{sli: x, max: 1s, min: 5s}]", "my.yaml:8: slos[0]: min 5s is more than max 1s"),
        ("slos: [{sli: x, max: 1s, percentile: 0}]", "my.yaml:8: slos[0].percentile: must be more than 0"),
        ("slos: [{sli: x, max: 1s, percentile: 101}]", "my.yaml:8: slos[0].percentile: must be at most 100"),
        ("components: {kube-apiservr: {}}", "unknown component; did you mean 'kube-apiserver'?"),
        ("components: {etcd: {flags: {--x: 1}}}", "my.yaml:8: components.etcd.flags.--x: "),
        ("components: {etcd: {flags: {x: [1]}}}", "my.yaml:8: components.etcd.flags.x: expected text, a number"),
        ("limits: {kube-scheduler: {qps: 5}}", "my.yaml:8: limits.kube-scheduler.burst: is required"),
        (
            "limits: {kube-scheduler: {qps: 0, burst: 5}}",
            "my.yaml:8: limits.kube-scheduler.qps: must be more than 0",
        ),
        ("lifecycle: {management: {pach: {share: 1%, rate: 1/s}}}", "this change; did you mean 'patch'?"),
        (
            "lifecycle: {management: {patch: {share: 0%, rate: 1/s}}}",
            "management.patch.share: must be more than 0%",
        ),
        ("lifecycle: {management: {patch: {share: 101%, rate: 1/s}}}", "patch.share: must be from 0% to 100%"),
        ("lifecycle: {cleanup: {rate: 0/s}}", "my.yaml:8: lifecycle.cleanup.rate: must be more than 0"),
        (
            "lifecycle: {cleanup: {rate: 5}}",
            "my.yaml:8: lifecycle.cleanup.rate: expected a rate, for instance 20/s",
        ),
        (
            "lifecycle: {cleanup: {rate: 1/h}}",
            "my.yaml:8: lifecycle.cleanup.rate: takes 5h, but timeouts.run is 30m",
        ),
        (
            "lifecycle: {creation: {arrival: {rate: 1/h}}}",
            "lifecycle.creation.arrival: takes 5h, but timeouts.run",
        ),
        (
            "lifecycle: {creation: {arrival: {pattern: poison, rate: 1/s}}}",
            "my.yaml:8: lifecycle.creation.arrival: pattern: expected one of 'constant', 'poisson', ",
        ),
        ("lifecycle: {creation: {arrival: 20/s}}", "lifecycle.creation.arrival: expected a mapping, for instance"),
        (
            "lifecycle: {creation: {arrival: {pattern: burst, size: 5}}}",
            "my.yaml:8: lifecycle.creation.arrival.every: is required",
        ),
        (
            "lifecycle: {creation: {arrival: {pattern: ramp, start: 0/s, end: 0/s}}}",
            "my.yaml:8: lifecycle.creation.arrival: start or end must be more than 0/s",
        ),
        (
            "lifecycle: {monitoring: {forms: [half]}}",
            "my.yaml:8: lifecycle.monitoring.forms[0]: expected 'full', ",
        ),
        ("components: {etcd: {config: {a: b}}}", "components.etcd.config: only kube-scheduler has one here"),
        ("setup: [{kind: PriorityClass}]", "my.yaml:8: setup: [0] needs apiVersion, kind and metadata.name"),
        ("faults: [{kind: node-silence, nodes: 0, for: 5s}]", "my.yaml:8: faults[0].nodes: must be at least 1"),
        ("faults: [{kind: node-silence, nodes: 0%, for: 5s}]", "faults[0].nodes: must be more than 0%"),
        ("faults: [{kind: node-silence, nodes: x, for: 5s}]", "my.yaml:8: faults[0].nodes: expected a percentage"),
        (
            "faults: [{kind: node-silence, nodes: [1], for: 5s}]",
            "faults[0].nodes: expected a number of nodes or a",
        ),
        ("faults: [{kind: node-silence, nodes: 1}]", "my.yaml:8: faults[0].for: is required"),
        ("faults: [{kind: node-silence, nodes: 1, for: 1h}]", "faults[0].for: takes 1h, but timeouts.run is 30m"),
        ("faults: [{kind: node-death, nodes: 1, for: 1s}]", "faults[0].kind: expected one of 'node-"),
        (
            "faults: [{nodes: 1, for: 1s}]",
            "my.yaml:8: faults[0].kind: is required, one of node-silence, ",
        ),
        ("faults: [3]", "my.yaml:8: faults[0]: expected a mapping with the keys kind, name, stage"),
        ("faults: [{kind: kill, for: 1s}]", "my.yaml:8: faults[0].component: is required"),
        (
            "faults: [{kind: kill, component: etdc}]",
            "faults[0].component: unknown component; did you mean 'etcd'?",
        ),
        (
            "faults: [{kind: pause, component: etcd, for: 5s}, {kind: kill, component: etcd, at: 4s}]",
            "my.yaml:8: faults[1].at: another fault of etcd goes on at that time",
        ),
        (
            "faults: [{kind: kill, component: kwok}, {kind: kill, component: kwok, at: 9s},"
            " {kind: kill, component: etcd, name: kill-kwok-2}]",
            "my.yaml:8: faults[2].name: another fault has the name 'kill-kwok-2'",
        ),
        (
            "topology: {kwok: 2}\nfaults: [{kind: kill, component: kwok, member: leader}]",
            "faults[0].member: kwok has no leader: each one plays nodes of its own",
        ),
        ("topology: {etdc: 3}", "my.yaml:8: topology.etdc: unknown component; did you mean 'etcd'?"),
        ("topology: {etcd: 0}", "my.yaml:8: topology.etcd: must be at least 1"),
        (
            "faults: [{kind: kill, component: etcd, member: 2}]",
            "faults[0].member: etcd has 1 (topology.etcd), got 2",
        ),
        (
            "faults: [{kind: kill, component: etcd, member: leader}]",
            "faults[0].member: etcd has one member, and no",
        ),
        (
            "topology: {kube-apiserver: 2}\nfaults: [{kind: kill, component: kube-apiserver, member: leader}]",
            "my.yaml:9: faults[0].member: API servers have no leader",
        ),
        ("faults: [{kind: move-leader}]", "faults[0].kind: takes several members of etcd"),
        (
            "faults: [{kind: latency, between: [etcd], latency: 1s, for: 1s}]",
            "faults[0].between: expected a client and a server, for instance [kube-apiserver, etcd]",
        ),
        (
            "faults: [{kind: latency, between: [load, etcd], latency: 1s, for: 1s}]",
            "faults[0].between: expected [kube-apiserver, etcd], or a client and kube-apiserver",
        ),
        (
            "faults: [{kind: latency, between: [lod, kube-apiserver], latency: 1s, for: 1s}]",
            "faults[0].between: lod is no client of kube-apiserver; did you mean 'load'?",
        ),
        (
            "faults: [{kind: latency, between: [load, kube-apiserver], latency: 1s, jitter: 2s, for: 1s}]",
            "faults[0].jitter: must be at most the latency, 1s",
        ),
        (
            "faults: [{kind: bandwidth, between: [load, kube-apiserver], rate: 10, for: 1s}]",
            "faults[0].rate: must be at least 1k (1,000 bytes per second), got 10",
        ),
        ("faults: [{kind: etcd-full, quota: 1Mi, for: 1s}]", "faults[0].quota: must be at least 16Mi, got 1Mi"),
        (
            "components: {etcd: {flags: {quota-backend-bytes: 1}}}\nfaults: [{kind: etcd-full, for: 1s}]",
            "my.yaml:9: faults[0].quota: excludes components.etcd.flags.quota-backend-bytes",
        ),
        ("faults: [{kind: pause, component: etcd}]", "my.yaml:8: faults[0].for: is required"),
        ("faults: [{kind: kill, component: etcd, fr: 1s}]", "faults[0].fr: unknown key; did you mean 'for'?"),
        ("name: again", "my.yaml:8: the key 'name' stands twice"),
        ("description: &a x\nseed: *a", "my.yaml:9: aliases (*a) are not read: write the value out"),
        (
            "description: !!python/name:os.system x",
            "my.yaml:8: tags are not read: tag:yaml.org,2002:python/name:os",
        ),
        ("[a]: b", "my.yaml:8: a key must be text"),
        ("---\nname: b", "my.yaml:9: holds several YAML documents, expected one"),
        ("description: 'x", "my.yaml:8: no valid YAML: found unexpected end of stream"),
        ('description: "\\ud800"', "my.yaml:8: half of a surrogate pair is no character"),
    ],
)
def test_one_line_names_file_line_and_field(added: str, expected: str) -> None:
    message = fault(BASE + added)
    assert "\n" not in message
    assert expected in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("apiVersion: planebench.dev/v1", "", "apiVersion: is required: write apiVersion: planebench.dev/v1"),
        ("planebench.dev/v1", "planebench.dev/v2", "my.yaml:1: apiVersion: expected 'planebench.dev/v1', got"),
        ("name: base", "name: a b", "my.yaml:2: name: expected a name that matches"),
        ("count: 2", "count: -2", "my.yaml:4: nodes[0].count: must be at least 1, got -2"),
        ("count: 2", "count: '2'", "my.yaml:4: nodes[0].count: expected a whole number, got '2'"),
        ("count: 2", "count: 6000", "my.yaml:4: nodes[0].count: must be at most 5,000, the most that Kubernetes"),
        ("{name: a, count: 2}", "{}", "my.yaml:4: nodes[0].count: is required"),
        (
            "{name: a, count: 2}",
            "a",
            "my.yaml:4: nodes[0]: expected a mapping with the keys name, count, capacity",
        ),
        ("count: 2}", "count: 2}\n  - {name: a, count: 2}", "my.yaml:3: nodes: two pools have the name 'a'"),
        ("count: 2}", "count: 3000}\n  - {name: b, count: 3000}", "my.yaml:3: nodes: 6,000 nodes in all"),
        ("count: 2}", "count: 2, capacity: {cpu: 1}}", "my.yaml:4: nodes[0].capacity: needs memory, for instance"),
        ("count: 2}", "count: 2, capacity: {cpu: 0, memory: 1, pods: 1}}", "cpu must be more than 0, or the node"),
        (
            "count: 2}",
            "count: 2, capacity: {cpu: -1, memory: 1, pods: 1}}",
            "capacity.cpu: must be from 0 to 2^63",
        ),
        ("count: 2}", "count: 2, capacity: {cpu: 1, memory: 1, pods: 500m}}", "pods must be a whole number"),
        ("count: 2}", "count: 2, capacity: {cpu: x, memory: 1, pods: 1}}", "expected a Kubernetes quantity"),
        ("count: 2}", "count: 2, labels: {'a b': c}}", "my.yaml:4: nodes[0].labels: 'a b' is no label key"),
        ("count: 2}", "count: 2, labels: {a: 'b c'}}", "my.yaml:4: nodes[0].labels: a: 'b c' is no label value"),
        ("count: 2}", "count: 2, labels: {a: 5}}", "nodes[0].labels.a: expected text, got 5 (write it in quotes)"),
        ("count: 2}", "count: 2, taints: [{key: a, effect: No}]}", "taints[0].effect: expected 'NoSchedule', "),
        ("count: 2}", "count: 2, zones: 101}", "my.yaml:4: nodes[0].zones: must be at most 100, got 101"),
        ("nodes:\n  - {name: a, count: 2}", "nodes: []", "my.yaml:3: nodes: must not be empty"),
        (
            "count: 5",
            "count: 1000000000",
            "my.yaml:6: workload.count: must be at most 150,000, the most pods that",
        ),
        ("count: 5", "count: 0", "my.yaml:6: workload.count: must be at least 1, got 0"),
        ("count: 5", "count: 5\n  namespaces: 6", "workload: 6 namespaces are more than the 5 objects"),
        ("[{template: pod}]", "[]", "my.yaml:7: workload.objects: must not be empty"),
        (
            "[{template: pod}]",
            "[{template: pd}]",
            "my.yaml:7: workload.objects[0].template: unknown in plane core;",
        ),
        ("{template: pod}", "{template: pod, share: 90%}", "the shares must add up to 100%, they add up to 90%"),
        (
            "{template: pod}",
            "{template: pod, share: 50%}, {template: pod, share: 50%}",
            "my.yaml:7: workload.objects: 'pod' stands twice: give each a `name` of its own",
        ),
        ("{template: pod}", "{template: pod, manifest: {}, file: a}", "give either manifest or file, not both"),
    ],
)
def test_one_line_for_a_wrong_value(old: str, new: str, expected: str) -> None:
    message = fault(BASE.replace(old, new, 1))
    assert "\n" not in message
    assert expected in message


def test_changes_that_need_more_objects_than_there_are() -> None:
    text = BASE.replace("template: pod", "template: vm") + "plane: kubevirt\nlifecycle:\n  management:\n"
    shares = "    patch: {share: 60%, rate: 1/s}\n    restart: {share: 50%, rate: 1/s}\n"
    assert "different objects, but their shares add up to 110%" in fault(text + shares)


def test_a_change_that_needs_another_before_it() -> None:
    text = BASE.replace("template: pod", "template: vm") + "plane: kubevirt\nlifecycle:\n  management:\n"
    start = "    start: {share: 50%, rate: 1/s}\n"
    stop = "    stop: {share: 50%, rate: 1/s}\n"
    assert "lifecycle.management.start: needs 'stop' before it" in fault(text + start + stop)
    assert list(scenario.parse(text + stop + start).lifecycle.management) == ["stop", "start"]


def test_every_fault_of_a_file_has_its_line() -> None:
    message = fault(BASE.replace("count: 2", "count: 0, conut: 3").replace("count: 5", "count: x") + "seed: -1")
    assert message.splitlines() == [
        "my.yaml:4: nodes[0].conut: unknown key; did you mean 'count'?",
        "my.yaml:4: nodes[0].count: must be at least 1, got 0",
        "my.yaml:6: workload.count: expected a whole number, got 'x'",
        "my.yaml:8: seed: must be at least 0, got -1",
    ]


def test_very_many_faults_are_counted() -> None:
    lines = fault(BASE + "".join(f"x{number}: 1\n" for number in range(50))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "my.yaml: and 30 more faults"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "my.yaml: is empty"),
        ("# nothing\n", "my.yaml: is empty"),
        ("~", "my.yaml: expected a mapping with the keys of a scenario, got nothing"),
        ("[]", "my.yaml: expected a mapping with the keys of a scenario, got a list"),
        ("hello", "my.yaml: expected a mapping with the keys of a scenario, got 'hello'"),
        ("a: [b", "my.yaml:1: no valid YAML: "),
        ("\x00\x01", "my.yaml: no valid YAML: "),
        ("[" * 1000, "my.yaml:1: nested more than 60 levels deep"),
        ("a: " * 10, "my.yaml:1: no valid YAML: mapping values are not allowed here"),
        ("- " * 200_000, "my.yaml: too large: 400,000 characters, at most 262,144 are read"),
        ("a: &a [x]\nb: [*a, *a]", "my.yaml:2: aliases (*a) are not read"),
    ],
)
def test_text_that_is_no_scenario(text: str, expected: str) -> None:
    assert fault(text).startswith(expected)


def test_sources_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80" * 100)
    (tmp_path / "huge.yaml").write_bytes(b"a" * 2_000_000)
    expected = {
        tmp_path / "missing.yaml": "No such file or directory",
        tmp_path: "is no file",
        tmp_path / "binary.yaml": "is no text (UTF-8)",
        tmp_path / "huge.yaml": "too large, at most 262,144 characters are read",
        Path("/dev/zero"): "is no file",
        Path("a\0b.yaml"): "embedded null byte",
    }
    for path, message in expected.items():
        with pytest.raises(UsageError) as caught:
            scenario.load(path)
        assert str(caught.value) == f"{path}: {message}"


def test_an_unknown_name_is_neither_built_in_nor_a_file() -> None:
    with pytest.raises(UsageError, match=r"kubvirt-density: neither .* did you mean 'kubevirt-density'"):
        scenario.load("kubvirt-density")
    known = ", ".join(scenario.builtin_names())
    with pytest.raises(UsageError, match=f"no built-in scenario 'xyzzy'; known: {known}$"):
        scenario.builtin_text("xyzzy")


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_text(BASE, encoding="utf-8-sig")
    assert scenario.load(path).name == "base"


# --- fuzz: a scenario or a UsageError, never anything else -----------------------------------------------------


def accepts_or_explains(text: str) -> None:
    try:
        scenario.parse(text)
    except UsageError as error:
        assert str(error)
        str(error).encode()


@given(st.text(max_size=200))
@example("\ud800")
@example("? \n")
@example("<<: {a: b}")
@example("!!binary x: y")
@example("- - - : -")
def test_any_text(text: str) -> None:
    accepts_or_explains(text)


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *BASE.splitlines(keepends=True),
            "  ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            ": ",
            "\n",
            "&a ",
            "*a",
            "!!set ",
            "? ",
            "|\n",
            "'",
            '"',
            "#",
            "--- ",
            "0x1F",
            "1e5",
            "\t",
            "%",
            "@",
        ]
    ),
    max_size=30,
).map("".join)


@given(FRAGMENTS)
def test_any_pieces_of_yaml(text: str) -> None:
    accepts_or_explains(text)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["10s", "20/s", "10%", "1Gi", "pod", "vm", "kubevirt", "constant", "patch", "a" * 300, "../x", "/"]
    )
)
KEYS = st.sampled_from(
    [
        "apiVersion",
        "name",
        "plane",
        "settings",
        "nodes",
        "workload",
        "lifecycle",
        "limits",
        "components",
        "timeouts",
        "slos",
        "seed",
        "count",
        "objects",
        "template",
        "share",
        "manifest",
        "file",
        "arrival",
        "pattern",
        "rate",
        "size",
        "every",
        "start",
        "end",
        "patch",
        "capacity",
        "cpu",
        "labels",
        "sli",
        "max",
        "min",
        "percentile",
        "flags",
        "kube-scheduler",
        "qps",
        "burst",
        "management",
        "creation",
        "monitoring",
        "cleanup",
    ]
) | st.text(max_size=5)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
PATHS = st.sampled_from(
    [
        ("nodes",),
        ("nodes", 0),
        ("nodes", 0, "capacity"),
        ("nodes", 0, "labels"),
        ("workload",),
        ("workload", "objects"),
        ("workload", "objects", 0),
        ("workload", "count"),
        ("lifecycle",),
        ("lifecycle", "creation"),
        ("lifecycle", "management"),
        ("slos",),
        ("plane",),
        ("settings",),
        ("components",),
        ("limits",),
    ]
)


@given(PATHS, TREES)
def test_any_value_in_place_of_a_field(path: tuple[str | int, ...], value: object) -> None:
    data = yaml.safe_load(scenario.builtin_text("smoke"))
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    accepts_or_explains(yaml.safe_dump(data, allow_unicode=True))


@given(st.dictionaries(st.text(max_size=12) | KEYS, st.text(max_size=12), max_size=3))
def test_any_override(overrides: dict[str, str]) -> None:
    try:
        scenario.parse(BASE, overrides=overrides)
    except UsageError as error:
        assert str(error)
