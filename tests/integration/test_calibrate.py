"""``planebench calibrate`` on a real control plane, its steps shortened: that it finds something, not how much."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from planebench.components.kwok import Parallelism
from planebench.run import Silent, calibrate


async def test_it_finds_what_it_names_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_STEP_S": 0.5, "_FACTOR": 8.0, "_HALVINGS": 0, "_TRIES": 1, "_NODES": 5}.items():
        monkeypatch.setattr(calibrate, name, value)
    before = set(psutil.Process().children(recursive=True))
    found = await calibrate.calibrate(tmp_path / "runs", Silent())
    assert found.engine.ended_by
    assert found.engine.rate_per_s >= 0 and found.engine.core_share > 0
    assert found.simulator.workers == Parallelism().pod_stages
    assert 0 < found.simulator.unloaded_p50_s <= found.simulator.unloaded_p99_s
    assert found.receipts.staleness_p50_s <= found.receipts.staleness_p99_s
    assert 0 < found.receipts.read_delay_p50_s <= found.receipts.read_delay_p99_s
    assert found.is_of(found.machine)
    assert not [*(tmp_path / "runs").iterdir()]
    assert set(psutil.Process().children(recursive=True)) <= before
