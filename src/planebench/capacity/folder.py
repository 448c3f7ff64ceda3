"""The capacity folder: written as steps go, read again when the search goes on.

=====================  ==========================================================================
``capacity.json``      plan, steps and outcome; rewritten at every change
``scenario.yaml``      the scenario whose load is raised
``capacity.html``      the result as a page
``steps/NNN/``         a run folder for each step
``steps/.cut-off/``    what steps left that were cut off and are run again
``logs/``              the control plane's logs, where steps share one
=====================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from planebench import __version__
from planebench.capacity import search
from planebench.capacity.document import SCHEMA_VERSION, Capacity, Load, Plan, Step
from planebench.model import PlanebenchError, UsageError
from planebench.results.folder import read_json, write_text
from planebench.scenario import Scenario, dump

RECORD: Final = "capacity.json"


class CapacityFolder:
    """Paths and state of a search. Made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, capacity: Capacity) -> None:
        self.path = path
        self.capacity = capacity

    @classmethod
    def create(cls, path: Path, scenario: Scenario, plan: Plan) -> CapacityFolder:
        """A new folder, or one whose search is the same and goes on.

        Raises:
            UsageError: it holds something else, or another search; or it cannot be made.
            PlanebenchError: its ``capacity.json`` is damaged.
        """
        text = dump(scenario)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if (path / RECORD).is_file():
            folder = cls.open(path)
            folder._demand_same(digest, plan)
            return folder
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                what = "is not empty" if path.is_dir() else "is a file"
                raise UsageError(f"--out {path}: {what}, and holds no search; give a new folder")
            (path / "steps").mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"--out {path}: cannot be made: {error.strerror or error}") from None
        write_text(path / "scenario.yaml", text)
        folder = cls(
            path,
            Capacity(
                id=f"{scenario.name.lower()[:40]}-{secrets.token_hex(4)}",
                planebench_version=__version__,
                scenario=scenario.name,
                scenario_digest=digest,
                plane=scenario.plane,
                started_wall=datetime.now(UTC).isoformat(timespec="seconds"),
                plan=plan,
            ),
        )
        folder._save()
        return folder

    @classmethod
    def open(cls, path: Path) -> CapacityFolder:
        """A folder that exists.

        Raises:
            UsageError: there is none, or it is of another version.
            PlanebenchError: ``capacity.json`` is damaged.
        """
        record = path / RECORD
        if not record.is_file():
            raise UsageError(f"{path}: is no capacity search, it has no {RECORD}")
        content = read_json(record)
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise UsageError(f"{record}: is of version {version}, this planebench reads version {SCHEMA_VERSION}")
        try:
            return cls(path, Capacity.model_validate(content))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PlanebenchError(f"{record}: is damaged: {where or 'the document'}: {first['msg']}") from None

    def next_level(self) -> float | None:
        """The level to try next; None: the search has ended."""
        return search.next_level(self.capacity.plan, _tried(self.capacity.steps))

    def start(self) -> Path:
        """The next step's run folder, which is not there yet; what an earlier attempt has left is put aside.

        Raises:
            PlanebenchError: it cannot be put aside.
        """
        place = self.step_folder(len(self.capacity.steps) + 1)
        if place.exists():
            aside = self.path / "steps" / ".cut-off"
            try:
                aside.mkdir(exist_ok=True)
                number = sum(1 for entry in aside.iterdir() if entry.name.startswith(place.name)) + 1
                place.rename(aside / f"{place.name}.{number}")
            except OSError as error:
                raise PlanebenchError(f"{place}: cannot be put aside: {error.strerror or error}") from None
        return place

    def step_folder(self, number: int) -> Path:
        return self.path / "steps" / f"{number:03d}"

    def end(self, step: Step, environment: Mapping[str, Any]) -> None:
        """Note a step's judgement; after the last one, what the search has found."""
        capacity = self.capacity
        steps = (*capacity.steps, step)
        found = search.outcome(capacity.plan, _tried(steps), step.reason)
        update: dict[str, Any] = {
            "steps": steps,
            "outcome": found,
            "environment": capacity.environment or dict(environment),
        }
        if found is not None:
            update |= _law(capacity.plan, steps)
        self.capacity = capacity.model_copy(update=update)
        self._save()

    def _demand_same(self, digest: str, plan: Plan) -> None:
        if digest != self.capacity.scenario_digest:
            raise UsageError(
                f"--out {self.path}: its search is of another scenario ({self.path / 'scenario.yaml'}); "
                "give a new folder"
            )
        for name in Plan.model_fields:
            before, now = getattr(self.capacity.plan, name), getattr(plan, name)
            if before != now:
                raise UsageError(
                    f"--out {self.path}: its search has {name} {before}, not {now}; "
                    "give a new folder, or the same options to go on"
                )

    def _save(self) -> None:
        write_text(self.path / RECORD, self.capacity.model_dump_json(indent=1) + "\n")


def _tried(steps: tuple[Step, ...]) -> list[search.Tried]:
    return [(step.level, step.verdict) for step in steps]


def _law(plan: Plan, steps: tuple[Step, ...]) -> dict[str, Any]:
    """The law through all measured steps; an overloaded one counts with its means: its backlog changes slowly."""
    if plan.of is not Load.RATE:
        return {"law_reason": "the offered rate is the same in all steps"}
    from planebench.capacity import usl  # scipy: half a second that other commands save

    measured = [step.figures for step in steps if step.figures and step.verdict != "INCONCLUSIVE"]
    found = usl.fit([one.backlog for one in measured], [one.goodput_per_s for one in measured], seed=plan.seed)
    return {"law_reason": found} if isinstance(found, str) else {"law": found}
