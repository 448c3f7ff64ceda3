"""``planebench components``: what is built, and building ahead."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from planebench import binaries
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import ComponentPaths, component_paths

app = typer.Typer(help="The control plane's binaries: what is built, from which module and version.")


@app.callback(invoke_without_command=True)
def components(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the components with module, version, size and digest; `build` builds them ahead."""
    if context.invoked_subcommand is not None:
        return
    found = binaries.cached([spec.name for spec in binaries.catalog()])
    if as_json:
        rows = []
        for spec in binaries.catalog():
            artifact = found[spec.name]
            row = {
                "name": spec.name,
                "module": spec.module,
                "version": spec.version,
                "built": artifact is not None,
            }
            rows.append(row | ({} if artifact is None else asdict(artifact) | {"path": str(artifact.path)}))
        print(json.dumps(rows, indent=2))  # plain, for programs
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("component", "version", "module"):
        table.add_column(heading)
    table.add_column("size", justify="right")
    table.add_column("sha256")
    for spec in binaries.catalog():
        artifact = found[spec.name]
        size = f"{artifact.size_bytes / 2**20:.0f} MiB" if artifact else "-"
        digest = artifact.sha256[:16] if artifact else "not built"
        table.add_row(spec.name, spec.version, spec.module, size, digest)
    output.print(table)


@app.command()
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Components to build; all of them if none is named.")
    ] = None,
    component: ComponentPaths = None,
) -> None:
    """Build components ahead of their first use; they stay in the cache."""
    wanted = names or [spec.name for spec in binaries.catalog()]
    paths: dict[str, Path] = component_paths(component)
    with Display(errors) as display:
        artifacts = binaries.resolve(wanted, overrides=paths, on_progress=display.building)
    for artifact in artifacts.values():
        output.print(f"{artifact.name} {artifact.version}: {artifact.source}, {artifact.path}", soft_wrap=True)
