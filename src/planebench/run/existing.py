"""Runs on clusters of others: reaching one, what is looked at before, and what cannot be seen there."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from planebench.cluster.existing import ExistingCluster, is_this_machine
from planebench.cluster.identities import flow
from planebench.kube.client import Client
from planebench.kube.kubeconfig import Kubeconfig
from planebench.kube.login import Login
from planebench.model import Manifest, PlanebenchError, UsageError
from planebench.observe import prometheus
from planebench.observe.prometheus import Instance, Prometheus
from planebench.observe.scrapes import MetricsScraper, Source
from planebench.planes import Plane
from planebench.run import preflight
from planebench.run.preflight import Preflight
from planebench.scenario import Scenario, plane_of
from planebench.slis.families import figures_of

API_SERVER: Final = "kube-apiserver"
_FIRST_ANSWER_S: Final = 15.0
"""A cluster that does not answer for so long is told as one that cannot be reached."""
_ELSEWHERE: Final = "planebench has not started its processes"
_CONTROL_PLANE: Final = ("etcd", "kube-scheduler", "kube-controller-manager")


@dataclass(frozen=True, slots=True)
class Existing:
    """A cluster of others, as the command line names it."""

    kubeconfig: Path | None = None
    """None: those of ``$KUBECONFIG``, else ``~/.kube/config``."""
    context: str | None = None
    """None: the file's only one."""
    meant: str | None = None
    """The context again: it is meant, although it looks like production."""
    prometheus: str | None = None
    """URL of a Prometheus that scrapes the cluster's components."""
    flow_schema: bool = False
    """Give the load a priority level of its own."""


@dataclass(frozen=True, slots=True)
class Target:
    """A cluster that was reached and looked at."""

    login: Login
    preflight: Preflight
    existing: Existing
    prometheus: Prometheus | None = None
    instances: tuple[Instance, ...] = ()
    """What Prometheus scrapes of the cluster's components."""

    @property
    def clean_command(self) -> str:
        """What removes a run's objects later; the run's id follows."""
        file = f" --kubeconfig {self.existing.kubeconfig}" if self.existing.kubeconfig else ""
        return f"planebench clean{file} --context {self.login.context.name} --run"


def context_of(existing: Existing | None) -> str:
    """The name of the context that load is to go to; empty: of none.

    Raises UsageError: the file is wrong, or has several and none is named.
    """
    return "" if existing is None else _named(existing, Kubeconfig.load(existing.kubeconfig))


def _named(existing: Existing, kubeconfig: Kubeconfig) -> str:
    if existing.context is not None:
        return existing.context
    if len(kubeconfig.contexts) != 1:
        known = ", ".join(kubeconfig.contexts) or "none"
        raise UsageError(
            f"{', '.join(map(str, kubeconfig.files))}: name a context by --context (there are: {known})"
        )
    return next(iter(kubeconfig.contexts))


@contextlib.asynccontextmanager
async def log_in(existing: Existing, *, careful: bool = True) -> AsyncIterator[Login]:
    """A user of a cluster, whose credentials lie in a folder for the owner's eyes only until the end.

    Args:
        careful: load is to follow. Where the file has several contexts, one must be named: load is not to go to
            the one that happens to be current. One that looks like production must be meant.

    Raises UsageError: file, context or credentials are wrong.
    """
    kubeconfig = Kubeconfig.load(existing.kubeconfig)
    context = kubeconfig.context(_named(existing, kubeconfig) if careful else existing.context)
    if careful:
        preflight.demand_meant(context, existing.meant)
    with tempfile.TemporaryDirectory(prefix="planebench-") as folder:
        yield await Login.open(context, Path(folder) / "login")


@contextlib.asynccontextmanager
async def reach(existing: Existing, scenario: Scenario) -> AsyncIterator[Target]:
    """Log in and look; nothing is made.

    Raises UsageError: the kubeconfig is wrong, the cluster cannot be reached, or the scenario asks for what only a
    control plane of planebench's own can give. What the look has found is for :meth:`Preflight.demand`.
    """
    preflight.demand_possible(scenario)
    plane = plane_of(scenario)
    async with log_in(existing) as login:
        async with Client(login, timeout_s=_FIRST_ANSWER_S) as client:
            found = await preflight.inspect(client, login, scenario, plane, flow_schema=existing.flow_schema)
        if existing.prometheus is None:
            yield Target(login, found, existing)
            return
        server = Prometheus(existing.prometheus)
        try:
            instances = await asyncio.to_thread(server.find, others(plane))
        except PlanebenchError as error:
            raise UsageError(f"--prometheus: {error}") from None
        found = replace(found, checks=(*found.checks, _of_prometheus(instances)))
        yield Target(login, found, existing, server, tuple(instances))


@contextlib.asynccontextmanager
async def reach_if_any(existing: Existing | None, scenario: Scenario) -> AsyncIterator[Target | None]:
    """The same for one of several runs; None: the run has a control plane of its own.

    Raises UsageError, too, where something stands against the run.
    """
    if existing is None:
        yield None
        return
    async with reach(existing, scenario) as target:
        target.preflight.demand()
        yield target


def flow_schema(target: Target, run_id: str) -> tuple[Manifest, ...]:
    """The priority level of a run's user, where it is wanted."""
    if not target.existing.flow_schema:
        return ()
    return tuple(flow(f"planebench-{run_id}", target.preflight.user))


def sources(target: Target, client: Client) -> list[Source]:
    """What can be scraped: the API server, where it is permitted."""
    if not target.preflight.metrics:
        return []

    async def scrape(accept: str) -> tuple[bytes, str]:
        return await client.fetch("GET", "/metrics", accept=accept)

    return [Source(API_SERVER, API_SERVER, scrape)]


def others(plane: Plane) -> list[str]:
    """The components beside the API server."""
    return list(dict.fromkeys((*_CONTROL_PLANE, *(process.component for process in plane.processes))))


def _of_prometheus(instances: Sequence[Instance]) -> preflight.Check:
    counts = Counter(item.component for item in instances)
    told = ", ".join(f"{component} ({count})" for component, count in counts.items())
    return preflight.Check("metrics by Prometheus", told or "it scrapes none of the cluster's components")


async def take_over(target: Target, plane: Plane, scraper: MetricsScraper, folder: Path, t0_ns: int) -> None:
    """What Prometheus has scraped meanwhile, once it has scraped everything once more."""
    if target.prometheus is None or not target.instances:
        return
    scraper.add(
        await prometheus.collect(
            target.prometheus, target.instances, lambda name: figures_of(name, plane).families, folder, t0_ns
        )
    )


def unseen(target: Target, plane: Plane) -> list[dict[str, Any]]:
    """What is missing of the cluster's components, and why."""
    servers = target.preflight.api_servers
    found = [preflight.Unseen(API_SERVER, "CPU and memory", _ELSEWHERE)]
    if not target.preflight.metrics:
        found.append(preflight.Unseen(API_SERVER, "its metrics", "the user may not get /metrics"))
    elif servers is not None and servers > 1:
        found.append(
            preflight.Unseen(API_SERVER, "metrics of the others", f"/metrics tells of one API server of {servers}")
        )
    told = {item.component for item in target.instances}
    for component in others(plane):
        found.append(preflight.Unseen(component, "CPU and memory", _ELSEWHERE))
        if component not in told:
            why = "Prometheus does not have them" if target.prometheus else "there is no --prometheus URL"
            found.append(preflight.Unseen(component, "its metrics", why))
    if is_this_machine(target.login.access):
        why = "the cluster seems to run on this machine, too"
        found.append(preflight.Unseen("planebench", "what other programs took of this machine's CPU", why))
    return [asdict(item) for item in found]


def described(target: Target) -> Mapping[str, Any]:
    """The cluster for the run's environment; no secret is in it."""
    found = target.preflight
    return {
        "context": found.context.name,
        "server": found.url,
        "user": found.user,
        "version": found.version,
        "api_servers": found.api_servers,
        "same_machine": is_this_machine(target.login.access),
        "prometheus": target.prometheus.url if target.prometheus else "",
        "checks": [asdict(check) for check in found.checks],
    }


def left_behind(target: Target, cluster: ExistingCluster) -> str:
    """What is still there of a run, and how to remove it; empty: nothing."""
    if not cluster.left:
        return ""
    more = len(cluster.left) - 3
    told = "; ".join(cluster.left[:3]) + (f" and {more:,} more" if more > 0 else "")
    return f"not removed from the cluster: {told}. To remove it: {target.clean_command} {cluster.config.run_id}"
