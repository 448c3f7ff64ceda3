"""Looks at a cluster of others before anything is made there: may the run do what it has to, what is in its way?

Rights are asked for one by one (SelfSubjectAccessReview): a SelfSubjectRulesReview says of itself that it may be
incomplete, leaves out what a webhook decides, and would have to be interpreted here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from planebench import nodes as simulated
from planebench.cluster import removal
from planebench.constraints import takes
from planebench.kube.client import ApiError, Client
from planebench.kube.kubeconfig import Context
from planebench.kube.login import Login
from planebench.model import LoadPhase, Manifest, Resource, UsageError
from planebench.plan import RUN_LABEL, Planner, pinned
from planebench.planes import Plane
from planebench.run.faults import Conditions, unavailable
from planebench.scenario import Drain, Scenario, plane_of
from planebench.versions import numbers

OLDEST: Final = (1, 33, 0)
"""What planebench is tested with from."""
_PRODUCTION: Final = re.compile(r"(?<![a-z])(prod|production|prd|live)(?![a-z])", re.IGNORECASE)
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WHO: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_MASTERS: Final = "system:masters"
_METRICS: Final = "/metrics"
_API_SERVER_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
_API_SERVER_SELECTOR: Final = "apiserver.kubernetes.io/identity=kube-apiserver"
_AT_ONCE: Final = 16
_MOST_NAMES: Final = 5
_TRIED: Final = "run-that-is-planned"
"""Stands for the run's id, which it does not have yet."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was looked at."""

    title: str
    found: str
    ok: bool | None = None
    """False: the run is refused; None: it is told only."""
    action: str = ""
    """What to do where it is not ok."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What cannot be seen of a cluster."""

    component: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Step:
    """A phase of the plan."""

    name: str
    requests: int
    duration_s: float
    """From its first request to its last one, as planned."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What was found, and what a run would do."""

    context: Context
    url: str
    version: str
    user: str
    steps: tuple[Step, ...]
    nodes: int
    namespaces: tuple[str, ...]
    checks: tuple[Check, ...]
    metrics: bool = False
    """The API server's own may be read."""
    api_servers: int | None = None
    """None: it does not tell."""

    def demand(self) -> None:
        """Raises UsageError where something stands against the run; names all of it."""
        against = [check for check in self.checks if check.ok is False]
        if against:
            told = "\n  ".join(f"{check.title}: {check.found}; {check.action}" for check in against)
            raise UsageError(f"context {self.context.name!r} is not fit for this run:\n  {told}")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """A right that the run needs."""

    resource: str
    """With its subresource: ``pods/status``."""
    group: str
    verb: str
    namespace: str = ""
    """Empty: in all, or it is in none."""

    def __str__(self) -> str:
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {name}"


def demand_meant(context: Context, meant: str | None) -> None:
    """Raises UsageError for a context that looks like production, where nobody has said that it is meant."""
    looks = [
        text for text in (context.name, context.cluster_name, context.server().host) if _PRODUCTION.search(text)
    ]
    if meant is not None and meant != context.name:
        raise UsageError(f"--yes-i-mean {meant}: the context is {context.name!r}")
    if looks and meant is None:
        raise UsageError(
            f"context {context.name!r} looks like production ({', '.join(dict.fromkeys(looks))}), and load may "
            f"hurt whoever uses it; if you mean it, say --yes-i-mean {context.name}"
        )


def demand_possible(scenario: Scenario) -> None:
    """Raises UsageError where a scenario asks for what only a control plane of planebench's own can give."""
    limits = scenario.limits
    fields = [
        *(
            f"limits.{name}"
            for name, value in (
                ("kube-scheduler", limits.kube_scheduler),
                ("kube-controller-manager", limits.kube_controller_manager),
            )
            if value is not None
        ),
        *(f"components.{name}" for name in scenario.components if name != "kwok"),
        *(f"versions.{name}" for name in scenario.versions if name != "kwok"),
        *(f"topology.{name}" for name, count in scenario.topology.items() if count > 1),
    ]
    if fields:
        raise UsageError(
            f"scenario {scenario.name}: {', '.join(fields)} cannot be set on a cluster that planebench has not "
            "started; take another scenario, or leave --kubeconfig and --context out"
        )
    if wrong := list(unavailable(scenario, Conditions(elsewhere=True))):
        raise UsageError(f"scenario {scenario.name}: {'; '.join(wrong)}")


async def inspect(
    client: Client, login: Login, scenario: Scenario, plane: Plane, *, flow_schema: bool
) -> Preflight:
    """Ask everything; changes nothing.

    Raises UsageError where the API server cannot be reached or does not take the credentials.
    """
    version = await demand_reachable(client, login)
    who = await _who(client)
    planned = pinned(scenario, plane, _TRIED)
    planner = Planner(planned, plane, run_id=_TRIED)
    manifests = list(simulated.manifests(planned.nodes, plane))
    phases = _phases(planner, manifests)
    inspection = _Inspection(client, planned, plane, planner, manifests)
    kinds = await inspection.kinds()
    checks = [
        kinds,
        *([await inspection.rights(phases, flow_schema=flow_schema)] if kinds.ok else []),
        *[check async for check in inspection.objects()],
        _version(str(version.get("gitVersion", ""))),
        *_priority(who),
    ]
    metrics = await _allowed(client, {"nonResourceAttributes": {"path": _METRICS, "verb": "get"}})
    return Preflight(
        context=login.context,
        url=login.access.url,
        version=str(version.get("gitVersion", "unknown")),
        user=str(who.get("username", "unknown")),
        steps=_steps(phases),
        nodes=planned.node_count,
        namespaces=tuple(operation.name for operation in planner.namespaces().operations),
        checks=tuple(checks),
        metrics=metrics,
        api_servers=await _api_servers(client),
    )


async def demand_reachable(client: Client, login: Login) -> Mapping[str, Any]:
    """The API server's version. Raises UsageError where it cannot be reached or does not take the credentials."""
    try:
        found: Mapping[str, Any] = await client.get("/version")
        await _who(client)  # /version is for everybody
    except ApiError as error:
        raise UsageError(f"{login.context.where}: {_unreachable(error, login)}") from None
    except ValueError:
        raise UsageError(f"{login.context.where}: {login.access.url} is no API server") from None
    return found


def steps_of(scenario: Scenario) -> tuple[Step, ...]:
    """What a run of a scenario does, wherever it runs."""
    plane = plane_of(scenario)
    planner = Planner(scenario, plane, run_id=_TRIED)
    return _steps(_phases(planner, list(simulated.manifests(scenario.nodes, plane))))


def _steps(phases: Iterable[LoadPhase]) -> tuple[Step, ...]:
    return tuple(
        Step(phase.name, len(phase.operations), phase.operations[-1].due_ns / 1e9)
        for phase in phases
        if phase.operations
    )


def _phases(planner: Planner, manifests: Sequence[Manifest]) -> list[LoadPhase]:
    return [
        planner.namespaces(),
        planner.nodes(manifests),
        planner.canaries(),
        planner.creation(),
        *planner.management(),
        planner.monitoring(),
        *planner.storms(),
        planner.cleanup(),
    ]


def _unreachable(error: ApiError, login: Login) -> str:
    server = login.access.url
    if error.status == 0:
        return f"the API server {server} cannot be reached: {error.words}"
    if error.status == 401:
        return (
            f"the API server {server} does not take the credentials of user {login.context.user_name!r}: they may "
            "have expired"
        )
    return f"{server} is no API server that can be used: {error.words} (HTTP {error.status})"


async def _who(client: Client) -> Mapping[str, Any]:
    """User name and groups, as the API server sees them; empty where it does not tell (before 1.28)."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        found: Mapping[str, Any] = (await client.post(_WHO, body))["status"]["userInfo"]
    except ApiError as error:
        if error.status in (403, 404):
            return {}
        raise
    return found


async def _allowed(client: Client, attributes: Mapping[str, Any]) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": attributes}
    answer = await client.post(_REVIEWS, body)
    return answer.get("status", {}).get("allowed") is True


async def _api_servers(client: Client) -> int | None:
    """Each keeps a lease that names it (kubernetes v1.26 and newer)."""
    try:
        return len(await client.list(_API_SERVER_LEASES, labelSelector=_API_SERVER_SELECTOR)) or None
    except ApiError:
        return None


def _version(text: str) -> Check:
    found = numbers(text)
    known = found is not None and found >= OLDEST
    note = "" if known else "; planebench is tested with 1.33 and newer, some figures may be missing"
    return Check("version of the API server", f"{text or 'unknown'}{note}")


def _priority(who: Mapping[str, Any]) -> Iterator[Check]:
    if _MASTERS in (who.get("groups") or ()):
        yield Check(
            "priority and fairness",
            f"the user is in {_MASTERS}, which they leave alone: the load may starve other clients; an ordinary "
            "user gives a truer picture",
        )


# --- rights --------------------------------------------------------------------------------------------------

_SET_UP: Final = (
    ("", "namespaces", "create delete list", ""),
    ("", "nodes", "create delete get list", ""),
    ("", "serviceaccounts", "list", ""),
)
"""Group, resource, verbs, namespace (empty: all): to prepare a run, and to remove everything again."""
_SIMULATOR: Final = (
    ("", "nodes", "get list watch", ""),
    ("", "nodes/status", "patch", ""),
    ("", "pods", "get list watch delete patch", ""),
    ("", "pods/status", "patch", ""),
    ("", "events", "create patch", ""),
    ("coordination.k8s.io", "leases", "get list watch create update patch delete", "kube-node-lease"),
)
"""What KWOK does (v0.8.0, kustomize/rbac/role.yaml, without its own kinds)."""
_FLOW_SCHEMA: Final = (
    ("flowcontrol.apiserver.k8s.io", "flowschemas", "create delete", ""),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", "create delete", ""),
)


def rights(scenario: Scenario, planner: Planner, phases: Iterable[LoadPhase], *, flow_schema: bool) -> list[Right]:
    """Everything that a run asks of the API server, from its plan: load, watches, set-up, simulator, removal."""
    found = {_right(template.verb, template.path) for phase in phases for template in phase.templates}
    first = planner.namespaces().operations[0].name
    found = {replace(right, namespace=first) if right.namespace.startswith("__") else right for right in found}
    for spec in planner.watches():
        found |= {_of_resource(spec.resource, verb) for verb in ("list", "watch")}
    more = [*_SET_UP, *_SIMULATOR, *(_FLOW_SCHEMA if flow_schema else ())]
    found |= {
        Right(resource, group, verb, namespace)
        for group, resource, verbs, namespace in more
        for verb in verbs.split()
    }
    if scenario.faults:
        found.add(Right("nodes", "", "patch"))
    if any(isinstance(fault, Drain) for fault in scenario.faults):
        found.add(Right("pods/eviction", "", "create"))
    return sorted(found)


def _of_resource(resource: Resource, verb: str) -> Right:
    return Right(resource.plural, resource.group, verb)


def _right(verb: str, path: str) -> Right:
    """What a request to an API path needs."""
    parts = path.partition("?")[0].strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1], parts[3:])
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    subresource = f"/{rest[2]}" if len(rest) > 2 else ""
    return Right(f"{rest[0]}{subresource}", group, verb, namespace)


# --- what is there -------------------------------------------------------------------------------------------


class _Inspection:
    def __init__(
        self,
        client: Client,
        scenario: Scenario,
        plane: Plane,
        planner: Planner,
        manifests: Sequence[Manifest],
    ) -> None:
        self._client = client
        self._scenario = scenario
        self._plane = plane
        self._planner = planner
        self._manifests = manifests
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def kinds(self) -> Check:
        """Whether the cluster serves what the workload consists of."""
        wanted = {spec.resource for spec in self._planner.watches()} | {
            kind.resource for kind in self._planner.kinds
        }
        missing = []
        for resource in sorted(wanted, key=lambda item: item.id):
            try:
                served = (await self._client.get(resource.root))["resources"]
            except ApiError as error:
                if error.status not in (403, 404):
                    raise
                served = []
            if not any(item["name"] == resource.plural for item in served):
                missing.append(f"{resource.id}/{resource.version}")
        return Check(
            "kinds of the workload",
            f"not served: {', '.join(missing)}" if missing else "all are served",
            not missing,
            f"install what plane {self._plane.name} needs on the cluster first, or take another scenario",
        )

    async def rights(self, phases: Sequence[LoadPhase], *, flow_schema: bool) -> Check:
        wanted = rights(self._scenario, self._planner, phases, flow_schema=flow_schema)
        for item in self._planner.setup():
            path = await self._client.collection(item)
            wanted += [_right(verb, path) for verb in ("create", "delete")]
        granted = await asyncio.gather(*(self._granted(right) for right in wanted))
        missing = sorted({str(right) for right, is_granted in zip(wanted, granted, strict=True) if not is_granted})
        return Check(
            "permissions",
            f"missing: {', '.join(missing)}" if missing else f"all {len(wanted)} are granted",
            not missing,
            "let an administrator grant them (docs/existing-clusters.md has a ClusterRole), or use another user",
        )

    async def _granted(self, right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        attributes = {
            "verb": right.verb,
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": right.namespace,
        }
        async with self._slots:
            return await _allowed(self._client, {"resourceAttributes": attributes})

    async def objects(self) -> AsyncIterator[Check]:
        """What is on the cluster, as far as it may be looked at."""
        for look in (self._nodes, self._collisions, self._runs, self._pods, self._daemon_sets, self._quotas):
            try:
                async for check in look():
                    yield check
            except ApiError as error:
                yield Check(look.__name__.strip("_").replace("_", " "), f"cannot be told: {error.words}")
        async for check in self._webhooks():
            yield check

    async def _nodes(self) -> AsyncIterator[Check]:
        items = await self._client.list("/api/v1/nodes", resourceVersion="0")
        others = [item for item in items if RUN_LABEL not in (item["metadata"].get("labels") or {})]
        found = f"{len(others):,}; {len(self._manifests):,} simulated ones come beside them, tainted and labelled"
        yield Check("nodes of the cluster", found)

    async def _collisions(self) -> AsyncIterator[Check]:
        """Objects of the names that the run would give."""
        nodes = {manifest["metadata"]["name"] for manifest in self._manifests}
        names = {operation.name for operation in self._planner.namespaces().operations}
        found = [
            f"{plural} {item['metadata']['name']}"
            for plural, wanted in (("nodes", nodes), ("namespaces", names))
            for item in await self._client.list_metadata(f"/api/v1/{plural}")
            if item["metadata"]["name"] in wanted
        ]
        for item in self._planner.setup():
            try:
                collection = await self._client.collection(item)
                name = item["metadata"]["name"]
                if "/namespaces/" in collection and item["metadata"]["namespace"] in names:
                    continue
                await self._client.get(f"{collection}/{name}")
                found.append(f"{item['kind']} {name}")
            except ApiError as error:
                if error.status != 404:
                    raise
        yield Check(
            "names that the run uses",
            f"taken: {_some(found)}" if found else "all are free",
            not found,
            "another run goes on, or has left them: `planebench clean` lists those, with --run ID removes them",
        )

    async def _runs(self) -> AsyncIterator[Check]:
        found = await removal.find(self._client)
        if found:
            told = [f"{item.run_id} (since {item.started}, {item.nodes:,} nodes)" for item in found]
            yield Check("earlier runs", f"{_some(told)}; `planebench clean --run ID` removes one")

    async def _pods(self) -> AsyncIterator[Check]:
        for plural in ("pods", "namespaces"):
            answer = await self._client.get(f"/api/v1/{plural}", limit="1")
            count = len(answer.get("items") or ()) + int(answer["metadata"].get("remainingItemCount") or 0)
            yield Check(f"{plural} of the cluster", f"{count:,}")

    async def _daemon_sets(self) -> AsyncIterator[Check]:
        items = await self._client.list("/apis/apps/v1/daemonsets")
        found = [
            f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            for item in items
            if any(takes(node, item["spec"]["template"]["spec"]) for node in self._one_of_each_pool())
        ]
        if found:
            yield Check(
                "DaemonSets that tolerate every taint",
                f"{_some(found)}: {len(found):,} more pods on each simulated node, which KWOK plays",
            )

    def _one_of_each_pool(self) -> list[Manifest]:
        first: dict[str, Manifest] = {}
        for manifest in self._manifests:
            first.setdefault(manifest["metadata"]["labels"][simulated.POOL_LABEL], manifest)
        return list(first.values())

    async def _quotas(self) -> AsyncIterator[Check]:
        """Of namespaces: those of a run are new, and have one only where a policy gives it to them."""
        items = await self._client.list_metadata("/api/v1/resourcequotas")
        names = {operation.name for operation in self._planner.namespaces().operations}
        mine = [item for item in items if item["metadata"]["namespace"] in names]
        over_all = []
        try:
            of_openshift = "/apis/quota.openshift.io/v1/clusterresourcequotas"
            over_all = [item["metadata"]["name"] for item in await self._client.list_metadata(of_openshift)]
        except ApiError:
            pass
        told = f"{len(items):,} in the cluster, {len(mine):,} in the run's namespaces"
        yield Check("quotas", told + (f"; over all namespaces: {_some(over_all)}" if over_all else ""))

    async def _webhooks(self) -> AsyncIterator[Check]:
        """Those that are called for what the run creates: they are part of what is measured."""
        found = []
        plurals = {"nodes", "namespaces", "pods"} | {kind.resource.plural for kind in self._planner.kinds}
        for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
            try:
                items = await self._client.list(f"/apis/admissionregistration.k8s.io/v1/{plural}")
            except ApiError:
                continue
            found += [
                item["metadata"]["name"]
                for item in items
                for webhook in item.get("webhooks") or ()
                for rule in webhook.get("rules") or ()
                if plurals & set(rule.get("resources") or ()) or "*" in (rule.get("resources") or ())
            ]
        if found:
            yield Check("admission webhooks on the way", _some(list(dict.fromkeys(found))))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")
