"""What a Prometheus has scraped of a cluster's components during a run, taken over as if planebench had.

Prometheus keeps every sample with its time. All samples of one scrape carry the same time, so its scrapes can be
put together again, as text, with their true times on the trial's clock.
"""

from __future__ import annotations

import asyncio
import gzip
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from planebench.model import PlanebenchError, UsageError

if TYPE_CHECKING:
    from prometheus_api_client import PrometheusConnect

_TIMEOUT_S: Final = 20
_KNOWN: Final[Mapping[str, str]] = {
    "etcd": "etcd_server_proposals_pending",
    "kube-scheduler": "scheduler_pending_pods",
    "kube-controller-manager": 'workqueue_depth{name="garbage_collector_attempt_to_delete"}',
}
"""A series that a component alone has, from its start; others are found by their job's name."""
_START_TIME: Final = "process_start_time_seconds"
_MARGIN_S: Final = 120.0
"""So long before the run, to have a scrape from before its start."""
_LONGEST_PERIOD_S: Final = 120.0
_POLL_S: Final = 2.0

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Instance:
    """A process that Prometheus scrapes."""

    component: str
    target: tuple[tuple[str, str], ...]
    """The labels that Prometheus gives all its series."""

    @property
    def job(self) -> str:
        return dict(self.target).get("job", "")

    @property
    def instance(self) -> str:
        return dict(self.target).get("instance", "")

    @property
    def selector(self) -> str:
        return f"job={_quoted(self.job)},instance={_quoted(self.instance)}"


class Prometheus:
    """One server, by its URL; a user and password in it are shown to the server.

    Raises UsageError: the URL is none, or the client library is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            from prometheus_api_client import PrometheusConnect
        except ImportError:
            raise UsageError(
                "--prometheus needs the client library: pip install 'planebench[prometheus]'"
            ) from None
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise UsageError(f"--prometheus: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise UsageError("--prometheus: expected a URL such as http://prometheus.example:9090")
        name = f"[{host}]" if ":" in host else host
        authority = name if port is None else f"{name}:{port}"
        self.url = urlunsplit((parts.scheme, authority, parts.path.rstrip("/"), "", ""))
        """Without user and password."""
        who = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client: PrometheusConnect = PrometheusConnect(
            self.url, auth=who, timeout=_TIMEOUT_S, method="POST", retry=0
        )

    def find(self, components: Sequence[str]) -> list[Instance]:
        """The processes of these components that it scrapes now. Raises PlanebenchError where it is not there."""
        found = []
        for component in components:
            if component in _KNOWN:
                query = f"up and on (job, instance) {_KNOWN[component]}"
            else:
                query = f"up{{job=~{_quoted(f'.*{component}.*')}}}"
            for series in self._query(query):
                labels = {name: value for name, value in series["metric"].items() if name != "__name__"}
                found.append(Instance(component, tuple(sorted(labels.items()))))
        return sorted(found, key=lambda item: (item.component, item.instance))

    def clock_offset_s(self) -> float:
        """Its clock minus this machine's, as well as half a round trip tells."""
        before_s = time.time()
        answer = self._query("time()")
        after_s = time.time()
        return float(answer[1]) - (before_s + after_s) / 2

    def newest_s(self, instance: Instance) -> tuple[float, float]:
        """When it was scraped last, on Prometheus' clock, and the time since the scrape before (NaN: unknown)."""
        stamps = [float(stamp) for series in self._range(f"up{{{instance.selector}}}", 600) for stamp, _ in series]
        last = sorted(stamps)[-2:]
        return (last[-1] if last else 0.0), (last[1] - last[0] if len(last) == 2 else math.nan)

    def scrapes(self, instance: Instance, families: Sequence[str], span_s: float) -> dict[float, str]:
        """Time (Prometheus' clock) -> what was scraped of these families then, in the text format.

        ``families`` are regular expressions for their whole names.
        """
        names = "|".join(f"(?:{family})(?:_bucket|_sum|_count)?" for family in families)
        query = f"{{{instance.selector},__name__=~{_quoted(f'{names}|{_START_TIME}')}}}"
        answer = self._query(f"{query}[{math.ceil(span_s)}s]")
        return exposition(answer, dict(instance.target))

    def _range(self, query: str, span_s: float) -> list[list[tuple[float, str]]]:
        return [series["values"] for series in self._query(f"{query}[{math.ceil(span_s)}s]")]

    def _query(self, query: str) -> Any:
        import requests
        from prometheus_api_client.exceptions import PrometheusApiClientException

        try:
            return self._client.custom_query(query)
        except PrometheusApiClientException as error:
            raise PlanebenchError(f"Prometheus {self.url}: {str(error)[:300]}") from None
        except (requests.RequestException, KeyError, ValueError) as error:
            reason = "is none" if isinstance(error, KeyError | ValueError) else "cannot be reached"
            raise PlanebenchError(f"Prometheus {self.url}: {reason}: {_words(error)}") from None


def exposition(series: Sequence[Mapping[str, Any]], target: Labels) -> dict[float, str]:
    """Range vectors as one text for each time, without the target's own labels."""
    lines: dict[float, list[str]] = {}
    for one in series:
        labels = dict(one["metric"])
        name = labels.pop("__name__", "")
        own = ",".join(
            f"{key}={_quoted(value)}" for key, value in sorted(labels.items()) if target.get(key) != value
        )
        head = f"{name}{{{own}}}" if own else name
        for stamp, value in one["values"]:
            lines.setdefault(float(stamp), []).append(f"{head} {value}")
    return {stamp: "\n".join(found) + "\n" for stamp, found in sorted(lines.items())}


async def collect(
    prometheus: Prometheus,
    instances: Sequence[Instance],
    families: Callable[[str], Sequence[str]],
    folder: Path,
    t0_ns: int,
) -> list[dict[str, object]]:
    """Write everything that was scraped since a while before the trial's start, once a scrape has come after now.

    Args:
        families: component -> regular expressions of the families that are wanted.
        folder: of the scrapes; each goes into ``prometheus/PROCESS-NUMBER.prom.gz`` below it.

    Returns:
        The scrapes' entries for the index; one with an error for each process that there is nothing of.
    """
    place = folder / "prometheus"
    place.mkdir(parents=True, exist_ok=True)
    offset_s = await asyncio.to_thread(prometheus.clock_offset_s)
    now_s = time.time() + offset_s
    found = await asyncio.gather(
        *(
            _one(prometheus, item, instances, families(item.component), place, t0_ns, now_s, offset_s)
            for item in instances
        )
    )
    return [entry for entries in found for entry in entries]


async def _one(
    prometheus: Prometheus,
    instance: Instance,
    instances: Sequence[Instance],
    families: Sequence[str],
    place: Path,
    t0_ns: int,
    now_s: float,
    offset_s: float,
) -> list[dict[str, object]]:
    alone = sum(item.component == instance.component for item in instances) == 1
    process = instance.component if alone else f"{instance.component}-{instance.instance}".replace("/", "_")
    entry: dict[str, object] = {"process": process, "component": instance.component, "format": "text"}
    began_ns = time.monotonic_ns() - t0_ns
    try:
        await _scraped_after(prometheus, instance, now_s)
        span_s = (time.monotonic_ns() - t0_ns) / 1e9 + _MARGIN_S
        texts = await asyncio.to_thread(prometheus.scrapes, instance, families, span_s)
        # Prometheus' clock, this machine's wall clock, the trial's clock.
        wall_to_trial_s = (time.monotonic_ns() - t0_ns) / 1e9 - time.time()
        if not texts:
            raise PlanebenchError("it has no samples")  # noqa: TRY301 (told like every other reason)
    except PlanebenchError as error:
        return [entry | {"t_ns": began_ns, "label": "prometheus", "file": "", "error": str(error), "bytes": 0}]
    entries = []
    for number, (stamp_s, text) in enumerate(texts.items()):
        file = place / f"{process}-{number:04d}.prom.gz"
        file.write_bytes(gzip.compress(text.encode(), 1))
        entries.append(
            entry
            | {
                "t_ns": int((stamp_s - offset_s + wall_to_trial_s) * 1e9),
                "label": "prometheus",
                "file": f"{place.name}/{file.name}",
                "error": None,
                "bytes": len(text),
            }
        )
    return entries


async def _scraped_after(prometheus: Prometheus, instance: Instance, now_s: float) -> None:
    """Wait for the first scrape after a time, as long as two of its periods take; without one, go on with what
    there is."""
    until_s = time.monotonic() + _LONGEST_PERIOD_S
    while True:
        newest_s, period_s = await asyncio.to_thread(prometheus.newest_s, instance)
        if newest_s > now_s:
            return
        if math.isfinite(period_s):
            until_s = min(until_s, time.monotonic() + max(2 * period_s - (now_s - newest_s), _POLL_S))
        if time.monotonic() >= until_s:
            return
        await asyncio.sleep(_POLL_S)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _words(error: Exception) -> str:
    """The innermost reason: requests wraps it several times."""
    while error.__context__ is not None and isinstance(error.__context__, Exception):
        error = error.__context__
    return str(error)[:200] or type(error).__name__
