"""``planebench up``, ``status`` and ``down``: control planes that are kept running."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from planebench import units
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import Assignments, Components, Name, pairs, with_components
from planebench.model import UsageError

_DEFAULT_NAME = "default"
_SCENARIO = """
apiVersion: planebench.dev/v1
name: up
plane: {plane}
nodes: [{{name: node, count: {nodes}}}]
workload: {{count: 1, objects: [{{template: {template}}}]}}
"""


@with_components
def up(
    name: Name = _DEFAULT_NAME,
    nodes: Annotated[int, typer.Option("--nodes", min=0, help="How many nodes to simulate.")] = 0,
    plane: Annotated[
        str,
        typer.Option("--plane", help="core, another built-in one (`planebench plane list`), or a plane's folder."),
    ] = "core",
    settings: Assignments = None,
    *,
    components: Components,
) -> None:
    """Start a control plane and keep it running; prints the kubeconfig's path.

    `--set` takes a scenario's fields that concern the cluster: nodes[0].capacity, settings, limits, components,
    timeouts.
    """
    from planebench.run.interrupt import run_interruptibly

    with Display(errors) as display:
        kubeconfig = run_interruptibly(_up(name, nodes, plane, pairs(settings, "--set"), components, display))
    from planebench.cluster import named

    errors.print(f"cluster {name!r} is up; end it with: planebench down --name {name}", highlight=False)
    errors.print(_timeline(named.get(name).timeline_s), style="dim", highlight=False, soft_wrap=True)
    print(f"export KUBECONFIG={kubeconfig}")  # plain, for eval


async def _up(
    name: str, nodes: int, plane: str, settings: dict[str, str], components: Components, display: Display
) -> Path:
    from planebench.cluster.keeping import keeper

    async with keeper() as process:  # it loads its code while this process loads its own
        from planebench import scenario
        from planebench.planes import load_plane
        from planebench.run import kept

        text = _SCENARIO.format(
            plane=json.dumps(plane), nodes=max(nodes, 1), template=next(iter(load_plane(plane).workloads))
        )
        overrides = settings | components.settings
        return await kept.up(
            name,
            scenario.parse(text, name="planebench up", overrides=overrides, folder=Path()),
            process,
            nodes=nodes > 0,
            components=components.paths,
            sources=components.sources,
            listener=display,
        )


def status(
    name: Annotated[str | None, typer.Option("--name", help="Only this cluster.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show the control planes that are kept running."""
    from planebench.run import kept

    found = asyncio.run(kept.describe(name))
    if as_json:
        print(json.dumps(found, indent=2))  # plain, for programs
        return
    if not found:
        output.print("no cluster is up; start one with: planebench up")
    for cluster in found:
        _print(cluster)


def down(
    name: Annotated[str | None, typer.Option("--name", help="The cluster's name; default: default.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """End a control plane that was kept running, and remove everything of it."""
    from planebench.cluster import named

    if everything and name is not None:
        raise UsageError("--all and --name exclude each other")
    for one in list(named.names()) if everything else [name or _DEFAULT_NAME]:
        named.stop(one)
        errors.print(f"cluster {one!r} is down", highlight=False)


def _print(cluster: dict[str, Any]) -> None:
    head = f"[bold]{cluster['name']}[/bold]  plane {cluster['plane']}, {cluster['state']}"
    if cluster["state"] == "up":
        head += f" for {units.format_duration(round(time.time() - cluster['started_wall_s']))}"
    if cluster["nodes"] is not None:
        head += f", {cluster['nodes_ready']:,} of {cluster['nodes']:,} nodes Ready"
    output.print(head, highlight=False)
    if cluster["failure"]:
        output.print(f"  {cluster['failure']}", style="red", highlight=False, soft_wrap=True, markup=False)
    output.print(f"  export KUBECONFIG={cluster['kubeconfig']}", highlight=False, soft_wrap=True)
    output.print(f"  {_timeline(cluster['start_s'])}", style="dim", highlight=False)
    table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
    table.add_column("process")
    for heading in ("pid", "CPU s", "MiB"):
        table.add_column(heading, justify="right")
    for process in cluster["processes"]:
        cpu, memory = process["cpu_s"], process["rss_bytes"]
        table.add_row(
            process["name"],
            str(process["pid"]),
            "gone" if cpu is None else f"{cpu:.1f}",
            "" if memory is None else f"{memory / 2**20:.0f}",
        )
    output.print(table)


def _timeline(steps_s: Mapping[str, float]) -> str:
    """When each step of a start was done, in the order in which they were."""
    done = sorted(steps_s.items(), key=lambda step: step[1])
    return f"ready after: {', '.join(f'{step} {seconds:.1f} s' for step, seconds in done)}"
