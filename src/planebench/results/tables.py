"""The run folder's tables of raw observations, as polars frames."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

from planebench.model import PlanebenchError
from planebench.results import audit_log, engine_files
from planebench.results.folder import RunFolder

SCHEMAS: Final[dict[str, pl.Schema]] = {
    "requests": pl.Schema(
        {
            "phase": pl.String(),
            "stage": pl.String(),
            "verb": pl.String(),
            "resource": pl.String(),
            "subresource": pl.String(),
            "index": pl.Int32(),
            "namespace": pl.String(),
            "name": pl.String(),
            "due_ns": pl.Int64(),
            "sent_ns": pl.Int64(),
            "done_ns": pl.Int64(),
            "status": pl.Int16(),
            "bytes_sent": pl.Int64(),
            "bytes_received": pl.Int64(),
            "attempts": pl.Int16(),
            "error": pl.String(),
        }
    ),
    "objects": pl.Schema(
        {
            "object": pl.Int32(),
            "watch": pl.String(),
            "namespace": pl.String(),
            "name": pl.String(),
            "uid": pl.String(),
            "owner": pl.String(),
            "node": pl.String(),
            "index": pl.Int32(),
        }
    ),
    "milestones": pl.Schema({"object": pl.Int32(), "milestone": pl.String(), "t_ns": pl.Int64()}),
    "events": pl.Schema(
        {
            "t_ns": pl.Int64(),
            "read_ns": pl.Int64(),
            "watch": pl.String(),
            "object": pl.Int32(),
            "type": pl.String(),
            "resource_version": pl.Int64(),
            "bytes": pl.Int32(),
        }
    ),
    "gaps": pl.Schema(
        {
            "watch": pl.String(),
            "t_ns": pl.Int64(),
            "end_ns": pl.Int64(),
            "reason": pl.String(),
            "resumed": pl.Boolean(),
        }
    ),
    "samples": pl.Schema(
        {
            "t_ns": pl.Int64(),
            "process": pl.String(),
            "component": pl.String(),
            "role": pl.String(),
            "cpu_s": pl.Float64(),
            "rss_bytes": pl.Int64(),
            "peak_rss_bytes": pl.Int64(),
            "threads": pl.Int32(),
            "read_bytes": pl.Int64(),
            "write_bytes": pl.Int64(),
        }
    ),
    "traffic": pl.Schema(
        {
            "t_ns": pl.Int64(),
            "process": pl.String(),
            "component": pl.String(),
            "role": pl.String(),
            "peer": pl.String(),
            "sent_bytes": pl.Int64(),
            "received_bytes": pl.Int64(),
        }
    ),
    "machine": pl.Schema(
        {
            "t_ns": pl.Int64(),
            "capacity_s": pl.Float64(),
            "busy_s": pl.Float64(),
            "interrupts_s": pl.Float64(),
            "steal_s": pl.Float64(),
            "iowait_s": pl.Float64(),
            "cpu_some_s": pl.Float64(),
            "io_some_s": pl.Float64(),
            "io_full_s": pl.Float64(),
            "memory_some_s": pl.Float64(),
            "memory_full_s": pl.Float64(),
            "memory_available_bytes": pl.Int64(),
            "wall_offset_ns": pl.Int64(),
        }
    ),
    "clock": audit_log.CLOCK_SCHEMA,
    "audit": audit_log.SCHEMA,
}
"""Table -> the columns that analysis may rely on; strings may be stored as categories."""

_SAMPLED: Final = ("samples", "traffic", "machine", "clock")
"""Tables that are written as CSV while the run goes on."""

Tables = dict[str, pl.DataFrame]


def convert(folder: RunFolder, *, keep: bool = False) -> None:
    """Turn what processes wrote as they went into Parquet; what is converted already stays as it is.

    Args:
        keep: leave what they wrote in place, for they may still be writing.

    Raises:
        PlanebenchError: the load engine's or the sampler's files are damaged.
    """
    if (folder.raw / "engine" / "layout.json").exists():
        engine_files.convert(folder.path, keep=keep)
    audit_log.convert(folder.raw, keep=keep)
    for name in _SAMPLED:
        written = folder.raw / f"{name}.csv"
        if written.exists():
            target = folder.raw / f"{name}.parquet"
            partial = target.with_suffix(".partial")
            _sampled(written, SCHEMAS[name]).write_parquet(partial, compression="zstd")
            partial.replace(target)
            if not keep:
                written.unlink()


def read(folder: RunFolder) -> Tables:
    """All tables. One that the run did not come to write is empty.

    Raises:
        PlanebenchError: a file is damaged, or columns are missing; names it.
    """
    return {name: _read(folder.raw / f"{name}.parquet", schema) for name, schema in SCHEMAS.items()}


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    if not path.exists():
        return pl.DataFrame(schema=schema)
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PlanebenchError(f"{path}: is truncated or damaged: {reason}") from None
    if missing := [name for name in schema if name not in frame.columns]:
        raise PlanebenchError(f"{path}: has no column {missing[0]!r}; was it written by another version?")
    try:
        return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())
    except pl.exceptions.PolarsError as error:
        raise PlanebenchError(f"{path}: holds what it should not: {str(error).splitlines()[0]}") from None


def _sampled(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """A sampler's CSV; a torn last line is left out."""
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    try:
        return pl.read_csv(whole, schema=schema) if whole else pl.DataFrame(schema=schema)
    except pl.exceptions.PolarsError as error:
        raise PlanebenchError(f"{path}: is damaged: {str(error).splitlines()[0]}") from None
