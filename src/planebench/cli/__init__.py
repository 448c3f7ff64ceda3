"""The ``planebench`` command."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from planebench import __version__
from planebench.cli import (
    capacity,
    checkpoint,
    clusters,
    compare,
    components,
    evaluate,
    experiment,
    export,
    planes,
    report,
    scenarios,
)
from planebench.cli.calibrate import calibrate
from planebench.cli.console import errors
from planebench.cli.existing import clean
from planebench.model import ComponentError, ExitCode, PlanebenchError

app = typer.Typer(
    name="planebench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=(
        "[bold]Exit codes[/]: 0 passed, 1 an SLO failed, 2 wrong usage or input, 3 inconclusive, "
        "4 the run broke, 130 interrupted.\n\n"
        "[bold]Environment[/]: PLANEBENCH_CACHE: folder of the components' binaries (~/.cache/planebench). "
        "PLANEBENCH_STATE: folder of clusters that are kept running (~/.local/state/planebench/clusters). "
        "PLANEBENCH_REGISTRY: a mirror of the official images. KUBECONFIG, HTTPS_PROXY, NO_PROXY: as for kubectl, "
        "of existing clusters. PLANEBENCH_DEBUG=1: show where an internal error came from.\n\n"
        "[bold]Files[/]: planebench-runs/SCENARIO-TIME: a run's folder, for show, report, export and compare."
    ),
)
app.command("run")(evaluate.run)
app.command("show")(evaluate.show)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("compare")(compare.compare)
app.command("gate")(compare.gate)
app.command("experiment")(experiment.experiment)
app.command("capacity")(capacity.capacity)
app.command("calibrate")(calibrate)
app.add_typer(scenarios.app, name="scenarios")
app.add_typer(components.app, name="components")
app.add_typer(planes.app, name="plane")
app.command("up")(clusters.up)
app.command("status")(clusters.status)
app.command("down")(clusters.down)
app.add_typer(checkpoint.app, name="checkpoint")
app.command("clean")(clean)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"planebench {__version__}")  # plain, for scripts
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Evaluate how a Kubernetes control plane behaves under load.

    A real control plane runs as local processes, KWOK plays the nodes, and a workload goes through its whole
    lifecycle: creation, scheduling, management, monitoring, cleanup. Start with [bold]planebench run[/bold].
    """


def main() -> None:
    """The command's entry point: errors become one line and a documented exit code."""
    try:
        app()
    except PlanebenchError as error:
        errors.print(f"[bold red]planebench:[/] {_plain(str(error))}", soft_wrap=True, highlight=False)
        if isinstance(error, ComponentError):
            for line in error.log_tail:
                errors.print(f"  {_plain(line)}", soft_wrap=True, highlight=False, style="dim")
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("PLANEBENCH_DEBUG"):
            raise
        errors.print(
            f"[bold red]planebench:[/] internal error: {_plain(f'{type(error).__name__}: {error}')} "
            "(a fault of planebench: please report it; PLANEBENCH_DEBUG=1 shows where)",
            soft_wrap=True,
            highlight=False,
        )
        sys.exit(ExitCode.BROKEN)
    except KeyboardInterrupt:
        errors.print("[bold red]planebench:[/] interrupted")
        sys.exit(ExitCode.INTERRUPTED)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
