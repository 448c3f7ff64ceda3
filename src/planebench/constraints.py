"""Where the scheduler may put a pod, told from manifests alone: taints, node selection, requests, pod placement.

Only what is required counts (kubernetes.io/docs/concepts/scheduling-eviction): preferences bind nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from planebench import units
from planebench.model import Manifest

PodSpec = Mapping[str, Any]
HOSTNAME: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
_KEEPS_OUT: Final = ("NoSchedule", "NoExecute")


def pod_of(manifest: Manifest) -> tuple[Mapping[str, str], PodSpec]:
    """Labels and spec of the pods that an object stands for: its own, or those of the template in it.

    A VirtualMachineInstance's spec has the pod's fields for its placement, by the same names.
    """
    spec = _mapping(manifest.get("spec"))
    template = spec.get("template")
    source = template if isinstance(template, Mapping) and "spec" in template else manifest
    return _mapping(_mapping(source.get("metadata")).get("labels")), _mapping(source.get("spec"))


# --- nodes ---------------------------------------------------------------------------------------------------


def takes(node: Manifest, pod: PodSpec) -> bool:
    """Whether a node's taints and labels let the pod in."""
    return not violated_by(node, pod)


def violated_by(node: Manifest, pod: PodSpec) -> str:
    """What keeps a pod off a node: ``taint``, ``node-selector`` or ``node-affinity``; empty: nothing."""
    if not tolerated(node, pod):
        return "taint"
    labels = _mapping(node["metadata"].get("labels"))
    wanted = _mapping(pod.get("nodeSelector"))
    if any(labels.get(key) != value for key, value in wanted.items()):
        return "node-selector"
    return "" if _affine(node, labels, pod) else "node-affinity"


def tolerated(node: Manifest, pod: PodSpec) -> bool:
    """Whether a pod tolerates all taints that keep pods out."""
    tolerations = [item for item in pod.get("tolerations") or () if isinstance(item, Mapping)]
    taints = [taint for taint in node["spec"].get("taints") or () if taint["effect"] in _KEEPS_OUT]
    return all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in taints)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    key, exists = toleration.get("key") or "", toleration.get("operator") == "Exists"
    if key != taint["key"] and not (exists and not key):
        return False
    return exists or (toleration.get("value") or "") == taint.get("value", "")


def _affine(node: Manifest, labels: Mapping[str, str], pod: PodSpec) -> bool:
    affinity = _mapping(_mapping(pod.get("affinity")).get("nodeAffinity"))
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"]["name"]}
    return any(
        _holds(term.get("matchExpressions") or (), labels) and _holds(term.get("matchFields") or (), fields)
        for term in _mapping(required).get("nodeSelectorTerms") or ()
        if term.get("matchExpressions") or term.get("matchFields")
    )


def _holds(expressions: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> bool:
    return all(_expression(item, labels) for item in expressions)


def _expression(item: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(item["key"]), item.get("values") or ()
    match item["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                left, right = int(value or ""), int(next(iter(values), ""))
            except ValueError:
                return False
            return left > right if item["operator"] == "Gt" else left < right
        case _:
            return False


def selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels; an empty one selects everything, none nothing."""
    if selector is None:
        return False
    wanted = _mapping(_mapping(selector).get("matchLabels"))
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return _holds(_mapping(selector).get("matchExpressions") or (), labels)


# --- requests ------------------------------------------------------------------------------------------------


def requests_of(pod: PodSpec) -> Mapping[str, float] | None:
    """What a pod asks for: ``cpu`` in cores, ``memory`` in bytes; None: its containers are not known.

    The larger of all containers together and each init container with the sidecars before it, plus overhead; a
    request that is left out is the limit. Source: kubernetes, component-helpers/resource/helpers.go (PodRequests).
    """
    containers = pod.get("containers")
    if not isinstance(containers, Sequence) or isinstance(containers, str) or not containers:
        return None
    return {resource: float(_requested(pod, containers, resource)) for resource in ("cpu", "memory")}


def _requested(pod: PodSpec, containers: Sequence[Any], resource: str) -> Decimal:
    running = sum((_of_container(item, resource) for item in containers), Decimal(0))
    sidecars = largest_init = Decimal(0)
    for init in pod.get("initContainers") or ():
        amount = _of_container(init, resource)
        if init.get("restartPolicy") == "Always":
            sidecars += amount
            largest_init = max(largest_init, sidecars)
        else:
            largest_init = max(largest_init, sidecars + amount)
    asked = max(running + sidecars, largest_init)
    whole = _of_container(pod, resource)  # at the level of the pod it counts instead
    overhead = _mapping(pod.get("overhead")).get(resource, 0)
    return (whole or asked) + units.parse_quantity(overhead)


def _of_container(container: Mapping[str, Any], resource: str) -> Decimal:
    resources = _mapping(container.get("resources"))
    amount = _mapping(resources.get("requests")).get(resource, _mapping(resources.get("limits")).get(resource, 0))
    return units.parse_quantity(amount)


# --- pods among each other -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Pods that are alike, and how many of them are where."""

    name: str
    labels: Mapping[str, str]
    spec: PodSpec
    placed: Mapping[tuple[str, str], int]
    """(namespace, node) -> pods."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that does not hold where pods are."""

    constraint: str
    """taint, node-selector, node-affinity, pod-affinity, pod-anti-affinity, topology-spread or capacity."""
    group: str
    pods: int
    """How many pods stand against it; of a spread, by how many pods the skew is too large."""
    where: str
    """The first place where that is so."""


def violations(nodes: Sequence[Manifest], groups: Sequence[Group]) -> Iterator[Violation]:
    """Every constraint that does not hold, for pods as they are; order does not matter, so pods that have come or
    gone since a pod was scheduled may break a constraint without the scheduler's doing.
    """
    by_name = {node["metadata"]["name"]: node for node in nodes}
    for group in groups:
        yield from _misplaced(by_name, group)
        yield from _affinities(by_name, group, groups)
        for constraint in group.spec.get("topologySpreadConstraints") or ():
            if constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule":
                yield from _skews(nodes, group, groups, constraint)
    yield from _overcommitted(by_name, groups)


def _misplaced(nodes: Mapping[str, Manifest], group: Group) -> Iterator[Violation]:
    found: Counter[str] = Counter()
    first: dict[str, str] = {}
    for (_, node), pods in group.placed.items():
        if node in nodes and (constraint := violated_by(nodes[node], group.spec)):
            found[constraint] += pods
            first.setdefault(constraint, node)
    for constraint, pods in found.items():
        yield Violation(constraint, group.name, pods, first[constraint])


def _affinities(nodes: Mapping[str, Manifest], group: Group, groups: Sequence[Group]) -> Iterator[Violation]:
    affinity = _mapping(group.spec.get("affinity"))
    for field, constraint in (("podAffinity", "pod-affinity"), ("podAntiAffinity", "pod-anti-affinity")):
        terms = _mapping(affinity.get(field)).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for term in terms:
            wrong, first = _against(nodes, group, groups, term, apart=constraint == "pod-anti-affinity")
            if wrong:
                yield Violation(constraint, group.name, wrong, first)


def _against(
    nodes: Mapping[str, Manifest], group: Group, groups: Sequence[Group], term: Mapping[str, Any], *, apart: bool
) -> tuple[int, str]:
    """How many pods have a selected pod in their domain (``apart``), or have none; and the first such domain."""
    wrong, first = 0, ""
    for namespace in sorted({namespace for namespace, _ in group.placed}):
        own = by_domain(nodes, group.placed, term["topologyKey"], (namespace,))
        scope = _scope(term, namespace)
        others: Counter[str] = Counter()
        for other in groups:
            if selects(term.get("labelSelector"), other.labels):
                others += by_domain(nodes, other.placed, term["topologyKey"], scope)
        itself = selects(term.get("labelSelector"), group.labels) and (scope is None or namespace in scope)
        # A pod that selects itself may come first, where nothing else is yet.
        alone = itself and sum(others.values()) == sum(own.values()) and len(own) <= 1
        for domain, pods in sorted(own.items()):
            company = others[domain] - int(itself)
            if (company > 0) if apart else (company <= 0 and not alone):
                wrong += pods
                first = first or domain
    return wrong, first


def _scope(term: Mapping[str, Any], namespace: str) -> tuple[str, ...] | None:
    """The namespaces that a term looks at; None: all."""
    if term.get("namespaceSelector") is not None:
        return None
    return tuple(term.get("namespaces") or (namespace,))


def by_domain(
    nodes: Mapping[str, Manifest],
    placed: Mapping[tuple[str, str], int],
    key: str,
    namespaces: tuple[str, ...] | None,
) -> Counter[str]:
    """Pods by the value of a node label; nodes without it are in no domain."""
    found: Counter[str] = Counter()
    for (namespace, node), pods in placed.items():
        domain = _mapping(nodes[node]["metadata"].get("labels")).get(key) if node in nodes else None
        if domain is not None and (namespaces is None or namespace in namespaces):
            found[domain] += pods
    return found


def _skews(
    nodes: Sequence[Manifest], group: Group, groups: Sequence[Group], constraint: Mapping[str, Any]
) -> Iterator[Violation]:
    key = constraint["topologyKey"]
    counted = [node for node in nodes if _counts(node, group.spec, constraint)]
    by_name = {node["metadata"]["name"]: node for node in counted}
    domains = {_mapping(node["metadata"].get("labels")).get(key) for node in counted} - {None}
    for namespace in sorted({namespace for namespace, _ in group.placed}):
        found: Counter[str] = Counter()
        for other in groups:
            if selects(constraint.get("labelSelector"), other.labels):
                found += by_domain(by_name, other.placed, key, (namespace,))
        sizes = {domain: found[str(domain)] for domain in domains}
        if not sizes:
            continue
        skew = max(sizes.values()) - min(sizes.values())
        if skew > constraint["maxSkew"]:
            fullest = max(sizes, key=lambda domain: sizes[domain])
            yield Violation("topology-spread", group.name, skew - constraint["maxSkew"], str(fullest))


def _counts(node: Manifest, pod: PodSpec, constraint: Mapping[str, Any]) -> bool:
    """Whether a spread looks at a node: by default it honours node selection and ignores taints."""
    why_not = violated_by(node, {**pod, "tolerations": [{"operator": "Exists"}]})
    if constraint.get("nodeAffinityPolicy", "Honor") == "Honor" and why_not:
        return False
    return constraint.get("nodeTaintsPolicy", "Ignore") == "Ignore" or tolerated(node, pod)


def _overcommitted(nodes: Mapping[str, Manifest], groups: Sequence[Group]) -> Iterator[Violation]:
    asked: dict[str, dict[str, float]] = {}
    for group in groups:
        wanted = {**(requests_of(group.spec) or {}), "pods": 1}
        for (_, node), pods in group.placed.items():
            for resource, amount in wanted.items():
                total = asked.setdefault(node, {})
                total[resource] = total.get(resource, 0.0) + amount * pods
    full = [
        name
        for name, total in sorted(asked.items())
        if name in nodes
        and any(amount > allocatable(nodes[name], resource) * (1 + 1e-9) for resource, amount in total.items())
    ]
    if full:
        pods = sum(round(asked[name]["pods"]) for name in full)
        yield Violation("capacity", "", pods, full[0])


def allocatable(node: Manifest, resource: str) -> float:
    """What a node offers: cores, bytes, or a number."""
    return float(units.parse_quantity(node["status"]["allocatable"].get(resource, 0)))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
