"""The versioned run folder: what a run leaves behind, and all that any analysis reads.

=========================  ============================================================================
``scenario.yaml``          the scenario as it was run, overrides included
``plane.json``             the plane's descriptor as it was run
``environment.json``       machine, versions, components, deviations
``run.json``               status, seed and phases; rewritten at every change
``leftovers.json``         what was still there after the cleanup
``consistency.json``       what etcd held after faults, before the cleanup
``stuck.json``             what had failed or still waited at a stage's end, with the reason
``raw/*.parquet``          requests, objects, milestones, events, gaps, samples, traffic,
                           machine; of audited runs clock, audit, traces
``raw/scrapes/``           metrics as the components served them, with ``index.json``
``raw/harness.json``       the load engine's health
``profiles/``              CPU and heap profiles (pprof), with ``index.json``
``logs/``                  one log for each process
``result.json``            the analysis
=========================  ============================================================================

JSON files are written aside and renamed: a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from planebench.model import FaultRecord, PhaseRecord, PlanebenchError, RestartRecord, Stage, UsageError
from planebench.planes import Plane, read_plane
from planebench.results.document import SCHEMA_VERSION as RESULT_VERSION
from planebench.results.document import Result, Status
from planebench.results.stuck import Stuck
from planebench.scenario import Scenario, dump, plane_of

SCHEMA_VERSION = 1
"""Of the folder: ``schema`` in run.json. Rises when older readers would misread it."""

_YAML_END = "...\n"

_Document = TypeVar("_Document", bound=BaseModel)


class RunRecord(BaseModel):
    """``run.json``; what newer versions add to it, or to its records, is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    scenario: str
    seed: int
    started_wall: float | str = ""
    """Unix time, or ISO 8601."""
    status: Status
    error: str | None = None
    left_behind: str = ""
    """What could not be removed from a cluster of others, and how to do it later."""
    end_ns: int = 0
    """On the trial's clock, when the record was last written."""
    phases: tuple[PhaseRecord, ...] = ()
    faults: tuple[FaultRecord, ...] = ()
    restarts: tuple[RestartRecord, ...] = ()
    """Processes that were started anew, by a fault or after one."""

    def of_stage(self, stage: Stage) -> tuple[PhaseRecord, ...]:
        """The stage's phases, in their order."""
        return tuple(phase for phase in self.phases if phase.stage is stage)

    def span_ns(self, stage: Stage) -> tuple[int, int] | None:
        """From the stage's first phase's start to its last one's end; None: it did not take place."""
        phases = self.of_stage(stage)
        return (min(phase.start_ns for phase in phases), max(phase.end_ns for phase in phases)) if phases else None


class ScrapeEntry(BaseModel):
    """A line of ``raw/scrapes/index.json``: one process's metrics at one time."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    t_ns: int
    label: str
    process: str
    component: str = ""
    file: str
    error: str | None = None
    bytes: int = 0
    format: str = "text"
    """text or protobuf."""


class RunFolder:
    """Paths and documents of a run folder. Made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """A new run folder; parents are made.

        Raises:
            UsageError: it exists and is not empty, or cannot be made.
        """
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                what = "is not empty" if path.is_dir() else "is a file"
                raise UsageError(f"--out {path}: {what}; give a new folder, or remove this one")
            folder = cls(path)
            for part in (folder.raw, folder.scrapes, folder.logs):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--out {path}: cannot be made: {error.strerror or error}") from None
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """A run folder that exists.

        Raises:
            UsageError: there is none, or it was written by another version of planebench.
        """
        folder = cls(path)
        if not path.is_dir():
            raise UsageError(f"{path}: there is no such folder")
        if not folder._run.exists():
            raise UsageError(f"{path}: is no run folder, it has no run.json")
        version = folder._json(folder._run).get("schema")
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{folder._run}: was written in version {version} of the run folder's format, "
                f"this planebench reads version {SCHEMA_VERSION}"
            )
        return folder

    # --- places ---

    @property
    def raw(self) -> Path:
        return self.path / "raw"

    @property
    def scrapes(self) -> Path:
        return self.raw / "scrapes"

    @property
    def audit_logs(self) -> Path:
        """What the API servers write while they run, one log each."""
        return self.raw / "audit"

    @property
    def profiles(self) -> Path:
        return self.path / "profiles"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def _run(self) -> Path:
        return self.path / "run.json"

    # --- writing ---

    def write_scenario(self, scenario: Scenario) -> None:
        """The scenario as it is run, with YAML's own mark at its end: half of a YAML document may be one, too."""
        write_text(self.path / "scenario.yaml", f"{dump(scenario)}{_YAML_END}")

    def write_plane(self, plane: Plane) -> None:
        """The plane as it is run: analysis must not depend on a folder elsewhere, or on a later version of it."""
        write_text(self.path / "plane.json", plane.as_json())

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        write_json(self.path / "environment.json", environment)

    def write_run(self, record: Mapping[str, Any]) -> None:
        """``run.json``, see :class:`RunRecord`; the format's version is added."""
        write_json(self._run, {"schema": SCHEMA_VERSION, **record})

    def write_leftovers(self, leftovers: Sequence[Any]) -> None:
        """What the API server still had after the cleanup: one item for each object."""
        write_json(self.path / "leftovers.json", {"leftovers": list(leftovers)})

    def write_consistency(self, found: Mapping[str, Any]) -> None:
        """What etcd held when all faults were over and nothing changed any more."""
        write_json(self.path / "consistency.json", found)

    def write_stuck(self, looks: Sequence[Mapping[str, Any]]) -> None:
        """What had failed or still waited: a stage and its objects for each time that somebody looked."""
        write_json(self.path / "stuck.json", {"looks": list(looks)})

    def write_result(self, result: Result) -> None:
        write_text(self.path / "result.json", result.model_dump_json(indent=1) + "\n")

    # --- reading: every error names the file ---

    def run(self) -> RunRecord:
        return self._validated(RunRecord, self._run)

    def scenario(self) -> Scenario:
        path = self.path / "scenario.yaml"
        text = _read(path).decode("utf-8", "replace")
        if not text.endswith(_YAML_END):
            raise PlanebenchError(f"{path}: is truncated or damaged: its end is missing")
        try:
            return Scenario.model_validate(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise PlanebenchError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
        except ValidationError as error:
            raise PlanebenchError(f"{path}: {_first(error)}") from None

    def plane(self, scenario: Scenario) -> Plane:
        """The plane as it was run; a folder without ``plane.json`` has it from the scenario."""
        path = self.path / "plane.json"
        if not path.exists():
            return plane_of(scenario)
        try:
            return read_plane(_read(path))
        except ValidationError as error:
            raise PlanebenchError(f"{path}: is truncated or damaged: {_first(error)}") from None
        except ValueError as error:
            raise PlanebenchError(f"{path}: is truncated or damaged: {error}") from None

    def environment(self) -> dict[str, Any]:
        """Empty where the run did not come so far."""
        return self._optional("environment.json")

    def leftovers(self) -> list[Any] | None:
        """None: nobody looked."""
        found = self._optional("leftovers.json").get("leftovers")
        return found if isinstance(found, list) else None

    def consistency(self) -> dict[str, Any]:
        """Empty where nobody looked, or could."""
        found = self._optional("consistency.json")
        return {} if "error" in found else found

    def stuck(self) -> list[tuple[str, list[Stuck]]]:
        """Stage -> what had failed or still waited at its end; empty where nobody looked."""
        found = self._optional("stuck.json").get("looks") or []
        try:
            return [(look["stage"], [Stuck(**item) for item in look["objects"]]) for look in found]
        except (KeyError, TypeError) as error:
            raise PlanebenchError(f"{self.path / 'stuck.json'}: is damaged: {error}") from None

    def harness(self) -> dict[str, Any]:
        """Empty where the load engine left no health report."""
        return self._optional("raw/harness.json")

    def scrape_index(self) -> list[ScrapeEntry]:
        """All scrapes in the order of their times; empty where there were none."""
        path = self.scrapes / "index.json"
        if not path.exists():
            return []
        entries = self._json(path, list)
        try:
            return sorted((ScrapeEntry.model_validate(entry) for entry in entries), key=lambda entry: entry.t_ns)
        except ValidationError as error:
            raise PlanebenchError(f"{path}: {_first(error)}") from None

    def scrape(self, entry: ScrapeEntry) -> bytes:
        """A scrape's text; empty where it failed, or its file is missing or torn."""
        try:
            return b"" if entry.error else gzip.decompress((self.scrapes / entry.file).read_bytes())
        except (OSError, EOFError, zlib.error):
            return b""

    def result(self) -> Result:
        """The analysis, as it was made last.

        Raises:
            PlanebenchError: there is none, it is torn, or of another version.
        """
        path = self.path / "result.json"
        version = self._json(path).get("schema_version")
        if version != RESULT_VERSION:
            again = f"`planebench show {self.path}` makes it again"
            gone = f"this planebench reads version {RESULT_VERSION}, and without raw/ it cannot be made again"
            raise PlanebenchError(f"{path}: is of version {version}; {again if self.raw.is_dir() else gone}")
        return self._validated(Result, path)

    def _optional(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return self._json(path) if path.exists() else {}

    def _json(self, path: Path, kind: type = dict) -> Any:
        return read_json(path, kind)

    def _validated(self, model: type[_Document], path: Path) -> _Document:
        content = _read(path)
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            raise PlanebenchError(f"{path}: is truncated or damaged: {_first(error)}") from None


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: aside, then renamed."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the same reason, again
            aside.unlink(missing_ok=True)
        raise PlanebenchError(f"{path}: cannot be written: {error.strerror or error}") from error


def read_json(path: Path, kind: type = dict) -> Any:
    """What a JSON file holds: an object, or of another ``kind``.

    Raises:
        PlanebenchError: it is missing or damaged; names it.
    """
    content = _read(path)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise PlanebenchError(f"{path}: is truncated or damaged: {error}") from None
    if not isinstance(found, kind):
        raise PlanebenchError(f"{path}: is damaged: it holds no {'list' if kind is list else 'object'}")
    return found


def write_json(path: Path, content: Any) -> None:
    """A JSON file; what JSON does not know (paths, enums, dates) is written as text, infinity and NaN as null."""
    write_text(path, json.dumps(_finite(content), indent=1, default=str, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PlanebenchError(f"{path}: is missing: the run ended before, or the folder is not whole") from None
    except OSError as error:
        raise PlanebenchError(f"{path}: cannot be read: {error.strerror or error}") from None


def _first(error: ValidationError) -> str:
    """The first fault in one line."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
