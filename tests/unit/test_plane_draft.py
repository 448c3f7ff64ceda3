"""First descriptors: what a definition's schema says becomes a sample, milestones and a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from planebench.cli import app
from planebench.model import UsageError
from planebench.planes import load_plane
from planebench.planes.draft import draft, value_of


def definition(status: dict[str, Any], **version: Any) -> dict[str, Any]:
    spec = {
        "type": "object",
        "required": ["size", "mode", "image"],
        "properties": {
            "size": {"type": "integer", "minimum": 2},
            "mode": {"type": "string", "enum": ["Fast", "Slow"]},
            "image": {"type": "string", "default": "example.com/app"},
            "note": {"type": "string"},
        },
    }
    schema = {"type": "object", "properties": {"spec": spec, "status": {"type": "object", "properties": status}}}
    stored = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, **version}
    names = {"kind": "Thing", "plural": "things"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [stored]},
    }


PHASES = {"phase": {"type": "string", "enum": ["Pending", "Running", "Failed"]}}


@pytest.fixture
def controller(tmp_path: Path) -> Path:
    file = tmp_path / "thing-controller"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


def written(tmp_path: Path, content: Any) -> Path:
    file = tmp_path / "crd.yaml"
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_the_sample_has_what_the_schema_requires(tmp_path: Path, controller: Path) -> None:
    made = draft(written(tmp_path, definition(PHASES)), controller)
    thing = yaml.safe_load(made.files["thing.yaml"])
    assert thing["apiVersion"] == "example.com/v1"
    assert thing["spec"] == {"size": 2, "mode": "Fast", "image": "example.com/app"}
    assert thing["metadata"]["namespace"] == "__NAMESPACE__"


def test_phases_become_milestones(tmp_path: Path, controller: Path) -> None:
    made = draft(written(tmp_path, definition(PHASES)), controller)
    plane = yaml.safe_load(made.files["plane.yaml"])
    assert plane["watches"]["things"]["milestones"] == [
        {"name": "created"},
        {"name": "pending", "field": "status.phase", "equals": "Pending"},
        {"name": "running", "field": "status.phase", "equals": "Running"},
        {"name": "failed", "field": "status.phase", "equals": "Failed", "failure": True},
    ]
    assert plane["workloads"]["thing"]["up"] == {"watch": "things", "milestone": "running"}


def test_printed_conditions_become_milestones(tmp_path: Path, controller: Path) -> None:
    column = {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'}
    crd = definition({"conditions": {"type": "array"}}, additionalPrinterColumns=[column])
    plane = yaml.safe_load(draft(written(tmp_path, crd), controller).files["plane.yaml"])
    assert plane["watches"]["things"]["milestones"][1:] == [
        {"name": "ready", "field": "status.conditions[Ready].status", "equals": "True"}
    ]


def test_what_a_trial_has_seen_goes_before_the_schema(tmp_path: Path, controller: Path) -> None:
    seen: list[dict[str, Any]] = [
        {"phase": "Pending"},
        {"phase": "Building", "conditions": [{"type": "Ready", "status": "False"}]},
        {"phase": "Building", "conditions": [{"type": "Ready", "status": "True"}]},
    ]
    made = draft(written(tmp_path, definition(PHASES)), controller, seen=seen)
    plane = yaml.safe_load(made.files["plane.yaml"])
    assert plane["watches"]["things"]["milestones"] == [
        {"name": "created"},
        {"name": "pending", "field": "status.phase", "equals": "Pending"},
        {"name": "building", "field": "status.phase", "equals": "Building"},
        {"name": "ready", "field": "status.conditions[Ready].status", "equals": "True"},
        {"name": "failed", "field": "status.phase", "equals": "Failed", "failure": True},
    ]
    assert plane["workloads"]["thing"]["up"] == {"watch": "things", "milestone": "ready"}
    assert any("left out as the trial has not seen them: running" in guess for guess in made.guesses)


def test_a_trial_that_ends_in_failure_says_so(tmp_path: Path, controller: Path) -> None:
    crd = written(tmp_path, definition({"phase": {"type": "string"}}))
    made = draft(crd, controller, seen=[{"phase": "Pending"}, {"phase": "CrashLoop"}])
    milestones = yaml.safe_load(made.files["plane.yaml"])["watches"]["things"]["milestones"]
    assert milestones[-1] == {"name": "crashloop", "field": "status.phase", "equals": "CrashLoop", "failure": True}
    assert any("ended as crashloop" in guess for guess in made.guesses)


def test_a_sample_and_arguments_of_one_s_own(tmp_path: Path, controller: Path) -> None:
    file = tmp_path / "sample.yaml"
    file.write_text(
        "{apiVersion: example.com/v1, kind: Thing, metadata: {name: mine, labels: {a: b}}, spec: {size: 9}}"
    )
    crd = written(tmp_path, definition(PHASES))
    made = draft(crd, controller, sample=file, arguments=("run", "--port=${health_port}"))
    thing = yaml.safe_load(made.files["thing.yaml"])
    assert thing["metadata"] == {
        "name": "__NAME__",
        "namespace": "__NAMESPACE__",
        "labels": {"a": "b", "planebench.dev/index": "__INDEX__"},
    }
    assert thing["spec"] == {"size": 9}
    assert yaml.safe_load(made.files["plane.yaml"])["processes"][0]["argv"] == ["run", "--port=${health_port}"]
    file.write_text("kind: Other")
    with pytest.raises(UsageError, match=r"must hold one object, a Thing of example\.com/v1"):
        draft(crd, controller, sample=file)


@pytest.mark.parametrize(
    "status", [{}, {"state": {"type": "string"}}, {"observedGeneration": {"type": "integer"}}]
)
def test_whatever_the_status_the_descriptor_loads(
    status: dict[str, Any], tmp_path: Path, controller: Path
) -> None:
    made = draft(written(tmp_path, definition(status)), controller)
    folder = tmp_path / "plane"
    folder.mkdir()
    for name, text in made.files.items():
        (folder / name).write_text(text)
    plane = load_plane(str(folder))
    assert plane.own_binaries() == {"thing-controller": controller}
    assert made.guesses


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must hold one CustomResourceDefinition, not 0"),
        ("kind: [", "cannot be read"),
        ("kind: CustomResourceDefinition\nspec: {}", "it lacks 'versions'"),
        ("kind: CustomResourceDefinition\nspec: {versions: [{name: v1}]}", "it lacks a stored version"),
    ],
)
def test_what_is_no_definition(content: str, message: str, tmp_path: Path, controller: Path) -> None:
    with pytest.raises(UsageError, match=message):
        draft(written(tmp_path, content), controller)


def test_the_command_leaves_nothing_where_the_input_is_wrong(tmp_path: Path, controller: Path) -> None:
    crd, folder = written(tmp_path, "kind: nothing"), tmp_path / "plane"
    found = CliRunner().invoke(
        app, ["plane", "init", str(crd), "--controller", str(controller), "-o", str(folder), "--no-trial"]
    )
    assert isinstance(found.exception, UsageError)
    assert not folder.exists()


def test_the_command_writes_a_folder_that_loads(tmp_path: Path, controller: Path) -> None:
    crd, folder = written(tmp_path, definition(PHASES)), tmp_path / "plane"
    found = CliRunner().invoke(
        app, ["plane", "init", str(crd), "--controller", str(controller), "-o", str(folder), "--no-trial"]
    )
    assert found.exit_code == 0, found.output
    assert load_plane(str(folder)).name == "thing"
    again = CliRunner().invoke(
        app, ["plane", "init", str(crd), "--controller", str(controller), "-o", str(folder), "--no-trial"]
    )
    assert isinstance(again.exception, UsageError)


@given(
    st.recursive(
        st.one_of(
            st.builds(
                lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
                st.integers(-5, 5),
                st.integers(0, 5),
            ),
            st.builds(lambda values: {"type": "string", "enum": values}, st.lists(st.text(), min_size=1)),
            st.builds(
                lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
                st.integers(0, 20),
                st.integers(0, 20),
            ),
        ),
        lambda inner: st.one_of(
            st.builds(
                lambda items, low: {"type": "array", "items": items, "minItems": low}, inner, st.integers(0, 3)
            ),
            st.builds(
                lambda fields: {"type": "object", "properties": fields, "required": list(fields)},
                st.dictionaries(st.text(min_size=1), inner, max_size=3),
            ),
        ),
        max_leaves=10,
    )
)
def test_samples_are_as_their_schemas_want_them(schema: dict[str, Any]) -> None:
    _accepts(schema, value_of(schema))


def _accepts(schema: dict[str, Any], value: Any) -> None:
    match schema["type"]:
        case "integer":
            assert schema["minimum"] <= value <= schema["maximum"]
        case "string" if "enum" in schema:
            assert value in schema["enum"]
        case "string":
            assert schema["minLength"] <= len(value) <= schema["maxLength"]
        case "array":
            assert len(value) == schema["minItems"]
            for item in value:
                _accepts(schema["items"], item)
        case "object":
            assert value.keys() == schema["properties"].keys()
            for name, item in value.items():
                _accepts(schema["properties"][name], item)
