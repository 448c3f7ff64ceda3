"""What the shell is offered, and systems that cannot run anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from planebench.model import UsageError
from planebench.run.interrupt import run_interruptibly


def offered(line: str) -> list[str]:
    """The completions of a line, as bash asks for them."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_PLANEBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [str(Path(sys.executable).with_name("planebench"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout.split()


def test_commands_and_scenarios_are_completed() -> None:
    assert "clean" in offered("planebench cl")
    assert offered("planebench run smo") == ["smoke"]


def test_contexts_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    contexts: list[object] = [{"name": name, "context": {}} for name in ("dev-1", "dev-2", "staging")]
    file.write_text(yaml.safe_dump({"contexts": contexts}))
    monkeypatch.setenv("KUBECONFIG", str(file))
    assert offered("planebench run smoke --context dev") == ["dev-1", "dev-2"]
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert offered("planebench run smoke --context dev") == []


def test_other_systems_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        raise AssertionError("is not begun")

    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UsageError, match=r"need Linux .* this is darwin"):
        run_interruptibly(work())
