"""A very small capacity search on a real control plane: two steps that share it, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

from command import Planebench, left_running

from planebench.capacity import Capacity
from planebench.model import ExitCode
from planebench.results import RunFolder

SMALL = ("--nodes", "3", "--from", "10/s", "--to", "12/s", "--step-objects", "20", "--step-duration", "2s")


def test_a_small_search(planebench: Planebench, tmp_path: Path) -> None:
    done = planebench("capacity", *SMALL, "--settle", "1s", "--attempts", "1", "--out", "search")
    # A busy machine may leave a level in doubt, or fail it: the search itself has to come to its end.
    code = done.process.returncode
    assert code in (ExitCode.PASS, ExitCode.FAIL, ExitCode.INCONCLUSIVE), done.errors + done.output
    assert "Throughput against latency" in done.output or code != ExitCode.PASS
    folder = tmp_path / "search"
    found = Capacity.model_validate_json((folder / "capacity.json").read_bytes())
    assert found.outcome is not None
    assert [step.level for step in found.steps] == [10.0, 12.0][: len(found.steps)]
    for step in found.steps:
        run = RunFolder.open(folder / "steps" / f"{step.number:03d}")
        assert run.run().status == "completed"
        assert run.run().id == found.id, "steps share a control plane, and its nodes"
        assert run.leftovers() == []
        counts = run.result().counts
        assert counts.up == counts.deleted == counts.planned == max(20, int(step.level * 2))
    assert not (folder / "cluster").exists(), "keys are not left behind"
    assert (folder / "logs" / "kube-apiserver.log").exists()
    assert not left_running(folder)
