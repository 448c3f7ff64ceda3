"""The ``planebench`` command."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from planebench import __version__
from planebench.cli.console import errors
from planebench.model import ComponentError, ExitCode, PlanebenchError

_COMMANDS: Final = {
    "run": ("evaluate", "run"),
    "show": ("evaluate", "show"),
    "report": ("report", "report"),
    "export": ("export", "export"),
    "compare": ("compare", "compare"),
    "gate": ("compare", "gate"),
    "experiment": ("experiment", "experiment"),
    "capacity": ("capacity", "capacity"),
    "calibrate": ("calibrate", "calibrate"),
    "up": ("clusters", "up"),
    "status": ("clusters", "status"),
    "down": ("clusters", "down"),
    "clean": ("existing", "clean"),
    "scenarios": ("scenarios", "app"),
    "components": ("components", "app"),
    "plane": ("planes", "app"),
    "checkpoint": ("checkpoint", "app"),
}
"""Command -> its module below this package, and what of it is the command or a group of them."""


class Commands(Mapping[str, Any]):
    """The commands, each loaded when it is asked for: who starts a cluster needs nothing of what analyses runs,
    which takes longer to load than etcd takes to start."""

    def __getitem__(self, name: str) -> Any:
        module, attribute = _COMMANDS[name]
        found = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
        holder = typer.Typer(rich_markup_mode="rich")
        if isinstance(found, typer.Typer):
            holder.add_typer(found, name=name)
        else:
            holder.command(name)(found)
        return typer.main.get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class Group(TyperGroup):
    """The group of all of them."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "commands": None})
        self.commands: Any = Commands()

    def list_commands(self, ctx: object) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    name="planebench",
    cls=Group,
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
    except SystemExit as ended:
        if ended.code == ExitCode.INTERRUPTED:  # what Typer makes of a KeyboardInterrupt, without a word
            errors.print("[bold red]planebench:[/] interrupted")
        raise


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
