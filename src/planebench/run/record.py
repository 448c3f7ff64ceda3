"""Writes down what happens in a run as it happens, so that a run that is cut off can still be read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from planebench.model import FaultRecord, PhaseRecord, RestartRecord, Stage
from planebench.results.folder import RunFolder
from planebench.run.listener import Listener


class Recorder:
    """The run's phases and status, saved at every change."""

    def __init__(self, folder: RunFolder, header: dict[str, Any], t0_ns: int, listener: Listener) -> None:
        self._folder = folder
        self._header = header
        self._phases: list[PhaseRecord] = []
        self._faults: list[FaultRecord] = []
        self._restarts: list[RestartRecord] = []
        self._status = "running"
        self._error: str | None = None
        self._overdue: str | None = None
        """The time limit that the phase that goes on has passed."""
        self.t0_ns = t0_ns
        self.listener = listener
        self._save()

    def now_ns(self) -> int:
        """The trial's clock."""
        return time.monotonic_ns() - self.t0_ns

    @contextmanager
    def phase(self, name: str, stage: Stage | None, planned: int = 0) -> Iterator[None]:
        """Note a phase's start and end; an exception, or :meth:`mark_incomplete`, marks it as not completed."""
        self.listener.phase(name, stage, planned)
        start_ns = self.now_ns()
        completed = False
        try:
            yield
            completed = self._overdue is None
        finally:
            record = PhaseRecord(name, stage, start_ns, self.now_ns(), completed, planned)
            self._phases.append(record)
            self._overdue = None
            self._save()

    def fault(self, fault: FaultRecord) -> None:
        """A fault has ended, or the run has while it went on."""
        self._faults.append(fault)
        self._save()

    def restart(self, restart: RestartRecord) -> None:
        """A process has been started anew."""
        self._restarts.append(restart)
        self._save()

    def mark_incomplete(self, limit: str) -> None:
        """The phase that goes on has passed a time limit."""
        self._overdue = limit
        self.listener.status(f"not everything came in time: {limit} has passed")

    def leave_behind(self, told: str) -> None:
        """What the run has made is still on a cluster of others."""
        self._header["left_behind"] = told
        self.listener.status(told)
        self._save()

    def close(self, status: str, error: str | None = None) -> None:
        """The run has ended: ``completed``, ``broken`` or ``interrupted``."""
        self._status, self._error = status, error
        self._save()

    def _save(self) -> None:
        self._folder.write_run(
            {
                **self._header,
                "status": self._status,
                "error": self._error,
                "end_ns": self.now_ns(),
                "phases": [asdict(phase) for phase in self._phases],
                "faults": [asdict(fault) for fault in self._faults],
                "restarts": [asdict(restart) for restart in self._restarts],
            }
        )
