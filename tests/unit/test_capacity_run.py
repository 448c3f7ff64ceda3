"""The search's run, with made-up trials in the place of real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import made_searches
import pytest

from planebench import scenario as scenarios
from planebench.capacity import CapacityFolder, Ending
from planebench.model import ComponentError, UsageError
from planebench.results import RunFolder
from planebench.run import capacity as live
from planebench.run.existing import Existing
from planebench.run.listener import Silent
from planebench.run.trial import RunOptions
from planebench.scenario import Scenario


class Trials:
    """Stands for control planes and runs: notes what was asked for."""

    def __init__(self, leftovers_at: float = 0.0, breaks_at: float = 0.0) -> None:
        self.levels: list[float] = []
        self.started = 0
        self.rested = 0
        self.targets: list[Any] = []
        self._leftovers_at = leftovers_at
        self._breaks_at = breaks_at

    async def run(
        self, scenario: Scenario, out: Path, options: RunOptions, _: Any, *, on: Any = None
    ) -> RunFolder:
        self.targets.append(options.target)
        level = scenario.lifecycle.creation.arrival.model_copy().rate  # type: ignore[union-attr]
        self.levels.append(level)
        folder = RunFolder.create(out)
        folder.write_environment({"machine": {"cores": 2}})
        folder.write_leftovers(["pods a/b"] if level == self._leftovers_at else [])
        if level == self._breaks_at:
            raise ComponentError("kube-apiserver ended", component="kube-apiserver")
        return folder


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Any:
    async def nothing(*_: Any, **__: Any) -> dict[str, Any]:
        return {}

    async def run(
        folder: CapacityFolder, trials: Trials, served: float = 100.0, options: live.SearchOptions | None = None
    ) -> None:
        async def control_plane(self: Any, *_: Any) -> Any:
            if self._shared is None:
                trials.started += 1
                self._shared = object()
            else:
                trials.rested += 1
            return self._shared

        judge = made_searches.threshold(served)
        monkeypatch.setattr(live, "provide", nothing)
        monkeypatch.setattr(live, "run", trials.run)
        monkeypatch.setattr(live._Search, "_control_plane", control_plane)
        monkeypatch.setattr(live, "_judge", lambda _, number, level: judge(number, level))
        await live.search_capacity(scenarios.load("capacity-pods"), folder, options, Silent())

    return run


def folder(path: Path, **changes: object) -> CapacityFolder:
    return CapacityFolder.create(path, scenarios.load("capacity-pods"), made_searches.plan(**changes))


async def test_steps_share_a_control_plane(tmp_path: Path, search: Any) -> None:
    trials, made = Trials(), folder(tmp_path / "search")
    await search(made, trials)
    assert made.capacity.outcome is not None
    assert made.capacity.outcome.ending is Ending.FOUND
    assert trials.levels == [step.level for step in made.capacity.steps]
    assert (trials.started, trials.rested) == (1, len(trials.levels) - 1)
    again = Trials()
    await search(folder(tmp_path / "search"), again)
    assert again.levels == [], "a search that has ended is not made again"


async def test_each_step_can_have_a_fresh_one(tmp_path: Path, search: Any) -> None:
    trials = Trials()
    await search(folder(tmp_path / "search", fresh=True), trials)
    assert trials.started == 0, "the run starts its own"


async def test_steps_on_a_cluster_of_others(tmp_path: Path, search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def reach(existing: Existing | None, _: Any) -> AsyncIterator[Any]:
        yield existing

    monkeypatch.setattr(live, "reach_if_any", reach)
    there, trials = Existing(context="dev"), Trials(leftovers_at=30.0)
    made = folder(tmp_path / "search", context="dev", settle_s=0.0)
    await search(made, trials, options=live.SearchOptions(elsewhere=there))
    assert trials.started == 0
    assert trials.targets == [there] * len(made.capacity.steps)


async def test_what_is_left_over_ends_a_control_plane(tmp_path: Path, search: Any) -> None:
    trials = Trials(leftovers_at=30.0)
    await search(folder(tmp_path / "search"), trials)
    assert trials.started == 2


async def test_a_step_that_breaks_is_made_again(tmp_path: Path, search: Any) -> None:
    broken, made = Trials(breaks_at=45.0), folder(tmp_path / "search")
    with pytest.raises(ComponentError):
        await search(made, broken)
    assert [step.level for step in made.capacity.steps] == [20, 30]
    trials, again = Trials(), folder(tmp_path / "search")
    await search(again, trials)
    assert trials.levels[0] == 45
    assert again.capacity.outcome is not None


async def test_a_demand_on_nothing_known_is_refused(tmp_path: Path) -> None:
    wanted = scenarios.load("capacity-pods", {"slos": "[{sli: creation.startupp, percentile: 99, max: 1s}]"})
    made = CapacityFolder.create(tmp_path / "search", wanted, made_searches.plan())
    with pytest.raises(UsageError, match=r"creation\.startupp"):
        await live.search_capacity(wanted, made)
