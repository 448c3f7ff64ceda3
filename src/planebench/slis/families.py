"""Which of their own metrics stand for which component.

Names and labels are those of Kubernetes 1.37.2, etcd 3.7.3 and kwok 0.8.0, as scraped; docs/components says how to
read them. What a plane's own components serve, its descriptor says. Controllers' work queues and API clients are
found by the end of their names, whatever prefix a control plane gives them. A family that is not served is told as
missing, or, where it comes with its first value only (``always=False``), left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from planebench.planes import Figure, Plane
from planebench.slis.metrics import Figures, Metric

_EVERY_QUEUE: Final = 100
"""More work queues than any component has."""

_RUNTIME: Final = (
    Metric("go.goroutines", "goroutines", "gauge", "go_goroutines", "count"),
    Metric("go.heap", "heap in use", "gauge", "go_memstats_heap_inuse_bytes", "bytes"),
    Metric("go.gc_cpu", "CPU for garbage", "counter", "go_cpu_classes_gc_total_cpu_seconds_total", always=False),
    # Of clusters that planebench has not started, all that tells of these.
    Metric("process.cpu", "CPU, by its own count", "counter", "process_cpu_seconds_total", always=False),
    Metric(
        "process.memory",
        "memory, by its own count",
        "gauge",
        "process_resident_memory_bytes",
        "bytes",
        always=False,
    ),
)

# --- clients and controllers ---

_CLIENT: Final = Metric(
    "client.requests",
    "requests sent",
    "counter",
    ".*rest_client_requests_total",
    "count",
    by=("method", "code"),
)
_CLIENT_METRICS: Final = (
    Metric(
        "client.latency",
        "requests sent",
        "histogram",
        ".*rest_client_request_(?:duration|latency)_seconds",
        by=("verb",),
    ),
    Metric(
        "client.limiter",
        "client limiter waits",
        "histogram",
        ".*rest_client_rate_limiter_duration_seconds",
        by=("verb",),
        headline=True,
    ),
    _CLIENT,
)
_QUEUE_METRICS: Final = (
    Metric(
        "queue.depth",
        "work items waiting",
        "gauge",
        ".*workqueue_depth",
        "count",
        by=("name",),
        most_parts=_EVERY_QUEUE,
        headline=True,
    ),
    Metric(
        "queue.adds",
        "work items added",
        "counter",
        ".*workqueue_adds_total",
        "count",
        by=("name",),
        most_parts=_EVERY_QUEUE,
    ),
    # The buckets of the next two are decades (k8s.io/component-base/metrics/prometheus/workqueue): means only.
    Metric(
        "queue.wait",
        "work item in queue",
        "mean",
        ".*workqueue_queue_duration_seconds",
        by=("name",),
        most_parts=_EVERY_QUEUE,
        headline=True,
    ),
    Metric(
        "queue.work",
        "work item in work",
        "mean",
        ".*workqueue_work_duration_seconds",
        by=("name",),
        most_parts=_EVERY_QUEUE,
        headline=True,
    ),
    Metric(
        "queue.retries",
        "work items retried",
        "counter",
        ".*workqueue_retries_total",
        "count",
        by=("name",),
        most_parts=_EVERY_QUEUE,
    ),
    Metric(
        "queue.unfinished",
        "work in progress",
        "gauge",
        ".*workqueue_unfinished_work_seconds",
        by=("name",),
        most_parts=_EVERY_QUEUE,
    ),
    Metric(
        "queue.longest",
        "longest running worker",
        "gauge",
        ".*workqueue_longest_running_processor_seconds",
        by=("name",),
        most_parts=_EVERY_QUEUE,
        largest=True,
        headline=True,
    ),
)

_CONTROLLER: Final = Figures((*_CLIENT_METRICS, *_QUEUE_METRICS, *_RUNTIME), _CLIENT)
"""Any component that is a client of the API server, for instance a controller with work queues."""

# --- API server ---

# Those last as long as their clients want (sig-scalability/slos/api_call_latency.md).
_NO_LATENCY: Final = {"verb": "WATCH|WATCHLIST|CONNECT", "subresource": "log|exec|attach|portforward|proxy"}

_WEBHOOKS: Final = Metric(
    "apiserver.webhook",
    "admission webhooks",
    "histogram",
    "apiserver_admission_webhook_admission_duration_seconds",
    by=("name", "operation"),
    most_parts=20,
    always=False,
    headline=True,
)

_APISERVER: Final = Figures(
    (
        Metric(
            "apiserver.request",
            "requests",
            "histogram",
            "apiserver_request_duration_seconds",
            unless=_NO_LATENCY,
            by=("verb", "resource", "subresource", "scope"),
            most_parts=25,
        ),
        Metric(
            "apiserver.request_sli",
            "requests without webhooks and queueing",
            "histogram",
            "apiserver_request_sli_duration_seconds",
            unless=_NO_LATENCY,
        ),
        Metric("apiserver.codes", "answers", "counter", "apiserver_request_total", "count", by=("code",)),
        Metric(
            "apiserver.errors",
            "answers 429 and 5xx",
            "counter",
            "apiserver_request_total",
            "count",
            only={"code": "429|5.."},
            by=("code", "verb", "resource"),
            headline=True,
        ),
        Metric(
            "apiserver.rejected",
            "rejected by priority and fairness",
            "counter",
            "apiserver_flowcontrol_rejected_requests_total",
            "count",
            by=("priority_level", "reason"),
            always=False,
            headline=True,
        ),
        Metric(
            "apiserver.queueing",
            "wait for a seat",
            "histogram",
            "apiserver_flowcontrol_request_wait_duration_seconds",
            by=("priority_level",),
            headline=True,
        ),
        Metric(
            "apiserver.queued",
            "requests waiting for a seat",
            "gauge",
            "apiserver_flowcontrol_current_inqueue_requests",
            "count",
            by=("priority_level",),
        ),
        Metric(
            "apiserver.seats",
            "seats taken",
            "gauge",
            "apiserver_flowcontrol_current_executing_seats",
            "count",
            by=("priority_level",),
        ),
        Metric(
            "apiserver.seats_nominal",
            "seats there are",
            "gauge",
            "apiserver_flowcontrol_nominal_limit_seats",
            "count",
            by=("priority_level",),
        ),
        Metric(
            "apiserver.in_flight",
            "requests in flight",
            "gauge",
            "apiserver_current_inflight_requests",
            "count",
            by=("request_kind",),
        ),
        # Their lowest bucket ends at 5 ms, and they take microseconds: means only.
        Metric(
            "apiserver.admission",
            "admission",
            "mean",
            "apiserver_admission_step_admission_duration_seconds",
            by=("type", "operation"),
        ),
        Metric(
            "apiserver.admission_plugin",
            "admission plugins",
            "mean",
            "apiserver_admission_controller_admission_duration_seconds",
            by=("name", "type"),
            most_parts=20,
        ),
        _WEBHOOKS,
        Metric(
            "apiserver.webhook_rejected",
            "rejected by webhooks",
            "counter",
            "apiserver_admission_webhook_rejection_count",
            "count",
            by=("name", "error_type"),
            always=False,
        ),
        Metric(
            "apiserver.dispatch",
            "watch event to its watchers",
            "histogram",
            "apiserver_watch_events_dispatch_duration_seconds",
            only={"stage": "total"},
            by=("resource",),
            headline=True,
        ),
        Metric(
            "apiserver.dispatch_stage",
            "watch event, by stage",
            "histogram",
            "apiserver_watch_events_dispatch_duration_seconds",
            unless={"stage": "total"},
            by=("stage",),
        ),
        Metric(
            "apiserver.watch_events",
            "watch events sent",
            "rate",
            "apiserver_watch_events_total",
            "/s",
            by=("resource",),
            headline=True,
        ),
        Metric(
            "apiserver.watchers",
            "watchers",
            "gauge",
            "apiserver_longrunning_requests",
            "count",
            only={"verb": "WATCH"},
            by=("resource",),
        ),
        Metric(
            "apiserver.terminated_watchers",
            "watchers given up",
            "counter",
            "apiserver_terminated_watchers_total",
            "count",
            by=("resource",),
            always=False,
        ),
        Metric(
            "apiserver.watch_list",
            "WatchList until its bookmark",
            "histogram",
            "apiserver_watch_list_duration_seconds",
            by=("resource",),
            always=False,
        ),
        Metric(
            "apiserver.cache_wait",
            "read waits for the watch cache",
            "histogram",
            "apiserver_watch_cache_read_wait_seconds",
            by=("resource",),
            always=False,
        ),
        Metric(
            "apiserver.list",
            "LIST",
            "histogram",
            "apiserver_request_duration_seconds",
            only={"verb": "LIST"},
            by=("resource", "scope"),
        ),
        Metric(
            "apiserver.list_bytes",
            "LIST size",
            "histogram",
            "apiserver_response_sizes",
            "bytes",
            only={"verb": "LIST"},
            by=("resource",),
        ),
        Metric(
            "apiserver.list_fetched",
            "objects that LISTs read",
            "counter",
            "apiserver_storage_list_fetched_objects_total",
            "count",
            by=("resource", "storage"),
        ),
        Metric(
            "apiserver.list_returned",
            "objects that LISTs gave",
            "counter",
            "apiserver_storage_list_returned_objects_total",
            "count",
            by=("resource", "storage"),
        ),
        Metric(
            "apiserver.etcd",
            "requests to etcd",
            "histogram",
            "etcd_request_duration_seconds",
            by=("operation",),
            headline=True,
        ),
        Metric(
            "apiserver.objects",
            "objects",
            "gauge",
            "apiserver_resource_objects",
            "count",
            by=("resource",),
            late=True,
            headline=True,
        ),
        Metric(
            "apiserver.object_bytes",
            "bytes of objects, estimated",
            "gauge",
            "apiserver_resource_size_estimate_bytes",
            "bytes",
            by=("resource",),
            late=True,
        ),
        *_RUNTIME,
    ),
    Metric("apiserver.requests", "requests", "counter", "apiserver_request_total", "count"),
)

# --- etcd ---

_ETCD: Final = Figures(
    (
        Metric("etcd.request", "requests", "histogram", "etcd_server_request_duration_seconds", by=("type",)),
        Metric("etcd.fsync", "WAL fsync", "histogram", "etcd_disk_wal_fsync_duration_seconds", headline=True),
        Metric(
            "etcd.commit",
            "backend commit",
            "histogram",
            "etcd_disk_backend_commit_duration_seconds",
            headline=True,
        ),
        Metric(
            "etcd.apply", "apply", "histogram", "etcd_server_apply_duration_seconds", by=("op",), headline=True
        ),
        Metric("etcd.range", "range", "histogram", "etcd_server_range_duration_seconds"),
        Metric("etcd.proposals", "proposals committed", "rate", "etcd_server_proposals_committed_total", "/s"),
        Metric(
            "etcd.proposals_pending",
            "proposals pending",
            "gauge",
            "etcd_server_proposals_pending",
            "count",
            headline=True,
        ),
        Metric(
            "etcd.proposals_failed", "proposals failed", "counter", "etcd_server_proposals_failed_total", "count"
        ),
        Metric(
            "etcd.slow_apply", "slow applies", "counter", "etcd_server_slow_apply_total", "count", headline=True
        ),
        Metric("etcd.slow_read", "slow reads", "counter", "etcd_server_slow_read_indexes_total", "count"),
        Metric("etcd.size", "database", "gauge", "etcd_mvcc_db_total_size_in_bytes", "bytes", headline=True),
        Metric("etcd.in_use", "database in use", "gauge", "etcd_mvcc_db_total_size_in_use_in_bytes", "bytes"),
        Metric("etcd.keys", "keys", "gauge", "etcd_debugging_mvcc_keys_total", "count"),
        Metric("etcd.wal_bytes", "written to the WAL", "counter", "etcd_disk_wal_write_bytes_total", "bytes"),
        Metric(
            "etcd.compaction",
            "compaction",
            "histogram",
            "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
            scale=1e-3,
            headline=True,
        ),
        Metric(
            "etcd.compaction_pause",
            "pause by compaction",
            "histogram",
            "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
            scale=1e-3,
        ),
        Metric(
            "etcd.compaction_keys",
            "keys compacted",
            "counter",
            "etcd_debugging_mvcc_db_compaction_keys_total",
            "count",
        ),
        Metric("etcd.watchers", "watchers", "gauge", "etcd_debugging_mvcc_watcher_total", "count"),
        Metric("etcd.slow_watchers", "slow watchers", "gauge", "etcd_debugging_mvcc_slow_watcher_total", "count"),
        *_RUNTIME,
    ),
    Metric("etcd.requests", "requests", "counter", "grpc_server_handled_total", "count"),
    "ResourceExhausted|Unavailable|DeadlineExceeded|Internal",
    "grpc_code",
)

# --- scheduler ---

_SCHEDULER: Final = Figures(
    (
        Metric(
            "scheduler.attempt",
            "scheduling attempts",
            "histogram",
            "scheduler_scheduling_attempt_duration_seconds",
            by=("result",),
            always=False,
        ),
        Metric(
            "scheduler.binds",
            "binds",
            "rate",
            "scheduler_schedule_attempts_total",
            "/s",
            only={"result": "scheduled"},
            always=False,
            headline=True,
        ),
        Metric(
            "scheduler.attempts",
            "attempts",
            "counter",
            "scheduler_schedule_attempts_total",
            "count",
            by=("result",),
            always=False,
        ),
        Metric(
            "scheduler.algorithm",
            "algorithm",
            "histogram",
            "scheduler_scheduling_algorithm_duration_seconds",
            headline=True,
        ),
        Metric(
            "scheduler.pod",
            "pod, all attempts",
            "histogram",
            "scheduler_pod_scheduling_sli_duration_seconds",
            by=("attempts",),
            always=False,
        ),
        Metric(
            "scheduler.tries",
            "attempts for each pod",
            "histogram",
            "scheduler_pod_scheduling_attempts",
            "count",
        ),
        Metric(
            "scheduler.extension_point",
            "extension points",
            "histogram",
            "scheduler_framework_extension_point_duration_seconds",
            by=("extension_point",),
            most_parts=20,
            always=False,
        ),
        Metric(
            "scheduler.plugin",
            "plugins",
            "histogram",
            "scheduler_plugin_execution_duration_seconds",
            by=("extension_point", "plugin"),
            most_parts=30,
            always=False,
        ),
        Metric(
            "scheduler.pending",
            "pods pending",
            "gauge",
            "scheduler_pending_pods",
            "count",
            by=("queue",),
            headline=True,
        ),
        Metric(
            "scheduler.queued",
            "pods put into queues",
            "counter",
            "scheduler_queue_incoming_pods_total",
            "count",
            by=("queue", "event"),
            always=False,
        ),
        Metric(
            "scheduler.preemptions",
            "preemption attempts",
            "counter",
            "scheduler_preemption_attempts_total",
            "count",
            headline=True,
        ),
        Metric(
            "scheduler.victims", "victims of a preemption", "histogram", "scheduler_preemption_victims", "count"
        ),
        *_CLIENT_METRICS,
        *_RUNTIME,
    ),
    _CLIENT,
)

_BY_COMPONENT: Final[Mapping[str, Figures]] = {
    "kube-apiserver": _APISERVER,
    "etcd": _ETCD,
    "kube-scheduler": _SCHEDULER,
    "kube-controller-manager": _CONTROLLER,
    # Serves its process's and Go's metrics only.
    "kwok": Figures(_RUNTIME),
}
_SETS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "client": _CLIENT_METRICS,
    "queues": _QUEUE_METRICS,
    "process": _RUNTIME,
}


def figures_of(component: str, plane: Plane | None = None) -> Figures:
    """What is read of a component's metrics; of one that is not known, what any client and controller serves."""
    said = plane.figures.get(component) if plane else None
    if said is None:
        return _BY_COMPONENT.get(component, _CONTROLLER)
    return Figures(
        (*(metric for name in said.sets for metric in _SETS[name]), *map(_metric, said.metrics)),
        _CLIENT if "client" in said.sets else None,
        told_by={teller: tuple(map(_metric, told)) for teller, told in said.told_by.items()},
        per_object=_metric(said.per_object) if said.per_object else None,
    )


def _metric(figure: Figure) -> Metric:
    return Metric(**figure.model_dump())


def is_known(component: str, plane: Plane) -> bool:
    """Whether it is known what its metrics hold; what others lack is no fault."""
    return component in _BY_COMPONENT or component in plane.figures
