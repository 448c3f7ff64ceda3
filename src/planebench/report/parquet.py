"""Runs as Parquet tables for one's own analysis: the raw observations, and the figures made of them.

Every table begins with the column ``run``, the run's id, so that the tables of several runs are one.

==================  ==================================================================================
``requests``, ...   the raw tables of the run folder (docs/results.md), run after run
``rows``            every indicator's figures, of the stages and of the components' own metrics
``components``      what each component has cost
``slos``            what was demanded, and what was found
``runs``            one line for each run: scenario, plane, seed, status, verdict
==================  ==================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from planebench.model import PlanebenchError, UsageError
from planebench.results import Result, RunFolder, tables

RUN: Final = "run"

_ROWS: Final = pl.Schema(
    {
        RUN: pl.String(),
        "stage": pl.String(),
        "component": pl.String(),
        "sli": pl.String(),
        "title": pl.String(),
        "unit": pl.String(),
        "part_of": pl.String(),
        "n": pl.Int64(),
        "missing": pl.Int64(),
        "beyond_s": pl.Float64(),
        "negative": pl.Int64(),
        "p50": pl.Float64(),
        "p90": pl.Float64(),
        "p99": pl.Float64(),
        "max": pl.Float64(),
        "p99_low": pl.Float64(),
        "p99_high": pl.Float64(),
        "value": pl.Float64(),
        "rate_per_s": pl.Float64(),
        "errors": pl.Int64(),
        "simulated": pl.Boolean(),
        "notes": pl.List(pl.String()),
    }
)
_COMPONENTS: Final = pl.Schema(
    {
        RUN: pl.String(),
        "name": pl.String(),
        "role": pl.String(),
        "processes": pl.List(pl.String()),
        "cpu_s": pl.Float64(),
        "cpu_by_stage_s": pl.String(),
        "peak_rss_bytes": pl.Int64(),
        "requests": pl.Int64(),
        "rate_per_s": pl.Float64(),
        "errors": pl.Int64(),
        "restarted": pl.Boolean(),
    }
)
_SLOS: Final = pl.Schema(
    {
        RUN: pl.String(),
        "sli": pl.String(),
        "percentile": pl.Float64(),
        "at_most": pl.Float64(),
        "at_least": pl.Float64(),
        "unit": pl.String(),
        "value": pl.Float64(),
        "n": pl.Int64(),
        "missing": pl.Int64(),
        "verdict": pl.String(),
        "reason": pl.String(),
    }
)
_RUNS: Final = pl.Schema(
    {
        RUN: pl.String(),
        "scenario": pl.String(),
        "plane": pl.String(),
        "seed": pl.Int64(),
        "started_wall": pl.String(),
        "duration_s": pl.Float64(),
        "planebench_version": pl.String(),
        "status": pl.String(),
        "error": pl.String(),
        "verdict": pl.String(),
        "reason": pl.String(),
    }
)


def write(runs: Sequence[tuple[RunFolder, Result]], out: Path) -> list[Path]:
    """Write all tables into a folder, which is made; files of these names that it holds are replaced.

    Raises:
        UsageError: two runs are the same one, or the folder cannot be made.
        PlanebenchError: a table cannot be read or written; names it.
    """
    ids = [result.run_id for _, result in runs]
    if twice := sorted({run for run in ids if ids.count(run) > 1}):
        raise UsageError(f"run {twice[0]} was given twice")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be made: {error.strerror or error}") from None
    return [_written(frame, out / f"{name}.parquet") for name, frame in frames(runs)]


def rows(results: Iterable[Result]) -> pl.DataFrame:
    """Every indicator's figures, one line each; times are seconds, sizes bytes, rates per second."""
    return _frame(_ROWS, (line for result in results for line in _row_lines(result)))


def frames(runs: Sequence[tuple[RunFolder, Result]]) -> Iterator[tuple[str, pl.DataFrame]]:
    """Every table with its name, as the module's docstring has them. Raises PlanebenchError: one is damaged."""
    raw = {result.run_id: tables.read(folder) for folder, result in runs}
    for name in tables.SCHEMAS:
        yield name, pl.concat(found[name].select(pl.lit(run).alias(RUN), pl.all()) for run, found in raw.items())
    results = [result for _, result in runs]
    yield "rows", rows(results)
    yield "components", _frame(_COMPONENTS, (line for result in results for line in _component_lines(result)))
    yield "slos", _frame(_SLOS, ({RUN: result.run_id, **dict(slo)} for result in results for slo in result.slos))
    yield "runs", _frame(_RUNS, ({RUN: result.run_id, **dict(result)} for result in results))


def _row_lines(result: Result) -> Iterator[dict[str, Any]]:
    groups = [("preparation", "", result.preparation)]
    groups += [(stage.stage, "", stage.rows) for stage in result.stages]
    groups += [("faults", "", result.resilience)]
    groups += [("", component.name, component.metrics) for component in result.components]
    for stage, component, found in groups:
        for row in found:
            yield {RUN: result.run_id, "stage": stage, "component": component, **dict(row)}


def _component_lines(result: Result) -> Iterator[dict[str, Any]]:
    for component in result.components:
        yield {
            RUN: result.run_id,
            **dict(component),
            "cpu_by_stage_s": json.dumps(dict(component.cpu_by_stage_s)),
        }


def _frame(schema: pl.Schema, lines: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([{name: line[name] for name in schema} for line in lines], schema=schema, orient="row")


def _written(frame: pl.DataFrame, path: Path) -> Path:
    aside = path.with_suffix(".partial")
    try:
        frame.write_parquet(aside, compression="zstd")
        aside.replace(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise PlanebenchError(f"{path}: cannot be written: {error}") from None
    return path
