"""Which of their own metrics stand for which component.

Names and labels are those of Kubernetes 1.37, etcd 3.7 and client-go; a family that a component does not serve is
left out of its figures. Controllers' work queues and API clients are found by the end of their names, whatever
prefix a control plane gives them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from planebench.results.document import Row, Unit
from planebench.slis.indicator import finite
from planebench.slis.prometheus import Between, Labels

MOST_PARTS: Final = 12
"""The parts that were counted most often are told."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of a component's metrics and what is told of it."""

    id: str
    title: str
    kind: Literal["histogram", "counter", "gauge"]
    family: str
    """A regular expression for the family's whole name."""
    unit: Unit = "s"
    only: Mapping[str, str] = field(default_factory=dict)
    """Label -> regular expression that its whole value matches."""
    unless: Mapping[str, str] = field(default_factory=dict)
    """Label -> regular expression that its whole value must not match."""
    by: tuple[str, ...] = ()
    """Labels whose values make parts."""

    def selects(self, labels: Labels) -> bool:
        return all(
            re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.only.items()
        ) and not any(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in self.unless.items())

    def rows(self, between: Between) -> list[Row]:
        """The whole, then its largest parts; empty where there is nothing."""
        whole = self._row(between, self.selects, self.id, self.title)
        if whole is None:
            return []
        rows = [whole]
        if self.by:
            parts = [
                self._row(
                    between,
                    self._selects_part(values),
                    ".".join((self.id, *(value.lower() or "-" for value in values))),
                    " ".join(value for value in values if value) or "(none)",
                )
                for values in {self._values(labels) for _, labels, growth in self._counts(between) if growth > 0}
            ]
            found = sorted((part for part in parts if part), key=lambda part: (-_size(part), part.sli))
            rows += [part.model_copy(update={"part_of": self.id}) for part in found[:MOST_PARTS]]
        return rows

    def _selects_part(self, values: tuple[str, ...]) -> Callable[[Labels], bool]:
        return lambda labels: self.selects(labels) and self._values(labels) == values

    def _counts(self, between: Between) -> list[tuple[str, Labels, float]]:
        name = f"{self.family}_count" if self.kind == "histogram" else self.family
        return [series for series in between.series(name) if self.selects(series[1])]

    def _values(self, labels: Labels) -> tuple[str, ...]:
        return tuple(labels.get(label, "") for label in self.by)

    def _row(self, between: Between, select: Callable[[Labels], bool], sli: str, title: str) -> Row | None:
        match self.kind:
            case "histogram":
                return _histogram(between, self.family, select, sli, title)
            case "counter":
                grown = between.total(self.family, select)
                if grown is None:
                    return None
                return Row(
                    sli=sli,
                    title=title,
                    unit=self.unit,
                    n=round(grown),
                    value=grown,
                    rate_per_s=_per_s(grown, between),
                )
            case "gauge":
                level = between.gauge(self.family)
                return (
                    None if level is None else Row(sli=sli, title=title, unit=self.unit, n=1, value=finite(level))
                )


def _histogram(
    between: Between, family: str, select: Callable[[Labels], bool], sli: str, title: str
) -> Row | None:
    found = between.histogram(family, select)
    if found is None:
        return None
    p50, p90 = (found.percentile(percent)[0] for percent in (50, 90))
    p99, low, high = found.percentile(99)
    return Row(
        sli=sli,
        title=title,
        unit="s",
        n=found.n,
        p50=finite(p50),
        p90=finite(p90),
        p99=finite(p99),
        max=finite(found.largest),
        p99_low=low,
        p99_high=finite(high),
        value=finite(found.mean),
        rate_per_s=_per_s(found.n, between),
        notes=("from buckets: percentiles are interpolated, max is a bucket's end, value is the mean",),
    )


def _per_s(count: float, between: Between) -> float | None:
    return finite(count / between.took_s) if between.took_s > 0 else None


def _size(row: Row) -> float:
    return max(row.n, row.value or 0.0)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is read of a component's metrics; the first histogram that has values stands for it."""

    metrics: tuple[Metric, ...]
    requests: Metric
    """Counter of the requests that it answers or, of a client, sends."""
    error: str
    """Regular expression of the values of its label that are errors."""
    error_label: str = "code"

    @property
    def families(self) -> list[str]:
        return [metric.family for metric in (*self.metrics, self.requests)]

    def count(self, between: Between) -> tuple[int | None, int | None]:
        """Requests and errors; None where the component does not tell."""
        total = between.total(self.requests.family, self.requests.selects)
        if total is None:
            return None, None
        failed = between.total(
            self.requests.family,
            lambda labels: (
                self.requests.selects(labels)
                and re.fullmatch(self.error, labels.get(self.error_label, "")) is not None
            ),
        )
        return round(total), round(failed or 0.0)


_CLIENT = Metric(
    "client.requests", "requests sent", "counter", ".*rest_client_requests_total", "count", by=("code",)
)
_CLIENT_METRICS = (
    Metric(
        "client.latency",
        "requests sent",
        "histogram",
        ".*rest_client_request_(duration|latency)_seconds",
        by=("verb",),
    ),
    Metric("client.limiter", "client limiter waits", "histogram", ".*rest_client_rate_limiter_duration_seconds"),
)
_QUEUE_METRICS = (
    Metric("queue.wait", "work item in queue", "histogram", ".*workqueue_queue_duration_seconds", by=("name",)),
    Metric("queue.work", "work item in work", "histogram", ".*workqueue_work_duration_seconds", by=("name",)),
    Metric("queue.retries", "work items retried", "counter", ".*workqueue_retries_total", "count", by=("name",)),
)
_ERRORS: Final = "429|5..|<error>"

_CONTROLLER = Figures((*_QUEUE_METRICS, *_CLIENT_METRICS), _CLIENT, _ERRORS)
"""Any component that is a client of the API server, for instance a controller with work queues."""

_BY_COMPONENT: Final[Mapping[str, Figures]] = {
    "kube-apiserver": Figures(
        (
            Metric(
                "apiserver.request",
                "requests",
                "histogram",
                "apiserver_request_duration_seconds",
                # Those last as long as their clients want (sig-scalability/slos/api_call_latency.md).
                unless={"verb": "WATCH|WATCHLIST|CONNECT", "subresource": "log|exec|attach|portforward|proxy"},
                by=("verb", "resource", "subresource"),
            ),
            Metric(
                "apiserver.webhook",
                "admission webhooks",
                "histogram",
                "apiserver_admission_webhook_admission_duration_seconds",
                by=("name",),
            ),
            Metric(
                "apiserver.etcd",
                "requests to etcd",
                "histogram",
                "etcd_request_duration_seconds",
                by=("operation",),
            ),
            Metric("apiserver.codes", "answers", "counter", "apiserver_request_total", "count", by=("code",)),
            Metric(
                "apiserver.rejected",
                "rejected by priority and fairness",
                "counter",
                "apiserver_flowcontrol_rejected_requests_total",
                "count",
                by=("flow_schema",),
            ),
            Metric(
                "apiserver.terminated_watchers",
                "watchers given up",
                "counter",
                "apiserver_terminated_watchers_total",
                "count",
            ),
            Metric("apiserver.watchers", "watchers", "gauge", "apiserver_longrunning_requests", "count"),
        ),
        Metric("apiserver.requests", "requests", "counter", "apiserver_request_total", "count"),
        _ERRORS,
    ),
    "etcd": Figures(
        (
            Metric(
                "etcd.request",
                "requests",
                "histogram",
                "etcd_server_request_duration_seconds",
                by=("type",),
            ),
            Metric("etcd.apply", "apply", "histogram", "etcd_server_apply_duration_seconds", by=("op",)),
            Metric("etcd.fsync", "WAL fsync", "histogram", "etcd_disk_wal_fsync_duration_seconds"),
            Metric("etcd.commit", "backend commit", "histogram", "etcd_disk_backend_commit_duration_seconds"),
            Metric("etcd.slow_apply", "slow applies", "counter", "etcd_server_slow_apply_total", "count"),
            Metric("etcd.size", "database", "gauge", "etcd_mvcc_db_total_size_in_bytes", "bytes"),
            Metric("etcd.in_use", "database in use", "gauge", "etcd_mvcc_db_total_size_in_use_in_bytes", "bytes"),
        ),
        Metric("etcd.requests", "requests", "counter", "grpc_server_handled_total", "count"),
        "ResourceExhausted|Unavailable|DeadlineExceeded|Internal",
        "grpc_code",
    ),
    "kube-scheduler": Figures(
        (
            Metric(
                "scheduler.attempt",
                "scheduling attempts",
                "histogram",
                "scheduler_scheduling_attempt_duration_seconds",
                by=("result",),
            ),
            Metric(
                "scheduler.algorithm", "algorithm", "histogram", "scheduler_scheduling_algorithm_duration_seconds"
            ),
            Metric(
                "scheduler.pod", "pod, all attempts", "histogram", "scheduler_pod_scheduling_sli_duration_seconds"
            ),
            Metric(
                "scheduler.extension_point",
                "extension points",
                "histogram",
                "scheduler_framework_extension_point_duration_seconds",
                by=("extension_point",),
            ),
            Metric(
                "scheduler.attempts",
                "attempts",
                "counter",
                "scheduler_schedule_attempts_total",
                "count",
                by=("result",),
            ),
            Metric("scheduler.pending", "pods pending at the end", "gauge", "scheduler_pending_pods", "count"),
            *_CLIENT_METRICS,
        ),
        _CLIENT,
        _ERRORS,
    ),
}


def figures_of(component: str) -> Figures:
    """What is read of a component's metrics; of one that is not known, what any client and controller serves."""
    return _BY_COMPONENT.get(component, _CONTROLLER)
