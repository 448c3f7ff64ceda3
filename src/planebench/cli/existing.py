"""Clusters that planebench has not started: their options, what a run would do there, and ``planebench clean``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from planebench import units
from planebench.cli.console import errors, output
from planebench.cli.options import seconds, with_options
from planebench.model import PlanebenchError

if TYPE_CHECKING:
    from planebench.cluster.removal import Remains
    from planebench.run.existing import Existing
    from planebench.run.preflight import Check, Preflight, Step

_PANEL = "Existing clusters"


def _complete_contexts(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell: the contexts of the kubeconfig that is named, or of the usual ones."""
    from planebench.kube import kubeconfig

    try:
        found = kubeconfig.Kubeconfig.load(ctx.params.get("kubeconfig"))
    except PlanebenchError:
        return []
    return [name for name in found.contexts if name.startswith(incomplete)]


Kubeconfig = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig",
        metavar="FILE",
        rich_help_panel=_PANEL,
        help="Run on a cluster that this file names, instead of starting one.",
    ),
]
Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="CONTEXT",
        autocompletion=_complete_contexts,
        rich_help_panel=_PANEL,
        help="Its context; without --kubeconfig, of $KUBECONFIG or ~/.kube/config.",
    ),
]
Meant = Annotated[
    str | None,
    typer.Option(
        "--yes-i-mean",
        metavar="CONTEXT",
        rich_help_panel=_PANEL,
        help="Run on this context although its name looks like production.",
    ),
]
Prometheus = Annotated[
    str | None,
    typer.Option(
        "--prometheus",
        metavar="URL",
        rich_help_panel=_PANEL,
        help="Take the metrics of etcd, scheduler and controllers from this Prometheus.",
    ),
]
FlowSchema = Annotated[
    bool,
    typer.Option(
        "--flow-schema",
        rich_help_panel=_PANEL,
        help="Give the load a priority level of its own while it runs (API priority and fairness).",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be done, and what stands against it; do nothing.")
]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a command's options about existing clusters say."""

    kubeconfig: Kubeconfig = None
    context: Context = None
    meant: Meant = None
    prometheus: Prometheus = None
    flow_schema: FlowSchema = False

    def cluster(self) -> Existing | None:
        """The cluster that is meant; None: one of planebench's own."""
        if self.kubeconfig is None and self.context is None:
            return None
        from planebench.run.existing import Existing

        return Existing(self.kubeconfig, self.context, self.meant, self.prometheus, self.flow_schema)


def with_existing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command all options about existing clusters: what they say comes as its argument ``where``."""
    options = inspect.signature(Elsewhere, eval_str=True).parameters.values()
    return with_options(command, "where", [*options], Elsewhere)


# --- the plan ------------------------------------------------------------------------------------------------


def plan_of(found: Preflight) -> Iterator[Text | Table]:
    """What a run would do on a cluster, and what was found there."""
    yield Text.assemble(
        ("Plan", "bold"), f" for context {found.context.name}: {found.url}, {found.version}, as {found.user}"
    )
    yield from steps(found.steps)
    names = ", ".join(found.namespaces[:3]) + (", ..." if len(found.namespaces) > 3 else "")
    yield Text(
        f"It makes {found.nodes:,} simulated nodes and {len(found.namespaces):,} namespaces ({names}), all "
        "labelled planebench.dev/run and owned by a namespace planebench-RUN. At the end it removes all of it."
    )
    yield from _checks(found.checks)


def steps(planned: tuple[Step, ...]) -> Iterator[Table]:
    """Phases with their requests."""
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("phase")
    for heading in ("requests", "over"):
        table.add_column(heading, justify="right")
    for step in planned:
        table.add_row(step.name, f"{step.requests:,}", units.format_duration(round(step.duration_s, 1)))
    yield table


def _checks(checks: tuple[Check, ...]) -> Iterator[Table]:
    table = Table(box=None, padding=(0, 2, 0, 2), show_header=False)
    signs = {True: Text("ok", style="green"), False: Text("NO", style="bold red"), None: Text("-", style="dim")}
    for check in checks:
        told = f"{check.found}; {check.action}" if check.ok is False else check.found
        table.add_row(signs[check.ok], check.title, Text(told, overflow="fold"))
    yield table


# --- planebench clean ----------------------------------------------------------------------------------------


def clean(
    run: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="ID", help="Remove everything of this run. Repeatable."),
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long to wait until it is gone.")
    ] = "5m",
) -> None:
    """Remove what runs have left on an existing cluster; without --run, list it.

    Without --context it looks at the current one, as kubectl does: it touches nothing but what carries the label
    of that run.

    Exit codes: 0 all is gone (or listed), 2 wrong usage or input, 4 something is still there.
    """
    from planebench.run import run_interruptibly
    from planebench.run.existing import Existing

    limit_s = seconds(timeout, "--timeout") or 0.0
    left = run_interruptibly(_clean(Existing(kubeconfig, context), run or [], limit_s))
    if left:
        raise PlanebenchError(f"still there: {'; '.join(left[:5])}{' and more' if len(left) > 5 else ''}")


async def _clean(which: Existing, runs: list[str], limit_s: float) -> list[str]:
    from planebench.cluster import removal
    from planebench.kube.client import Client
    from planebench.run.existing import log_in
    from planebench.run.preflight import demand_reachable

    async with log_in(which, careful=False) as login, Client(login) as client:
        await demand_reachable(client, login)
        found = {item.run_id: item for item in await removal.find(client)}
        if not runs:
            _list(login.context.name, list(found.values()))
        left: list[str] = []
        for run_id in runs:
            still = []
            if run_id in found:
                still = await removal.remove(client, run_id, limit_s, on_status=_say)
            if not still:
                _say(f"{login.context.name}: nothing is left of run {run_id}")
            left += still
        return left


def _list(context: str, found: Sequence[Remains]) -> None:
    if not found:
        _say(f"{context}: no run has left anything")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("run", "since"):
        table.add_column(heading, no_wrap=True)
    for heading in ("namespaces", "nodes", "Ready"):
        table.add_column(heading, justify="right")
    for item in found:
        counts = (item.namespaces, item.nodes, item.nodes_ready)
        table.add_row(item.run_id, item.started, *(f"{count:,}" for count in counts))
    output.print(table)
    _say("a run whose nodes are Ready may still go on; remove one with: planebench clean --run ID")


def _say(text: str) -> None:
    errors.print(text, highlight=False, soft_wrap=True, markup=False)
