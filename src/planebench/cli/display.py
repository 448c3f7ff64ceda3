"""What a run shows while it goes on: a live panel in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:  # who only shows a line need not load what the rest is made of
    from planebench.binaries import BuildProgress
    from planebench.model import Progress, Stage
    from planebench.observe.processes import ProcessSample

_REFRESH_HZ = 2.0
"""Twice a second: the panel shares the machine with what is measured."""
_PLAIN_PERIOD_S = 5.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def describe_build(progress: BuildProgress) -> str:
    """One line: which component, how far, how long still."""
    left = f", about {_clock(progress.eta_s)} left" if progress.eta_s is not None else ""
    what = "MiB" if progress.stage == "pull" else "packages"
    count = f" {progress.done}/{progress.total} {what}" if progress.total else ""
    return f"building {progress.component}: {progress.stage}{count}{left}"


def describe_milestones(progress: Progress) -> list[str]:
    """For each watch: how many objects exist and how many have reached each milestone."""
    from planebench.plan import CANARY

    lines = []
    for watch, reached in progress.milestones.items():
        if watch == CANARY:
            continue  # an instrument, no part of the workload
        counts = "  ".join(f"{name} {count:,}" for name, count in reached.items() if ":" not in name and count)
        if counts:
            lines.append(f"{watch}: {counts}")
    return lines


def describe_load(progress: Progress) -> str:
    """The phase's requests: sent, failed, latency so far."""
    parts = [f"{progress.answered:,}/{progress.planned:,} requests"]
    if progress.response_ms:
        parts.append(
            "response p50 {p50:.1f} ms, p99 {p99:.1f} ms".format(
                p50=progress.response_ms.get("p50", float("nan")),
                p99=progress.response_ms.get("p99", float("nan")),
            )
        )
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    return ", ".join(parts)


class Display:
    """A run's listener that draws to a console; use it as a context manager."""

    def __init__(self, console: Console, *, live: bool | None = None) -> None:
        self._console = console
        self._start_s = time.monotonic()
        self._phase = "starting"
        self._progress: Progress | None = None
        self._rate_per_s = 0.0
        self._samples: Mapping[str, ProcessSample] = {}
        self._cores: Mapping[str, float] = {}
        self._build: BuildProgress | None = None
        self._last_plain_s = 0.0
        self._last_build_line = ""
        wanted = console.is_terminal if live is None else live
        self._live = (
            Live(get_renderable=self._panel, console=console, refresh_per_second=_REFRESH_HZ, transient=True)
            if wanted
            else None
        )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    # --- a run's listener ---

    def building(self, progress: BuildProgress) -> None:
        """Called from the build's thread: only notes it, or prints a line now and then."""
        self._build = progress
        if self._live is None:
            stage = f"{progress.component}/{progress.stage}"
            if stage != self._last_build_line or self._plain_due():
                self._last_build_line = stage
                self._line(describe_build(progress))

    def status(self, text: str) -> None:
        self._build = None
        self._line(text)

    def phase(self, name: str, stage: Stage | None, planned: int) -> None:
        self._phase = name if stage is None or stage == name else f"{stage}: {name}"
        self._progress = None
        self._rate_per_s = 0.0
        self._line(f"{self._phase}" + (f" ({planned:,})" if planned else ""))

    def progress(self, progress: Progress) -> None:
        before = self._progress
        if before is not None and progress.t_ns > before.t_ns and progress.phase == before.phase:
            now = (progress.answered - before.answered) / (progress.t_ns - before.t_ns) * 1e9
            self._rate_per_s = 0.7 * self._rate_per_s + 0.3 * now
        self._progress = progress
        if self._live is None and progress.planned and self._plain_due():
            self._line("  " + "; ".join([describe_load(progress), *describe_milestones(progress)]))

    def processes(self, newest: Mapping[str, ProcessSample], cores: Mapping[str, float]) -> None:
        self._samples, self._cores = newest, cores

    # --- drawing ---

    def _plain_due(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_plain_s < _PLAIN_PERIOD_S:
            return False
        self._last_plain_s = now_s
        return True

    def _line(self, text: str) -> None:
        stamp = _clock(time.monotonic() - self._start_s)
        self._console.print(Text(f"{stamp:>6}  ", style="dim") + Text(text), soft_wrap=True)

    def _panel(self) -> Group:
        elapsed = _clock(time.monotonic() - self._start_s)
        lines: list[Text | Table] = [Text(f"\n {elapsed}  {self._phase}", style="bold")]
        if self._build is not None:
            lines.append(Text(f" {describe_build(self._build)}"))
        if self._progress is not None:
            rate = f", {self._rate_per_s:,.0f}/s" if self._rate_per_s >= 0.5 else ""
            lines.append(Text(f" {describe_load(self._progress)}{rate}"))
            lines += [Text(f" {line}") for line in describe_milestones(self._progress)]
        if self._samples:
            lines.append(self._component_table())
        return Group(*lines)

    def _component_table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 1), header_style="dim")
        table.add_column("process")
        for heading in ("cores", "CPU s", "memory MiB"):
            table.add_column(heading, justify="right")
        for name, sample in self._samples.items():
            table.add_row(
                name,
                f"{self._cores.get(name, 0.0):.2f}",
                f"{sample.cpu_s:.1f}",
                f"{sample.rss_bytes / 2**20:.0f}",
            )
        return table
