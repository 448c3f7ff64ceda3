"""A scenario in Python: made, run on a control plane of its own, and read as frames.

python examples/scenario.py my-run
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import polars as pl

from planebench import frames
from planebench.run import run
from planebench.scenario import SLO, Bound, NodePool, ObjectKind, Scenario, Workload, with_nodes

# Every field has the name and the meaning that docs/scenarios.md gives it; wrong ones are refused as in a file.
SCENARIO = Scenario(
    api_version="planebench.dev/v1",
    name="from-python",
    nodes=(NodePool(count=2, capacity={"cpu": "8", "memory": "16Gi", "pods": "20"}),),
    workload=Workload(count=10, objects=(ObjectKind(template="pod"),)),
    slos=(SLO(sli="creation.startup", percentile=99, max=Bound(5.0, "s")),),
)


async def main(out: Path) -> None:
    await run(with_nodes(SCENARIO, 3), out)
    found = frames.read(out)
    startup = found["rows"].filter(pl.col("sli") == "creation.startup")
    print(startup.select("n", "p50", "p99", "max"))
    print(found["slos"].select("sli", "verdict", "reason"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
