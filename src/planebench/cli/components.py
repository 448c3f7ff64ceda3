"""``planebench components``: what is there, getting it ahead, and taking it along."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from planebench import binaries
from planebench.binaries import Artifact, Entry
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import (
    Components,
    with_components,
    with_provided_components,
)

app = typer.Typer(help="The control plane's binaries: which versions are there, and where they come from.")


@app.callback(invoke_without_command=True)
def components(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """List the components with version, source, size and digest: the pinned versions, then others in the cache."""
    if context.invoked_subcommand is not None:
        return
    found = binaries.cached([spec.name for spec in binaries.catalog()])
    others = binaries.others(found.values())
    if as_json:
        rows = [_row(spec, found[spec.name]) for spec in binaries.catalog()]
        print(json.dumps([*rows, *map(_other_row, others)], indent=2))  # plain, for programs
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("component", no_wrap=True)
    table.add_column("version", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_column("source", no_wrap=True)
    for spec in binaries.catalog():
        artifact = found[spec.name]
        if artifact is None:
            table.add_row(spec.name, spec.version, "-", "not built", "")
        else:
            table.add_row(
                spec.name,
                spec.version,
                _mib(artifact.size_bytes),
                artifact.sha256[:12],
                "image" if artifact.image else "go",
            )
    for entry in others:
        source = f"{entry.origin}, imported" if entry.imported else entry.origin
        table.add_row(entry.name, entry.version, _mib(entry.size_bytes), entry.sha256[:12], source, style="dim")
    output.print(table)
    if others:
        output.print("dim: beside the pinned versions; `planebench components prune` removes them", style="dim")


def _row(spec: binaries.ComponentSpec, artifact: Artifact | None) -> dict[str, Any]:
    row = {
        "name": spec.name,
        "module": spec.module,
        "version": spec.version,
        "pinned": True,
        "built": artifact is not None,
    }
    return row | ({} if artifact is None else asdict(artifact) | {"path": str(artifact.path)})


def _other_row(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "version": entry.version,
        "pinned": False,
        "built": True,
        "sha256": entry.sha256,
        "size_bytes": entry.size_bytes,
        "origin": entry.origin,
        "imported": entry.imported,
        "path": str(entry.folder / entry.name),
    }


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"


@app.command()
@with_components
def build(
    names: Annotated[
        list[str] | None, typer.Argument(help="Components to get; all of them if none is named.")
    ] = None,
    *,
    components: Components,
) -> None:
    """Get components ahead of their first use: pull or build them; they stay in the cache."""
    for artifact in _resolved(names, components.paths, components.versions, components.sources).values():
        output.print(f"{artifact.name} {artifact.version}: {artifact.source}, {artifact.path}", soft_wrap=True)
        output.print(f"  {artifact.reason}", style="dim", soft_wrap=True, highlight=False)


@app.command("export")
@with_provided_components
def export_archive(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive: .tar, or .tar.gz.")],
    names: Annotated[list[str] | None, typer.Argument(help="Components; all of them if none is named.")] = None,
    *,
    components: Components,
) -> None:
    """Write components into one file for a machine without a network; what is missing is pulled or built first."""
    artifacts = _resolved(names, components.paths, components.versions, components.sources)
    binaries.export_archive(file, artifacts.values())
    for artifact in artifacts.values():
        output.print(f"{artifact.name} {artifact.version}", highlight=False)
    output.print(f"{file}: {_mib(file.stat().st_size)}", soft_wrap=True, highlight=False)


@app.command("import")
def import_archive(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that `export` wrote.")],
) -> None:
    """Take the components of an archive into the cache, their digests verified."""
    for artifact in binaries.import_archive(file):
        output.print(f"{artifact.name} {artifact.version}: {artifact.path}", soft_wrap=True, highlight=False)


@app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="The pinned versions too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be removed.")] = False,
) -> None:
    """Remove what the cache holds beside the pinned versions: other versions, builds by other Go toolchains."""
    removed = binaries.prune(everything=everything, dry_run=dry_run)
    for entry in removed:
        output.print(f"{entry.name} {entry.version}: {_mib(entry.size_bytes)}", highlight=False)
    freed = sum(entry.size_bytes for entry in removed)
    output.print(f"{'would free' if dry_run else 'freed'} {_mib(freed)}", highlight=False)


def _resolved(
    names: list[str] | None, paths: Mapping[str, Path], chosen: Mapping[str, str], allowed: binaries.Sources
) -> dict[str, Artifact]:
    wanted = names or [spec.name for spec in binaries.catalog()]
    with Display(errors) as display:
        return binaries.resolve(
            wanted,
            overrides=paths,
            versions=chosen,
            sources=allowed,
            on_progress=display.building,
            on_note=display.status,
        )
