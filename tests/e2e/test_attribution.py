"""``planebench run --trace --profile`` on a real control plane."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from command import Planebench

from planebench import slis
from planebench.model import Role
from planebench.results import RunFolder
from planebench.results.document import Result
from planebench.slis.observations import Observations
from planebench.slis.profiles import flame


def test_a_traced_and_profiled_run(planebench: Planebench, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = planebench("run", "smoke", "--trace", "--profile", "--out", str(folder))
    assert command.process.returncode in (0, 3), command.errors + command.output
    result = Result.model_validate_json((folder / "result.json").read_bytes())

    trace = result.trace
    assert trace is not None
    assert (trace.n, trace.untraced, trace.unexplained_share) == (20, 0, 0)
    assert trace.clock_error_s < 0.001
    seen = Observations(RunFolder.open(folder))
    (pods,) = seen.created
    parts = pl.read_parquet(folder / "raw" / "traces.parquet")
    wholes = parts.group_by("index").agg((pl.col("end_ns") - pl.col("start_ns")).sum() / 1e9).sort("index")
    startup_s = seen.reached_s(pods.index, "pods", "ready") - pods.due_s
    assert wholes["end_ns"].to_list() == pytest.approx(startup_s.tolist(), abs=1e-6), "the watch's own measure"
    steps = {(step.component, step.step) for step in trace.steps}
    assert {
        ("kube-apiserver", "create pods"),
        ("kube-apiserver", "create pods/binding"),
        ("kube-apiserver", "patch pods/status"),
        ("kube-scheduler", "until create pods/binding"),
        ("kwok", "until patch pods/status"),
    } <= steps

    cost = result.cost
    assert cost is not None and cost.audited
    by_role = {role.role: role for role in cost.roles}
    assert all(role.requests and role.request_s and role.cpu_s for role in by_role.values())
    requests = pl.read_parquet(folder / "raw" / "requests.parquet").filter(pl.col("stage") != "")
    sent = requests.filter(pl.col("name") != "stream").height  # the audit log calls those watches
    (load,) = (user for user in cost.users if user.user == "planebench:load")
    assert abs(load.requests - sent) <= 5, "requests about the stages' ends"
    assert not [note for note in cost.notes if note.startswith("user agent")], "no two roles share one"

    taken = {(profile.component, profile.kind) for profile in result.profiles if profile.error is None}
    assert taken >= {
        (name, "cpu") for name in ("etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager")
    }
    assert ("kwok", "heap") in taken
    assert any(line.startswith("runtime.") or "k8s.io" in line for line in flame(seen.folder, "kube-apiserver"))
    for text in ("Whose cost", "Where the time went", "Profiles", Role.SIMULATOR.value):
        assert text in command.output
    assert not (folder / "raw" / "audit").exists()
    assert slis.evaluate(folder).trace == trace, "from the folder alone"
