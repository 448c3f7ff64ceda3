"""A run's creations over time, and how long its pods took: polars and plotly, cell by cell as in a notebook.

pip install planebench plotly
python examples/plot_run.py my-run plots.html
"""

# %% Read a run
from __future__ import annotations

import sys
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from planebench import frames

run, out = (Path(argument) for argument in sys.argv[1:3])
tables = frames.read(run)

# %% Creations: how long the API server took, by when they were due
creations = (
    tables["requests"]
    .filter((pl.col("stage") == "creation") & (pl.col("verb") == "create") & (pl.col("done_ns") >= 0))
    .with_columns(
        due_s=pl.col("due_ns") / 1e9,
        response_ms=(pl.col("done_ns") - pl.col("due_ns")) / 1e6,
    )
    .sort("due_s")
)

# %% Pods: from the first sight of each to each of its milestones
seen = tables["milestones"].join(tables["objects"], on=["run", "object"])
first = seen.filter(pl.col("milestone") == "added").select("object", added_ns="t_ns")
ways = (
    seen.filter((pl.col("watch") == "pods") & pl.col("milestone").is_in(["scheduled", "running"]))
    .join(first, on="object")
    .with_columns(took_ms=(pl.col("t_ns") - pl.col("added_ns")) / 1e6)
    .sort("took_ms")
)

# %% CPU of each process, by the second
samples = tables["samples"].sort("process", "t_ns")
cpu = samples.with_columns(
    cores=pl.col("cpu_s").diff().over("process") / (pl.col("t_ns").diff().over("process") / 1e9)
).drop_nulls("cores")

# %% Draw them
figure = make_subplots(
    rows=3, cols=1, subplot_titles=("Creation: response, ms", "Pods: share that took at most, ms", "CPU, cores")
)
figure.add_trace(
    go.Scatter(x=creations["due_s"], y=creations["response_ms"], mode="markers", name="create"), row=1, col=1
)
for (milestone,), way in ways.group_by("milestone", maintain_order=True):
    share = [(number + 1) / way.height for number in range(way.height)]
    figure.add_trace(go.Scatter(x=way["took_ms"], y=share, name=str(milestone)), row=2, col=1)
for (process,), used in cpu.group_by("process", maintain_order=True):
    figure.add_trace(go.Scatter(x=used["t_ns"] / 1e9, y=used["cores"], name=str(process)), row=3, col=1)
[line] = tables["runs"].to_dicts()
figure.update_layout(title=f"{line['scenario']}: {line['verdict'] or 'no verdict'}", height=1000)
figure.write_html(out)
print(f"{creations.height} creations, {ways['object'].n_unique()} pods: {out}")
