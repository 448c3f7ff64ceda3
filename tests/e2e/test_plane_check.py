"""Descriptors on trial: a real one that is proven, and others that fail without leaving anything behind."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from command import Command, Planebench

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {"size": {"type": "integer", "minimum": 2}},
                            },
                            "status": {
                                "type": "object",
                                "properties": {"phase": {"type": "string"}},
                            },
                        },
                    }
                },
            }
        ],
    },
}


def init(planebench: Planebench, tmp_path: Path, script: str, *options: str) -> Command:
    """``plane init`` for a controller that is a shell script."""
    (tmp_path / "crd.yaml").write_text(yaml.safe_dump(CRD))
    controller = tmp_path / "thing-controller"
    controller.write_text(f"#!/bin/sh\n{script}\n")
    controller.chmod(0o755)
    return planebench("plane", "init", "crd.yaml", "--controller", str(controller), "-o", "plane", *options)


def begun(planebench: Planebench, tmp_path: Path, script: str) -> Path:
    """A folder by ``plane init``, of the schema alone."""
    command = init(planebench, tmp_path, script, "--no-trial")
    assert command.process.returncode == 0, command.errors
    return tmp_path / "plane"


def left(tmp_path: Path) -> set[str]:
    """What a command has made beside its streams and its folder for temporary files, which is looked at anyway."""
    return {path.name for path in tmp_path.iterdir() if not path.name.startswith(("std", "temporary"))}


def test_kueue_is_proven(planebench: Planebench, tmp_path: Path) -> None:
    command = planebench("plane", "check", "kueue")
    assert command.process.returncode == 0, command.errors + command.output
    for milestone in ("reserved", "admitted", "finished", "scheduled", "succeeded"):
        assert milestone in command.output
    assert "never" not in command.output
    assert "nothing is left" in command.output
    assert left(tmp_path) <= {"state"}


def test_what_init_has_begun_with_a_trial_is_proven(planebench: Planebench, tmp_path: Path) -> None:
    controller = Path(__file__).with_name("thing_controller.py")
    command = init(planebench, tmp_path, f'exec {sys.executable} {controller} "$@"')
    assert command.process.returncode == 0, command.errors
    plane = yaml.safe_load((tmp_path / "plane" / "plane.yaml").read_text())
    # The schema names no phases.
    assert [milestone["name"] for milestone in plane["watches"]["things"]["milestones"]] == [
        "created",
        "pending",
        "ready",
    ]
    assert plane["workloads"]["thing"]["up"]["milestone"] == "ready"
    command = planebench("plane", "check", "plane")
    assert command.process.returncode == 0, command.errors + command.output
    assert "pending" in command.output
    assert "never" not in command.output


def test_a_trial_that_does_not_get_ready_leaves_nothing(planebench: Planebench, tmp_path: Path) -> None:
    command = init(planebench, tmp_path, "echo no such flag; exit 3")
    assert command.process.returncode == 4
    assert "thing-controller ended with exit status 3" in command.errors
    assert left(tmp_path) <= {"state", "crd.yaml", "thing-controller"}


def test_a_controller_that_does_not_get_ready(planebench: Planebench, tmp_path: Path) -> None:
    begun(planebench, tmp_path, "exec sleep 1000")
    command = planebench("plane", "check", "plane", "--timeout", "15s")
    assert command.process.returncode == 4
    assert "thing-controller is not ready" in command.errors
    assert left(tmp_path) <= {"state", "plane", "crd.yaml", "thing-controller"}


def test_a_definition_that_the_server_refuses(planebench: Planebench, tmp_path: Path) -> None:
    folder = begun(planebench, tmp_path, "exec sleep 1000")
    wrong: dict[str, Any] = yaml.safe_load((folder / "crd.yaml").read_text())
    wrong["metadata"]["name"] = "other.example.com"
    (folder / "crd.yaml").write_text(yaml.safe_dump(wrong))
    command = planebench("plane", "check", "plane")
    assert command.process.returncode == 4
    assert "CustomResourceDefinition other.example.com cannot be installed" in command.errors


def test_a_wrong_path_is_told_before_anything_starts(planebench: Planebench, tmp_path: Path) -> None:
    folder = begun(planebench, tmp_path, "exec sleep 1000")
    (folder / "crd.yaml").unlink()
    command = planebench("plane", "check", "plane")
    assert command.process.returncode == 2
    assert "plane.yaml: install: there is no file crd.yaml" in command.errors
