"""``planebench calibrate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from planebench.cli.console import errors, output
from planebench.cli.display import Display
from planebench.results import calibration
from planebench.results.calibration import Calibration


def calibrate(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Where runs are to live: its disk is measured.")
    ] = Path("planebench-runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find what the load engine and the simulator can do on this machine.

    Takes one to two minutes on an idle machine. Later runs refer to it, and warn where a scenario asks for more.
    """
    from planebench import run as runs  # half a second that other commands save
    from planebench.binaries.cache import default_dir
    from planebench.run import calibrate as live

    with Display(errors) as display:
        found = runs.run_interruptibly(live.calibrate(folder, display))
    path = calibration.write(found, default_dir())
    if as_json:
        print(found.model_dump_json(indent=2))  # plain, for programs
    else:
        output.print(table(found))
    errors.print(f"written to {path}", highlight=False, soft_wrap=True)


def table(found: Calibration) -> Table:
    """For people: what was found, and what limits it."""
    engine, receipts, simulator, disk = found.engine, found.receipts, found.simulator, found.disk
    shown = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    shown.add_column("What")
    shown.add_column("Found", justify="right", no_wrap=True)
    shown.add_column("Note", overflow="fold")
    shown.add_row(
        "load engine, greatest rate",
        f"{engine.rate_per_s:,.0f}/s",
        f"p99 {_ms(engine.lateness_p99_s)} late, {engine.core_share:.0%} of a core; beyond it, {engine.ended_by}",
    )
    shown.add_row(
        "watch event after its write's answer",
        f"{_ms(receipts.staleness_p50_s)}",
        f"p99 {_ms(receipts.staleness_p99_s)}",
    )
    shown.add_row(
        "kernel's stamp until read", f"{_ms(receipts.read_delay_p50_s)}", f"p99 {_ms(receipts.read_delay_p99_s)}"
    )
    shown.add_row(
        "KWOK, greatest rate",
        f"{simulator.pods_per_s:,.0f} pods/s",
        f"{simulator.workers} workers; beyond it, {simulator.ended_by}",
    )
    shown.add_row(
        "KWOK, one pod at a time", f"{_ms(simulator.unloaded_p50_s)}", f"p99 {_ms(simulator.unloaded_p99_s)}"
    )
    shown.add_row(
        "fsync of 2 KiB",
        f"{_ms(disk.fsync_p50_s)}",
        f"p99 {_ms(disk.fsync_p99_s)}, {disk.file_system}; etcd asks for p99 below 10 ms",
    )
    return shown


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"
