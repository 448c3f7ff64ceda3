"""A made-up run that was traced: every write of the API server's audit log is chosen, so every part is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from synthetic_run import SyntheticRun, ns

from planebench.components.audit import audit_id
from planebench.results.audit_log import CLOCK_SCHEMA, SCHEMA

RUN_ID = "synthetic-1"
CLOCK = [(0, 10**18, 200), (10**12, 10**18, 400)]
SCHEDULER = "system:kube-scheduler"
SIMULATOR = "planebench:simulator"
LOAD = "planebench:load"


@dataclass
class AuditLog:
    """Rows of ``raw/audit.parquet``; times are seconds on the trial's clock."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self,
        received_s: float,
        done_s: float,
        user: str,
        verb: str,
        resource: str,
        name: str = "",
        *,
        subresource: str = "",
        group: str = "",
        owner: str = "",
        code: int = 200,
        stage: str = "ResponseComplete",
        audit: str = "server-made",
        agent: str = "",
    ) -> None:
        self.rows.append(
            {
                "received_ns": ns(received_s),
                "done_ns": ns(done_s),
                "user": user,
                "user_agent": agent or f"{user.rpartition(':')[2]}/v1 (linux)",
                "verb": verb,
                "group": group,
                "resource": resource,
                "subresource": subresource,
                "namespace": "planebench-0",
                "name": name,
                "owner": owner,
                "code": code,
                "stage": stage,
                "audit_id": audit,
                "slow": "",
            }
        )

    def pod(
        self, operation: int, name: str, due_s: float, bound_s: float, up_s: float, *, named: bool = True
    ) -> None:
        """A pod's creation, binding and status; each is in the API server's hands for a millisecond."""
        audit = f"{audit_id(RUN_ID)}-creation-{operation}" if named else "server-made"
        self.add(due_s + 0.0004, due_s + 0.0014, LOAD, "create", "pods", name, code=201, audit=audit)
        self.add(bound_s - 0.001, bound_s, SCHEDULER, "create", "pods", name, subresource="binding", code=201)
        self.add(up_s - 0.0015, up_s - 0.0005, SIMULATOR, "patch", "pods", name, subresource="status")

    def write(self, run: Path) -> None:
        frame = pl.DataFrame(self.rows, schema=SCHEMA)
        categories = [pl.col(name).cast(pl.Categorical) for name in ("user", "verb", "resource", "subresource")]
        frame.with_columns(categories).write_parquet(run / "raw" / "audit.parquet")
        pl.DataFrame(CLOCK, schema=CLOCK_SCHEMA, orient="row").write_parquet(run / "raw" / "clock.parquet")


def audited(run: SyntheticRun, *, named: bool = True) -> AuditLog:
    """The log that a run of pods (``synthetic_run.pods``) would have left."""
    log = AuditLog()
    reached: dict[str, dict[str, float]] = {}
    for item in run.milestones:
        name = run.objects[item["object"]]["name"]
        reached.setdefault(name, {}).setdefault(item["milestone"], item["t_ns"] / 1e9)
    creations = [request for request in run.requests if request["phase"] == "creation"]
    for operation, request in enumerate(creations):
        times = reached.get(request["name"], {})
        if "running" in times:
            due_s = request["due_ns"] / 1e9
            log.pod(operation, request["name"], due_s, times["scheduled"], times["running"], named=named)
    return log
