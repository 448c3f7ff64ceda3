"""``planebench checkpoint``: the state of a control plane that is kept running, kept and started from again."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from planebench import units
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import Name

if TYPE_CHECKING:
    from planebench.run.recovery import Recovery

_FEW = 10
"""Verbs with fewer requests are not shown."""

app = typer.Typer(
    help="Checkpoints of control planes that are kept running: saved once, started from as often as wanted.",
    no_args_is_help=True,
)

Checkpoint = Annotated[str, typer.Argument(help="The checkpoint's name.")]


@app.command()
def save(checkpoint: Checkpoint, name: Name = "default") -> None:
    """Save the state of a cluster, which goes on: its objects, authorities and settings."""
    from planebench.run import kept

    saved = asyncio.run(kept.save(checkpoint, name))
    errors.print(
        f"checkpoint {checkpoint!r} of cluster {name!r}: {saved.nodes:,} nodes, {saved.pods:,} pods; etcd stood "
        f"still for {saved.pause_s:.2f} s",
        highlight=False,
    )


@app.command()
def restore(checkpoint: Checkpoint) -> None:
    """Set a cluster back to a checkpoint; where it is up, it is ended first. Prints the kubeconfig's path.

    Ports and kubeconfig are new.
    """
    _start(checkpoint, None)


@app.command()
def fork(
    checkpoint: Checkpoint,
    name: Annotated[str, typer.Argument(help="The new cluster's name.")],
) -> None:
    """Start a further cluster from a checkpoint; prints the kubeconfig's path."""
    _start(checkpoint, name)


@app.command("list")
def show(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False) -> None:
    """List the checkpoints."""
    from planebench.cluster.checkpoint import all_checkpoints

    found = all_checkpoints()
    if as_json:
        rows = [
            {
                "name": item.name,
                "cluster": item.cluster,
                "plane": item.plane,
                "saved_wall_s": item.saved_wall_s,
                "pause_s": item.pause_s,
                "nodes": item.nodes,
                "pods": item.pods,
                "size_bytes": item.size_bytes,
                "versions": item.served.versions,
            }
            for item in found
        ]
        print(json.dumps(rows, indent=2))  # plain, for programs
        return
    if not found:
        output.print("there is no checkpoint; take one with: planebench checkpoint save NAME")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("checkpoint", "cluster", "plane", "saved"):
        table.add_column(heading, no_wrap=True)
    for heading in ("nodes", "pods", "size"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in found:
        saved = datetime.datetime.fromtimestamp(item.saved_wall_s)
        counts = (f"{item.nodes:,}", f"{item.pods:,}", units.format_bytes(item.size_bytes))
        table.add_row(item.name, item.cluster, item.plane, f"{saved:%Y-%m-%d %H:%M:%S}", *counts)
    output.print(table)


@app.command()
def recovery(
    checkpoint: Checkpoint,
    trials: Annotated[int, typer.Option("--trials", min=1, help="How many forks to watch.")] = 3,
    clients: Annotated[
        int,
        typer.Option(
            "--clients",
            min=0,
            max=5000,
            help="So many list and watch all pods as soon as the API server is ready.",
        ),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Measure how the control plane comes back: each trial starts a fork with empty caches, and ends it.

    Told are the time until nodes are played and controllers have nothing left to do, and what it cost.
    """
    from planebench import run as runs
    from planebench.cluster.checkpoint import get
    from planebench.run.recovery import recover

    found: list[Recovery] = []
    wanted = get(checkpoint)

    async def go() -> None:
        for number in range(1, trials + 1):
            display.status(f"trial {number} of {trials}")
            found.append(await recover(wanted, display, clients=clients, seed=number))

    with Display(errors) as display:
        runs.run_interruptibly(go())
    if as_json:
        print(json.dumps([dataclasses.asdict(item) for item in found], indent=2))  # plain, for programs
        return
    size = f"{wanted.nodes:,} nodes, {wanted.pods:,} pods" + (f", {clients:,} further clients" if clients else "")
    output.print(
        f"checkpoint {wanted.name!r}: {size}; {trials} trials: median (least to most)",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column("what", no_wrap=True)
    table.add_column("figure", justify="right", no_wrap=True)
    for what, values, show in _recovered(found):
        least, most = min(values), max(values)
        spread = "" if least == most else f" ({show(least)} to {show(most)})"
        table.add_row(what, f"{show(statistics.median(values))}{spread}")
    output.print(table)


def _recovered(found: Sequence[Recovery]) -> Iterator[tuple[str, list[float], Callable[[float], str]]]:
    """Rows: what, its value in each trial, how to show one."""
    last = found[-1]
    for step in sorted(last.steps_s, key=last.steps_s.__getitem__):
        yield f"{step}, after", [item.steps_s.get(step, math.nan) for item in found], _seconds
    for verb in last.load.requests:
        if (count := [float(item.load.requests.get(verb, 0)) for item in found]) and max(count) >= _FEW:
            yield f"API server: {verb} requests", count, _number
    yield "API server: watches that go on", [float(item.load.watches) for item in found], _number
    yield "API server: requests rejected", [float(item.load.rejected) for item in found], _number
    yield "API server: mean LIST", [item.load.list_mean_s * 1e3 for item in found], lambda ms: f"{ms:,.1f} ms"
    yield "API server: answers to LISTs", [float(item.load.list_bytes) for item in found], units.format_bytes
    for process in last.cpu_s:
        yield f"{process}: CPU", [item.cpu_s[process] for item in found], _seconds
    yield "planebench and further clients: CPU", [item.own_cpu_s for item in found], _seconds
    for process in last.peak_bytes:
        yield f"{process}: peak memory", [float(item.peak_bytes[process]) for item in found], units.format_bytes


def _seconds(value: float) -> str:
    return f"{value:,.2f} s"


def _number(value: float) -> str:
    return f"{value:,.0f}"


@app.command()
def rm(checkpoint: Checkpoint) -> None:
    """Remove a checkpoint; clusters that were started from it go on."""
    from planebench.cluster.checkpoint import remove

    remove(checkpoint)
    errors.print(f"checkpoint {checkpoint!r} is removed", highlight=False)


def _start(checkpoint: str, fork: str | None) -> None:
    from planebench import run as runs
    from planebench.run import kept

    with Display(errors) as display:
        kubeconfig = runs.run_interruptibly(kept.restore(checkpoint, display, fork=fork))
    cluster = kubeconfig.parents[2].name
    errors.print(f"cluster {cluster!r} is up; end it with: planebench down --name {cluster}", highlight=False)
    print(f"export KUBECONFIG={kubeconfig}")  # plain, for eval
