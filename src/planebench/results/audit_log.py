"""The API servers' audit logs, turned into a table: whose each request was, when it came and when it was done.

A line is an ``audit.k8s.io/v1`` Event (kubernetes v1.37.2, staging/src/k8s.io/apiserver/pkg/apis/audit/v1). Its
stamps are the machine's wall clock, whole microseconds; ``raw/clock.csv`` brings them onto the trial's clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from planebench.model import PlanebenchError
from planebench.stats import Values

SCHEMA: Final = pl.Schema(
    {
        "received_ns": pl.Int64(),
        "done_ns": pl.Int64(),
        "user": pl.String(),
        "user_agent": pl.String(),
        "verb": pl.String(),
        "group": pl.String(),
        "resource": pl.String(),
        "subresource": pl.String(),
        "namespace": pl.String(),
        "name": pl.String(),
        "owner": pl.String(),
        "code": pl.Int16(),
        "stage": pl.String(),
        "audit_id": pl.String(),
        "slow": pl.String(),
    }
)
CLOCK_SCHEMA: Final = pl.Schema({"t_ns": pl.Int64(), "wall_offset_ns": pl.Int64(), "width_ns": pl.Int64()})
STAMP_RESOLUTION_NS: Final = 1_000
_BATCH: Final = 50_000
_BEGINNING: Final = b'{"kind":"Event","apiVersion":"audit.k8s.io/'
_CATEGORIES: Final = ("user", "user_agent", "verb", "group", "resource", "subresource", "namespace", "stage")
_LATENCY: Final = "apiserver.latency.k8s.io/"


class _User(msgspec.Struct, gc=False):
    username: str = ""


class _Reference(msgspec.Struct, gc=False, rename="camel"):
    resource: str = ""
    namespace: str = ""
    name: str = ""
    api_group: str = ""
    subresource: str = ""


class _Status(msgspec.Struct, gc=False):
    code: int = 0


class _Owner(msgspec.Struct, gc=False):
    uid: str = ""
    controller: bool = False


class _Metadata(msgspec.Struct, gc=False, rename="camel"):
    owner_references: list[_Owner] = []


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata | None = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    stage_timestamp: datetime
    request_received_timestamp: datetime
    audit_id: str = msgspec.field(default="", name="auditID")
    stage: str = ""
    verb: str = ""
    user: _User = msgspec.field(default_factory=_User)
    user_agent: str = ""
    object_ref: _Reference | None = None
    response_status: _Status | None = None
    request_object: _Object | None = None
    annotations: dict[str, str] = {}


def convert(raw: Path, *, keep: bool = False) -> None:
    """Write ``raw/audit.parquet`` from ``raw/audit``, all API servers' logs merged by the time of receipt; nothing
    where there is no log, or the run ended before its clock was read, and so before anything was measured.

    Args:
        keep: leave the log in place, for it may still be written.

    Raises:
        PlanebenchError: the log is damaged; names its line.
    """
    folder = raw / "audit"
    logs = sorted(folder.glob("*.log"))  # what was rotated comes first: "audit-2026..." before "audit.log"
    offsets = Offsets.read(raw / "clock.csv")
    if not logs or offsets is None:
        return
    frames = [pl.DataFrame(schema=SCHEMA)]
    decoder = msgspec.json.Decoder(_Event)
    for log in logs:
        frames += [_frame(rows, offsets) for rows in _batches(log, decoder)]
    frame = pl.concat(frames).sort("received_ns", maintain_order=True)
    target = raw / "audit.parquet"
    partial = target.with_suffix(".partial")
    frame.with_columns(pl.col(_CATEGORIES).cast(pl.Categorical)).write_parquet(partial, compression="zstd")
    partial.replace(target)
    if not keep:
        for log in logs:
            log.unlink()
        folder.rmdir()


class Offsets:
    """The wall clock minus the trial's clock, as it was read through the run: linear between readings."""

    def __init__(self, readings: pl.DataFrame) -> None:
        """``readings``: as :data:`CLOCK_SCHEMA`, at least one."""
        readings = readings.sort("t_ns")
        self._base_ns = int(readings["wall_offset_ns"][0])
        self._wall_ns = (
            (readings["t_ns"] + readings["wall_offset_ns"] - self._base_ns).to_numpy().astype(np.float64)
        )
        self._offset_ns = (readings["wall_offset_ns"] - self._base_ns).to_numpy().astype(np.float64)
        self.error_ns = error_ns(readings)

    @classmethod
    def read(cls, path: Path) -> Offsets | None:
        """None where there is no whole reading."""
        try:
            whole = path.read_bytes()
            readings = pl.read_csv(whole[: whole.rfind(b"\n") + 1], schema=CLOCK_SCHEMA)
        except (OSError, pl.exceptions.PolarsError):
            return None
        return cls(readings) if readings.height else None

    def to_trial_ns(self, wall_ns: Any) -> Values:
        """Wall clock nanoseconds (an integer array) on the trial's clock."""
        since = np.asarray(wall_ns, dtype=np.int64) - self._base_ns
        shift = np.interp(since.astype(np.float64), self._wall_ns, self._offset_ns)
        found: Values = since - np.rint(shift).astype(np.int64)
        return found


def error_ns(readings: pl.DataFrame) -> int:
    """How far a stamp may be off after its conversion: half a reading's width, half the stamp's resolution, and
    what the offset changed by from one reading to the next."""
    offset = readings.sort("t_ns")["wall_offset_ns"].to_numpy()
    drift = int(np.abs(np.diff(offset)).max(initial=0))
    return int(readings["width_ns"].max() or 0) // 2 + STAMP_RESOLUTION_NS + drift  # type: ignore[arg-type]


def _batches(log: Path, decoder: msgspec.json.Decoder[_Event]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of whole lines; a torn last one is left out, and so is one that an API server was killed at: what it
    writes after its next start follows on the same line."""
    rows: list[tuple[Any, ...]] = []
    with log.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                break
            try:
                rows.append(_row(decoder.decode(line[max(line.rfind(_BEGINNING), 0) :])))
            except msgspec.MsgspecError as error:
                raise PlanebenchError(f"{log}: line {number} is damaged: {error}") from None
            if len(rows) == _BATCH:
                yield rows
                rows = []
    if rows:
        yield rows


def _row(event: _Event) -> tuple[Any, ...]:
    reference = event.object_ref or _Reference()
    status = event.response_status
    return (
        event.request_received_timestamp,
        event.stage_timestamp,
        event.user.username,
        event.user_agent,
        event.verb,
        reference.api_group,
        reference.resource,
        reference.subresource,
        reference.namespace,
        reference.name,
        _owner(event.request_object),
        status.code if status else 0,
        event.stage,
        event.audit_id,
        _slow(event.annotations),
    )


def _slow(annotations: dict[str, str]) -> str:
    """Where a request spent its time, ``etcd=1.2s ...``; the API server tells it of those of over 500 ms only."""
    told = sorted(annotations.items())
    return " ".join(f"{key.removeprefix(_LATENCY)}={value}" for key, value in told if key.startswith(_LATENCY))


def _owner(manifest: _Object | None) -> str:
    """The UID of an object's controller."""
    owners = manifest.metadata.owner_references if manifest and manifest.metadata else []
    return next((owner.uid for owner in owners if owner.controller), "")


def _frame(rows: list[tuple[Any, ...]], offsets: Offsets) -> pl.DataFrame:
    stamps = {"received_ns": pl.Datetime("us", "UTC"), "done_ns": pl.Datetime("us", "UTC")}
    frame = pl.DataFrame(rows, schema={**SCHEMA, **stamps}, orient="row")
    return frame.with_columns(
        pl.Series(name, offsets.to_trial_ns(frame[name].dt.timestamp("us").to_numpy() * 1000), dtype=pl.Int64)
        for name in stamps
    )
