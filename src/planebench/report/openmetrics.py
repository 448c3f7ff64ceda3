"""A result as OpenMetrics text, for a time series of runs: pushed, or read from a file by an exporter.

Every series carries ``scenario`` and ``plane``; what differs from run to run (id, seed, version) is in
``planebench_run_info``, so that the series of a nightly run go on from night to night. Percentiles are gauges with
a label ``quantile``, for a summary's values must not be negative; one among what never came is ``+Inf``.
Source: https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector

from planebench.model import Judgement
from planebench.report import figures
from planebench.results.document import Component, Result, Row, Unit

_NAMES: Final[Mapping[Unit, tuple[str, str]]] = {
    "s": ("seconds", "seconds"),
    "bytes": ("bytes", "bytes"),
    "share": ("ratio", "ratio"),
    "ratio": ("ratio", "ratio"),
    "/s": ("per_second", ""),
    "count": ("items", ""),
}
"""Unit -> the end of a family's name, and OpenMetrics' name of the unit."""
_QUANTILES: Final = {"0.5": "p50", "0.9": "p90", "0.99": "p99", "1": "max"}

Labels = dict[str, str]


def render(result: Result) -> str:
    """The result as OpenMetrics text, UTF-8, with its ``# EOF``."""
    registry = CollectorRegistry()
    registry.register(_Families(result))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.decode()


class _Families(Collector):
    """All of a result's metric families; each series appears once."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._labels = {"scenario": result.scenario, "plane": result.plane}

    def collect(self) -> Iterator[Metric]:
        yield from self._run()
        yield from self._slis()
        yield from self._slos()
        yield from self._components()

    def _gauge(
        self, name: str, help_text: str, series: Iterable[tuple[Labels, float | None]], unit: str = ""
    ) -> Iterator[Metric]:
        """A family of gauges; what is None is left out, and so is a family without series."""
        found = {tuple({**self._labels, **labels}.items()): value for labels, value in series if value is not None}
        if not found:
            return
        family = GaugeMetricFamily(name, help_text, unit=unit, labels=[key for key, _ in next(iter(found))])
        for labels, value in found.items():
            family.add_metric([text for _, text in labels], value)
        yield family

    def _states(
        self, name: str, help_text: str, series: Iterable[tuple[Labels, Judgement | None]]
    ) -> Iterator[Metric]:
        found = {tuple({**self._labels, **labels}.items()): verdict for labels, verdict in series}
        if not found:
            return
        family = StateSetMetricFamily(name, help_text, labels=[key for key, _ in next(iter(found))])
        for labels, verdict in found.items():
            family.add_metric([text for _, text in labels], {state: state is verdict for state in Judgement})
        yield family

    # --- the run ---

    def _run(self) -> Iterator[Metric]:
        result = self._result
        yield InfoMetricFamily(
            "planebench_run",
            "What ran.",
            value={
                **self._labels,
                "run_id": result.run_id,
                "seed": str(result.seed),
                "planebench_version": result.planebench_version,
                "status": result.status,
            },
        )
        yield from self._states(
            "planebench_run_verdict",
            "The run's verdict; no state is set where nothing is demanded.",
            [({}, result.verdict)],
        )
        yield from self._gauge(
            "planebench_run_start_time",
            "When the run started, Unix time.",
            [({}, _unix_s(result.started_wall))],
            "seconds",
        )
        yield from self._gauge(
            "planebench_run_duration", "How long the run took.", [({}, result.duration_s)], "seconds"
        )
        yield from self._gauge(
            "planebench_objects",
            "What became of the workload's objects.",
            [({"state": state}, count) for state, count in result.counts.model_dump().items()],
        )
        yield from self._gauge(
            "planebench_request_errors",
            "Requests that failed, by what was said.",
            [
                (
                    {"phase": error.phase, "verb": error.verb, "resource": error.resource, "error": error.error},
                    error.count,
                )
                for error in result.errors
            ],
        )
        yield from self._gauge(
            "planebench_check_held",
            "Whether a check of the measurement's validity held; affects is what it makes doubtful otherwise.",
            [({"check": check.name, "affects": check.affects}, float(check.ok)) for check in result.validity],
        )

    # --- indicators ---

    def _slis(self) -> Iterator[Metric]:
        result = self._result
        staged = [("preparation", row) for row in result.preparation]
        staged += [(stage.stage, row) for stage in result.stages for row in stage.rows]
        rows = [({"stage": stage, "sli": row.sli}, row) for stage, row in staged]
        yield from self._figures("planebench_sli", "Service level indicators", rows)
        yield from self._gauge(
            "planebench_sli_values",
            "How many values there should be, missing ones included.",
            [(labels, row.n) for labels, row in rows],
        )
        yield from self._gauge(
            "planebench_sli_missing_values",
            "How many values never came.",
            [(labels, row.missing) for labels, row in rows],
        )
        yield from self._gauge(
            "planebench_sli_throughput_per_second",
            "Successes per second, from the first due to the last success.",
            [(labels, row.rate_per_s) for labels, row in rows],
        )

    def _figures(self, name: str, what: str, rows: list[tuple[Labels, Row]]) -> Iterator[Metric]:
        """Rows by unit: distributions by quantile, single values with an empty one."""
        for ending, unit in dict.fromkeys(_NAMES.values()):
            series = [
                ({**labels, "quantile": quantile}, value)
                for labels, row in rows
                if _NAMES[row.unit] == (ending, unit)
                for quantile, value in _values(row)
            ]
            stem = name if unit else f"{name}_{ending}"
            yield from self._gauge(
                stem, f"{what} ({ending.replace('_', ' ')}); +Inf: among what never came.", series, unit
            )

    def _slos(self) -> Iterator[Metric]:
        slos = [({"slo": figures.demand(slo), "sli": slo.sli, "unit": slo.unit}, slo) for slo in self._result.slos]
        yield from self._states(
            "planebench_slo_verdict", "The verdict on each SLO.", [(labels, slo.verdict) for labels, slo in slos]
        )
        yield from self._gauge(
            "planebench_slo_value",
            "What was found of each SLO, in its unit; +Inf: among what never came.",
            [(labels, math.inf if slo.value is None and slo.n else slo.value) for labels, slo in slos],
        )
        yield from self._gauge(
            "planebench_slo_bound",
            "What each SLO demands, in its unit.",
            [
                ({**labels, "bound": bound}, value)
                for labels, slo in slos
                for bound, value in (("max", slo.at_most), ("min", slo.at_least))
            ],
        )

    # --- components ---

    def _components(self) -> Iterator[Metric]:
        components = [({"component": part.name, "role": part.role}, part) for part in self._result.components]
        yield from self._gauge(
            "planebench_component_cpu",
            "CPU time by lifecycle stage; other is before, between and after the stages.",
            [
                ({**labels, "stage": stage}, used_s)
                for labels, part in components
                for stage, used_s in part.cpu_by_stage_s.items()
            ],
            "seconds",
        )
        yield from self._gauge(
            "planebench_component_peak_resident_memory",
            "The highest resident memory, summed over the component's processes.",
            [(labels, part.peak_rss_bytes) for labels, part in components],
            "bytes",
        )
        yield from self._gauge(
            "planebench_component_requests",
            "Requests answered or, of a client, sent in the stages.",
            [(labels, part.requests) for labels, part in components],
        )
        yield from self._gauge(
            "planebench_component_errors",
            "Those answered with 429 or 5xx, or not at all.",
            [(labels, part.errors) for labels, part in components],
        )
        yield from self._figures("planebench_component_figure", "Components' own metrics", list(_own(components)))


def _own(components: Iterable[tuple[Labels, Component]]) -> Iterator[tuple[Labels, Row]]:
    for labels, part in components:
        for row in part.metrics:
            if not row.part_of:
                yield {"component": labels["component"], "metric": row.sli}, row


def _values(row: Row) -> Iterator[tuple[str, float | None]]:
    distribution = any(getattr(row, name) is not None for name in _QUANTILES.values()) or row.missing > 0
    if not distribution:
        yield "", row.value
        return
    for quantile, name in _QUANTILES.items():
        found: float | None = getattr(row, name)
        among_missing = found is None and row.missing > 0
        yield quantile, math.inf if among_missing else found


def _unix_s(started: str) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp()
    except ValueError:
        return None
