"""``planebench plane``: descriptors of control planes, proven and begun."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.options import ComponentPaths, component_paths, pairs, seconds
from planebench.model import ExitCode, UsageError
from planebench.planes import Plane, builtin_names, load_plane
from planebench.planes.draft import Draft, draft

app = typer.Typer(
    help="Control planes as data: which come along, a trial of your own, a first descriptor.", no_args_is_help=True
)


@app.command("list")
def list_planes() -> None:
    """List the built-in planes with their workloads."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("plane", "workloads", "description"):
        table.add_column(heading, overflow="fold")
    for name in builtin_names():
        plane = load_plane(name)
        table.add_row(name, ", ".join(plane.workloads), plane.description)
    output.print(table)


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="FOLDER|NAME", help="A plane's folder, or a built-in one.")],
    nodes: Annotated[int, typer.Option("--nodes", min=1, max=100, help="How many nodes to simulate.")] = 3,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            metavar="DURATION",
            help="How long the control plane, the objects and their end may take, each.",
        ),
    ] = "60s",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the plane. Repeatable."),
    ] = None,
    component: ComponentPaths = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Keep the trial's run folder, with all logs.")
    ] = None,
) -> None:
    """Prove a descriptor: start its control plane, create one object of each workload, wait for its milestones,
    delete it, look for what is left.

    Exit codes: 0 all as the descriptor says, 1 something is not, 2 the descriptor is wrong and nothing was
    started, 4 the control plane did not start or broke, 130 interrupted.
    """
    from planebench import run as runs  # half a second that other commands save
    from planebench.run.plane_check import check_plane

    limit_s = seconds(timeout, "--timeout")
    assert limit_s is not None  # noqa: S101 (it has a default)
    if limit_s <= 0:
        raise UsageError(f"--timeout {timeout}: must be more than nothing")
    name = _findable(name)
    values = _typed(load_plane(name), pairs(settings, "--set"))
    plane = load_plane(name, values)
    output.print(f"[bold]{plane.name}[/bold]  {_parts(plane)}", highlight=False)
    with Display(errors) as display:
        found = runs.run_interruptibly(
            check_plane(
                plane,
                display,
                nodes=nodes,
                timeout_s=limit_s,
                settings=values,
                components=component_paths(component),
                out=out,
            )
        )
    if found.ready_s is not None:
        output.print(f"control plane up after {found.ready_s:.1f} s", highlight=False)
    for one in found.workloads:
        output.print(f"\n[bold]{one.name}[/bold]  {plane.workload(one.name).description}", highlight=False)
        table = Table(box=None, padding=(0, 2, 0, 2), header_style="dim")
        table.add_column("watch")
        table.add_column("milestone")
        table.add_column("after s", justify="right")
        for seen in one.seen:
            if not (seen.failure and seen.after_s is None):
                table.add_row(
                    seen.watch, seen.milestone, "never" if seen.after_s is None else f"{seen.after_s:.2f}"
                )
        output.print(table)
    output.print()
    for fault in found.faults:
        output.print("[red]not proven[/red]  " + escape(fault), highlight=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(ExitCode.FAIL)
    output.print("[green]proven[/green]  every workload came up and was gone; nothing is left", highlight=False)


def _findable(name: str) -> str:
    """A folder as :func:`load_plane` and scenarios take one from anywhere."""
    return str(Path(name).absolute()) if name not in builtin_names() and Path(name).is_dir() else name


def _parts(plane: Plane) -> str:
    install = sum(len(plane.manifests(source)) for source in plane.install)
    expose = sum(len(plane.manifests(source)) for source in plane.expose)
    processes = ", ".join(process.name for process in plane.processes) or "none"
    return f"{install} objects to install, {expose} to expose; processes: {processes}"


def _typed(plane: Plane, given: dict[str, str]) -> dict[str, str | int | bool]:
    """Settings by the type of their defaults. Raises UsageError."""
    found: dict[str, str | int | bool] = {}
    for key, text in given.items():
        default = plane.settings.get(key)
        if isinstance(default, bool):
            if text not in ("true", "false"):
                raise UsageError(f"--set {key}={text}: must be true or false")
            found[key] = text == "true"
        elif isinstance(default, int):
            try:
                found[key] = int(text)
            except ValueError:
                raise UsageError(f"--set {key}={text}: must be a whole number") from None
        else:
            found[key] = text
    return found


@app.command()
def init(
    crd: Annotated[Path, typer.Argument(metavar="CRD.yaml", help="The CustomResourceDefinition.")],
    controller: Annotated[Path, typer.Option("--controller", metavar="BIN", help="The controller's binary.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The plane's folder, a new one.")],
    sample: Annotated[
        Path | None,
        typer.Option("--sample", metavar="FILE", help="An object of the kind, in place of one that is made up."),
    ] = None,
    argument: Annotated[
        list[str] | None,
        typer.Option(
            "--argument",
            metavar="TEXT",
            help="An argument of the controller, with ${kubeconfig}, ${health_port}, ${metrics_port} and so on. "
            "Repeatable; without any: those of a kubebuilder project.",
        ),
    ] = None,
    trial: Annotated[
        bool,
        typer.Option(
            "--trial/--no-trial",
            help="Start a control plane with the controller, create one object, and take the milestones that it "
            "comes to; without: those that the schema names.",
        ),
    ] = True,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout", metavar="DURATION", help="How long the trial's control plane and object may take, each."
        ),
    ] = "60s",
    component: ComponentPaths = None,
) -> None:
    """Write a first descriptor: a sample object from the definition's schema, a process, and the milestones that a
    trial of one object comes to."""
    if not controller.is_file():
        raise UsageError(f"--controller {controller}: no such file")
    if not os.access(controller, os.X_OK):
        raise UsageError(f"--controller {controller}: the file is not executable (chmod +x)")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"--out {out}: is there already; give a new folder")
    limit_s = seconds(timeout, "--timeout")
    assert limit_s is not None  # noqa: S101 (it has a default)
    arguments = tuple(argument or ())
    made = draft(crd, controller, sample=sample, arguments=arguments)
    with tempfile.TemporaryDirectory(prefix="planebench-init-") as place:
        _write(made, Path(place))
        first = load_plane(place)
        seen = _tried(first, limit_s, component_paths(component)) if trial else []
    if seen:
        made = draft(crd, controller, sample=sample, arguments=arguments, seen=seen)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(made, out)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    watch = next(iter(load_plane(str(out.absolute())).watches.values()))
    output.print(f"{out}: {', '.join(made.files)}", highlight=False, soft_wrap=True)
    if trial:
        told = ", ".join(one.name + (" (failure)" if one.failure else "") for one in watch.milestones)
        words = f"milestones of the trial: {told}" if seen else f"the trial saw no status within {timeout}"
        output.print(f"  {escape(words)}", highlight=False, soft_wrap=True)
    for guess in made.guesses:
        output.print(f"  guessed: {escape(guess)}", highlight=False, soft_wrap=True)
    output.print(f"prove it with: planebench plane check {out}", highlight=False, soft_wrap=True)


def _write(made: Draft, folder: Path) -> None:
    for name, text in made.files.items():
        (folder / name).write_text(text, encoding="utf-8")


def _tried(plane: Plane, timeout_s: float, components: dict[str, Path]) -> list[dict[str, Any]]:
    """Each status that one object of the plane's workload has had."""
    from planebench import run as runs  # half a second that other commands save
    from planebench.run.plane_trial import try_object

    with Display(errors) as display:
        return runs.run_interruptibly(
            try_object(plane, next(iter(plane.workloads)), display, timeout_s=timeout_s, components=components)
        )


@app.command("card")
def cost_card(
    run_folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of one plane.")],
) -> None:
    """Show what one object costs each component: requests, writes, bytes, CPU, memory.

    With runs of several sizes: how each figure grows with the number of objects.
    """
    from planebench.report import card as report
    from planebench.slis.card import card

    cards = [card(path) for path in run_folders]
    if len(names := sorted({one.plane for one in cards})) > 1:
        raise UsageError(f"the runs are of different planes: {', '.join(names)}; give runs of one")
    output.print(report.render(cards))
