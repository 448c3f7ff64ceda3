"""The load engine's column files, turned into the run folder's Parquet files.

``raw/engine`` holds what the engine wrote as it went: rows of 64-bit integers, codes instead of strings, one JSON
line per object, and the phases as they were ordered. Whatever ended the engine, the rows up to its last spill are
read; a torn last row or line is cut off. Operations that have no record (never due, or lost with the engine) get
one that says so: an answer that is missing must not look like a request that never was.

Where several engines had shares of the phases, each wrote a folder of its own in ``raw/engine``. Their requests
bear the numbers of the whole phase, on the trial's clock, so that putting them together is all there is to do.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from planebench.model import PlanebenchError

UNFINISHED: Final = "unfinished"
"""``error`` of an operation that was not finished when the engine ended."""

Columns = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class _EngineFolder:
    path: Path
    tables: Mapping[str, Sequence[str]]
    dtype: str
    strings: Sequence[str]

    def read(self, table: str) -> Columns:
        """A table's columns, without a torn last row."""
        names = self.tables[table]
        content = (self.path / f"{table}.bin").read_bytes()
        whole = len(content) // (8 * len(names)) * len(names)
        rows = np.frombuffer(content, dtype=self.dtype, count=whole).astype(np.int64).reshape(-1, len(names))
        return {name: rows[:, column] for column, name in enumerate(names)}

    def decode(self, codes: npt.NDArray[np.int64]) -> pl.Series:
        """Codes as categorical strings; null for -1 and for strings that were not written any more."""
        known = pl.Series(codes).replace(-1, None).cast(pl.UInt32)
        names = pl.Series(self.strings, dtype=pl.String)
        known = known.set(known >= len(names), None)
        return names.gather(known).cast(pl.Categorical)

    def json_lines(self, name: str) -> list[Any]:
        path = self.path / name
        return _whole_lines(path.read_bytes()) if path.exists() else []


def convert(run: Path, *, keep: bool = False) -> None:
    """Write ``requests``, ``objects``, ``milestones``, ``events`` and ``gaps`` as Parquet from ``raw/engine``.

    Works on whole and on truncated files; a run that was converted before is left as it is. Ends with
    ``raw/harness.json`` where nobody has written it yet.

    Args:
        run: the run's folder.
        keep: leave ``raw/engine`` in place.

    Raises:
        PlanebenchError: the folder holds no engine's files, or they are damaged beyond their last row.
    """
    raw = run / "raw"
    folder = raw / "engine"
    if not (folder / "layout.json").exists():
        if (raw / "requests.parquet").exists():
            return
        raise PlanebenchError(f"{folder}: no records of a load engine; did the run start?")
    for name, frame in _tables(folder).items():
        _write(frame, raw / f"{name}.parquet")
    health = folder / "health.json"
    if health.exists() and not (raw / "harness.json").exists():
        shutil.copyfile(health, raw / "harness.json")
    if not keep:
        shutil.rmtree(folder)


def _tables(folder: Path) -> dict[str, pl.DataFrame]:
    try:
        source = _open(folder)
        return {
            "requests": _requests(source),
            "objects": _objects(source),
            "milestones": _milestones(source),
            "events": _events(source),
            "gaps": _gaps(source),
        }
    except (OSError, ValueError, LookupError, TypeError, pl.exceptions.PolarsError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PlanebenchError(f"{folder}: the load engine's files are damaged: {reason}") from error


def _open(folder: Path) -> _EngineFolder:
    layout = json.loads((folder / "layout.json").read_bytes())
    return _EngineFolder(
        path=folder,
        tables=layout["tables"],
        dtype="<i8" if layout["byteorder"] == "little" else ">i8",
        strings=_whole_lines((folder / "strings.jsonl").read_bytes()),
    )


def _whole_lines(content: bytes) -> list[Any]:
    end = content.rfind(b"\n") + 1
    return [json.loads(line) for line in content[:end].splitlines()]


def _write(frame: pl.DataFrame, path: Path) -> None:
    """Write whole files only."""
    partial = path.with_suffix(".partial")
    frame.write_parquet(partial, compression="zstd")
    partial.replace(path)


# --- tables ------------------------------------------------------------------------------------------------


_REQUESTS: Final = pl.Schema(
    {
        "phase": pl.Categorical(),
        "stage": pl.Categorical(),
        "verb": pl.Categorical(),
        "resource": pl.Categorical(),
        "subresource": pl.Categorical(),
        "index": pl.Int32(),
        "namespace": pl.Categorical(),
        "name": pl.String(),
        "due_ns": pl.Int64(),
        "sent_ns": pl.Int64(),
        "done_ns": pl.Int64(),
        "status": pl.Int16(),
        "bytes_sent": pl.Int64(),
        "bytes_received": pl.Int64(),
        "attempts": pl.Int16(),
        "error": pl.Categorical(),
    }
)


_RECORDED: Final = ("sent_ns", "done_ns", "status", "bytes_sent", "bytes_received", "attempts")


def _recorded(source: _EngineFolder) -> pl.DataFrame:
    """What was recorded of requests: ``phase``, ``operation`` and the rest, ``error`` as a string."""
    columns = source.read("requests")
    frame = pl.DataFrame({name: columns[name] for name in ("phase", "operation", *_RECORDED)})
    return frame.with_columns(source.decode(columns["error"]).cast(pl.String).alias("error"))


def _requests(source: _EngineFolder) -> pl.DataFrame:
    senders = [_open(layout.parent) for layout in sorted(source.path.glob("*/layout.json"))]
    recorded = pl.concat([_recorded(engine) for engine in (source, *senders)])
    starts = {entry["phase"]: entry["start_ns"] for entry in source.json_lines("phases.jsonl")}
    empty = pl.DataFrame(schema=_REQUESTS)
    frames = [empty]
    for number in sorted(starts):
        plan = json.loads((source.path / f"phase-{number}.json").read_bytes())
        frames.append(
            _phase_requests(recorded.filter(pl.col("phase") == number), starts[number], plan)
            .select(empty.columns)
            .cast(_REQUESTS)
        )
    return pl.concat(frames).sort("due_ns", maintain_order=True)


def _phase_requests(recorded: pl.DataFrame, start_ns: int, plan: Mapping[str, Any]) -> pl.DataFrame:
    """One row per planned operation, in the order of the plan."""
    operation = recorded["operation"].to_numpy()
    planned = len(plan["due_ns"])

    def spread(column: str, missing: int) -> npt.NDArray[np.int64]:
        spread = np.full(planned, missing, dtype=np.int64)
        spread[operation] = recorded[column].to_numpy()
        return spread

    error = np.full(planned, UNFINISHED, dtype=object)
    error[operation] = recorded["error"].to_list()
    template = np.asarray(plan["template"], dtype=np.int64)

    def of_template(key: str) -> pl.Series:
        return pl.Series([entry[key] for entry in plan["templates"]], dtype=pl.String).gather(template)

    return pl.DataFrame(
        {
            "phase": pl.repeat(plan["name"], planned, eager=True),
            "stage": pl.repeat(plan["stage"], planned, eager=True),
            "verb": of_template("verb"),
            "resource": of_template("resource"),
            "subresource": of_template("subresource"),
            "index": pl.Series(plan["index"], dtype=pl.Int32),
            "namespace": pl.Series(plan["namespaces"], dtype=pl.String).gather(plan["namespace"]),
            "name": pl.Series(plan["object_name"], dtype=pl.String),
            "due_ns": np.asarray(plan["due_ns"], dtype=np.int64) + start_ns,
            "sent_ns": spread("sent_ns", -1),
            "done_ns": spread("done_ns", -1),
            "status": spread("status", 0),
            "bytes_sent": spread("bytes_sent", 0),
            "bytes_received": spread("bytes_received", 0),
            "attempts": spread("attempts", 0),
            "error": pl.Series(error.tolist(), dtype=pl.String),
        }
    )


def _objects(source: _EngineFolder) -> pl.DataFrame:
    fields = ("object", "watch", "namespace", "name", "uid", "owner", "node", "index")
    latest = {row[0]: row for row in source.json_lines("objects.jsonl")}
    return pl.DataFrame(
        [latest[number] for number in sorted(latest)],
        schema={field: pl.Int32 if field in ("object", "index") else pl.String for field in fields},
        orient="row",
    ).with_columns(pl.col("watch", "namespace", "node").cast(pl.Categorical))


def _milestones(source: _EngineFolder) -> pl.DataFrame:
    columns = source.read("milestones")
    return pl.DataFrame(
        {
            "object": pl.Series(columns["object"]).cast(pl.Int32),
            "milestone": source.decode(columns["milestone"]),
            "t_ns": columns["t_ns"],
        }
    )


def _events(source: _EngineFolder) -> pl.DataFrame:
    columns = source.read("events")
    return pl.DataFrame(
        {
            "t_ns": columns["t_ns"],
            "read_ns": columns["read_ns"],
            "watch": source.decode(columns["watch"]),
            "object": pl.Series(columns["object"]).cast(pl.Int32),
            "type": source.decode(columns["type"]),
            "resource_version": columns["resource_version"],
            "bytes": pl.Series(columns["bytes"]).cast(pl.Int32),
        }
    )


def _gaps(source: _EngineFolder) -> pl.DataFrame:
    columns = source.read("gaps")
    return pl.DataFrame(
        {
            "watch": source.decode(columns["watch"]),
            "t_ns": columns["t_ns"],
            "end_ns": columns["end_ns"],
            "reason": source.decode(columns["reason"]),
            "resumed": pl.Series(columns["resumed"]).cast(pl.Boolean),
        }
    )
