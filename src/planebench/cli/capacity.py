"""``planebench capacity``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from planebench import scenario as scenarios
from planebench import units, verdict
from planebench.capacity import CapacityFolder, Load, Plan, Step, levels
from planebench.capacity.search import show
from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.cli.existing import Elsewhere, with_existing
from planebench.cli.options import Assignments, Components, NodeCount, pairs, seconds, with_components
from planebench.model import UsageError
from planebench.results.folder import write_text

DEFAULT = "capacity-pods"
PAGE = "capacity.html"
_RANGES = {Load.RATE: ("20/s", "500/s"), Load.OBJECTS: ("100", "5000"), Load.NODES: ("10", "1000")}
"""From and to."""
_DIGITS = 9


@with_components
@with_existing
def capacity(
    scenario_name: Annotated[
        str,
        typer.Argument(metavar="[SCENARIO]", help="A built-in scenario (see `planebench scenarios`), or a file."),
    ] = DEFAULT,
    of: Annotated[
        Load, typer.Option("--of", help="What is raised: the rate of creation, the objects, or the nodes.")
    ] = Load.RATE,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="LEVEL", help="The first level; default: 20/s, 100 objects or 10 nodes."),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="LEVEL", help="The highest level; default: 500/s, 5000 objects or 1000 nodes."
        ),
    ] = None,
    step_objects: Annotated[
        int | None,
        typer.Option("--step-objects", min=20, metavar="N", help="Objects in each step at least; default: 400."),
    ] = None,
    step_duration: Annotated[
        str, typer.Option("--step-duration", metavar="DURATION", help="Of a rate: each step's load at least.")
    ] = "10s",
    settle: Annotated[
        str, typer.Option("--settle", metavar="DURATION", help="The pause between two steps.")
    ] = "3s",
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts", min=1, max=9, help="How often a level that does not hold is tried; it has to fail all."
        ),
    ] = 2,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Give each step a control plane of its own; takes longer.")
    ] = False,
    nodes: NodeCount = None,
    settings: Assignments = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The folder; an interrupted search goes on in it. Default: planebench-runs/SCENARIO-TIME.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Another seed than the scenario's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
    *,
    where: Elsewhere,
    components: Components,
) -> None:
    """Find the greatest load at which a scenario's SLOs hold: a ramp, then bisection.

    On an existing cluster each step makes its nodes and objects, and removes them.

    Exit codes: 0 found (or even the highest level holds), 1 not even the first level holds, 2 wrong usage or
    input, 3 a level could not be judged, 4 a step broke, 130 interrupted (the same command with --out goes on).
    """
    from planebench import run as runs  # half a second that other commands save
    from planebench.report.capacity import html, json, terminal, words
    from planebench.run.capacity import SearchOptions
    from planebench.run.existing import context_of

    elsewhere = where.cluster()
    if elsewhere and fresh:
        raise UsageError("--fresh: an existing cluster goes on from step to step")
    wanted = scenarios.load(scenario_name, pairs(settings, "--set") | components.settings)
    if nodes is not None:
        wanted = scenarios.with_nodes(wanted, nodes)
    plan = Plan(
        of=of,
        start=_level(start or _RANGES[of][0], of, "--from"),
        end=_level(end or _RANGES[of][1], of, "--to"),
        step_objects=step_objects or (wanted.workload.count if of is Load.NODES else 400),
        step_duration_s=_positive(step_duration, "--step-duration"),
        settle_s=seconds(settle, "--settle") or 0.0,
        attempts=attempts,
        fresh=fresh,
        context=context_of(elsewhere),
        seed=wanted.seed if seed is None else seed,
    )
    levels.check(wanted, plan)
    place = out or Path("planebench-runs") / f"{wanted.name}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = CapacityFolder.create(place, wanted, plan)
    if folder.capacity.steps and folder.next_level() is not None:
        errors.print(f"going on after step {len(folder.capacity.steps)}", highlight=False)
    with Display(errors) as display:
        options = SearchOptions(
            components=components.paths,
            sources=components.sources,
            elsewhere=elsewhere,
            on_step=lambda step: display.status(_told(step, plan)),
        )
        runs.run_interruptibly(runs.search_capacity(wanted, folder, options, display))
    if folder.capacity.outcome is not None:
        write_text(place / PAGE, html.render(folder.capacity))
    if as_json:
        print(json.render(folder.capacity))  # plain, for programs
    else:
        output.print(terminal.render(folder.capacity))
        output.print(f"Folder: {place}, the page {place / PAGE}", highlight=False, soft_wrap=True)
    raise typer.Exit(verdict.code_of(words.judgement(folder.capacity)))


def _told(step: Step, plan: Plan) -> str:
    why = f": {step.reason}" if step.reason else ""
    return f"step {step.number}: {show(plan.of, step.level)}: {step.verdict}{why}"


def _level(text: str, of: Load, flag: str) -> float:
    if of is not Load.RATE:
        if not text.isdecimal() or len(text) > _DIGITS:
            raise UsageError(f"{flag} {text}: expected a whole number of {of}")
        return float(text)
    try:
        return units.parse_rate_per_s(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: {error}") from None


def _positive(text: str, flag: str) -> float:
    value = seconds(text, flag)
    if not value:
        raise UsageError(f"{flag} {text}: must be more than 0")
    return value
