"""``planebench checkpoint``: the state of a control plane that is kept running, kept and started from again."""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Annotated

import typer
from rich.table import Table

from planebench import units
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import Name

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
