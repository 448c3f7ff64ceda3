"""Which processes a fault strikes."""

from __future__ import annotations

from planebench.cluster.leaders import elects, leadership
from planebench.cluster.local import LocalCluster
from planebench.model import ComponentError
from planebench.run.faults.fault import Surroundings


def own_cluster(around: Surroundings) -> LocalCluster:
    """The run's own cluster; faults that need one are not available without."""
    assert isinstance(around.cluster, LocalCluster), "see available"  # noqa: S101
    return around.cluster


async def chosen(around: Surroundings, component: str, member: int | str | None) -> tuple[str, ...]:
    """The names of a component's processes that are meant: by number, its leader or all; None: its leader, or the
    first one where there is none.

    Raises ComponentError where it has no leader now.
    """
    cluster = own_cluster(around)
    names = cluster.members(component)
    if member == "all":
        return tuple(names)
    if isinstance(member, int):
        return (names[member - 1],)
    if not elects(cluster, component):
        return (names[0],)
    found = await leadership(cluster, around.client, component)
    if found is None:
        raise ComponentError(f"none of {component}'s members leads, so none can be struck", component=component)
    return (found.member,)
