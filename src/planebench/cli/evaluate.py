"""``planebench run`` and ``planebench show``."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from planebench import scenario, slis, verdict
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.existing import DryRun, Elsewhere, plan_of, steps, with_existing
from planebench.cli.options import (
    Assignments,
    Components,
    FromCheckpoint,
    Name,
    NodeCount,
    pairs,
    seconds,
    with_components,
)
from planebench.cli.report import DEFAULT as REPORT
from planebench.model import ExitCode, PlanebenchError
from planebench.report import components, html, json, terminal
from planebench.results import Result, RunFolder
from planebench.results.folder import write_text

DEFAULT = "kubevirt-density"
DEFAULT_ELSEWHERE = "pod-density"
"""On a cluster that planebench has not started: its nodes take pods, whatever else is installed."""
MOST_PROCESSES = 64


def complete_scenarios(incomplete: str) -> list[str]:
    """For the shell: built-in scenarios; files are the shell's own."""
    return [name for name in scenario.builtin_names() if name.startswith(incomplete)]


@with_components
@with_existing
def run(
    scenario_name: Annotated[
        str | None,
        typer.Argument(
            metavar="[SCENARIO]",
            autocompletion=complete_scenarios,
            help=f"A built-in scenario (see `planebench scenarios`), or a file; default: {DEFAULT}, and "
            f"{DEFAULT_ELSEWHERE} on an existing cluster.",
        ),
    ] = None,
    nodes: NodeCount = None,
    settings: Assignments = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The run folder; default: planebench-runs/SCENARIO-TIME."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Another seed than the scenario's.")] = None,
    timeout: Annotated[
        str | None, typer.Option("--timeout", metavar="DURATION", help="For the whole run, for instance 10m.")
    ] = None,
    keep_up: Annotated[
        bool,
        typer.Option("--keep-up", help="Leave the control plane running afterwards, as `planebench up` does."),
    ] = False,
    name: Name = "default",
    start: FromCheckpoint = None,
    audit: Annotated[
        bool,
        typer.Option("--audit", help="Tell whose each request was, by the API server's audit log (costs CPU)."),
    ] = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show each object's way through the components; implies --audit.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Keep CPU and heap profiles of the components, and sum them up.")
    ] = False,
    load_processes: Annotated[
        int,
        typer.Option(
            "--load-processes",
            min=1,
            max=MOST_PROCESSES,
            metavar="N",
            help="Send the load from this many processes, where one core is not enough; another one watches.",
        ),
    ] = 1,
    workers: Annotated[
        str,
        typer.Option(
            "--workers",
            metavar="SCHEDULER",
            help="Send the load from the workers of a Dask scheduler, for instance tcp://10.0.0.1:8786.",
        ),
    ] = "",
    workers_api_host: Annotated[
        str,
        typer.Option(
            "--workers-api-host",
            metavar="HOST",
            help="By which address --workers reach the API server, where theirs is another than this machine's.",
        ),
    ] = "",
    no_report: Annotated[
        bool,
        typer.Option(
            "--no-report",
            help="Write no HTML page; `planebench report` makes it out of the run folder at any time.",
        ),
    ] = False,
    dry_run: DryRun = False,
    *,
    where: Elsewhere,
    components: Components,
) -> None:
    """Evaluate a control plane: start it, run a scenario through all stages, judge, stop it.

    Exit codes: 0 passed, 1 an SLO failed, 2 wrong usage or input, 3 inconclusive, 4 the run broke,
    130 interrupted.
    """
    from planebench import run as runs  # half a second that other commands save
    from planebench.run.calibrate import calibration_warnings

    elsewhere = where.cluster()
    wanted = scenario.load(
        scenario_name or (DEFAULT_ELSEWHERE if elsewhere else DEFAULT),
        pairs(settings, "--set") | components.settings,
    )
    if nodes is not None:
        wanted = scenario.with_nodes(wanted, nodes)
    warnings = scenario.warnings(wanted, scenario.plane_of(wanted))
    for warning in [*warnings, *calibration_warnings(wanted)]:
        errors.print(f"warning: {warning}", style="yellow", highlight=False, soft_wrap=True)
    checkpoint = None
    if start is not None:
        from planebench.cluster import checkpoint as checkpoints

        checkpoint = checkpoints.get(start)
    options = runs.RunOptions(
        seed=seed,
        components=components.paths,
        sources=components.sources,
        timeout_s=seconds(timeout, "--timeout"),
        keep_up=name if keep_up else None,
        checkpoint=checkpoint,
        audit=audit,
        trace=trace,
        profile=profile,
        load_processes=load_processes,
        workers=workers,
        workers_api_host=workers_api_host,
    )
    folder = out or runs.default_folder(wanted)

    async def go() -> bool:
        """Whether anything was run."""
        async with contextlib.AsyncExitStack() as stack:
            chosen = options
            if elsewhere is not None:
                target = await stack.enter_async_context(runs.reach(elsewhere, wanted))
                (output if dry_run else errors).print(*plan_of(target.preflight), sep="\n")
                target.preflight.demand()
                chosen = replace(options, target=target)
            elif dry_run:
                output.print(*steps(runs.steps_of(wanted)))
            if dry_run:
                runs.demand_possible(wanted, chosen)
                return False
            with Display(errors) as display:
                await runs.run(wanted, folder, chosen, display)
            return True

    try:
        if not runs.run_interruptibly(go()):
            return
    except PlanebenchError as error:
        if error.exit_code is not ExitCode.USAGE:
            _show_what_there_is(folder, page=not no_report)
        raise
    result = _evaluate(folder, page=not no_report)
    output.print(terminal.render(result))
    if not no_report:
        output.print(f"Report: {folder / REPORT}", soft_wrap=True, highlight=False)
    if keep_up:
        errors.print(f"cluster {name!r} is up; end it with: planebench down --name {name}", highlight=False)
    raise typer.Exit(verdict.exit_code(result))


def show(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    details: Annotated[
        bool, typer.Option("--details", help="Print all figures of all components, below the summary.")
    ] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Print what one object costs each component instead.")
    ] = False,
    component: Annotated[
        list[str] | None,
        typer.Option(
            "--component",
            metavar="NAME",
            help="Print all figures of this component instead, for instance kube-apiserver. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print a past run's summary again, from its folder alone."""
    if card:
        from planebench.report import card as cards
        from planebench.slis.card import card as card_of

        output.print(cards.render([card_of(run_folder)]))
        return
    result = slis.evaluate(run_folder)
    if as_json:
        print(json.render(result))  # plain, for programs
    elif component:
        output.print(components.details(result.components, component))
    else:
        output.print(terminal.render(result))
        if details:
            output.print()
            output.print(components.details(result.components))


def _evaluate(folder: Path, *, page: bool) -> Result:
    """The result, and its page, beside what they were made from."""
    result = slis.evaluate(folder)
    RunFolder(folder).write_result(result)
    if page:
        write_text(folder / REPORT, html.render(folder, result))
    return result


def _show_what_there_is(folder: Path, *, page: bool) -> None:
    """A run that broke still tells what it saw; a fault of the analysis must not hide the run's own."""
    if not (folder / "run.json").exists():
        return
    with contextlib.suppress(PlanebenchError):
        output.print(terminal.render(_evaluate(folder, page=page)))
