"""``planebench scenarios``: what can be run."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from planebench import scenario
from planebench.cli.console import output

app = typer.Typer(help="Scenarios: the built-in ones, and the JSON Schema of your own.")


@app.callback(invoke_without_command=True)
def scenarios(context: typer.Context) -> None:
    """List the built-in scenarios."""
    if context.invoked_subcommand is not None:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("scenario", no_wrap=True)
    table.add_column("plane", no_wrap=True)
    table.add_column("nodes", justify="right")
    table.add_column("objects", justify="right")
    table.add_column("what it is for")
    for name in scenario.builtin_names():
        found = scenario.load(name)
        table.add_row(name, found.plane, f"{found.node_count:,}", f"{found.workload.count:,}", found.description)
    output.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A built-in scenario.")]) -> None:
    """Print a built-in scenario with its comments: a start for one of your own."""
    print(scenario.builtin_text(name), end="")  # plain, for a file


@app.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for editors and checks."""
    print(json.dumps(scenario.json_schema(), indent=2))  # plain, for a file
