"""Real components serve what is read of them, and in the form that has native histograms."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from planebench.cluster.local import LocalCluster
from planebench.observe.scrapes import MetricsScraper
from planebench.planes import load_plane
from planebench.results import RunFolder
from planebench.slis.exposition import parse
from planebench.slis.families import figures_of
from planebench.slis.prometheus import Between


@pytest.mark.kubevirt
async def test_every_metric_is_served(kubevirt: LocalCluster, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    scraper = MetricsScraper(lambda: kubevirt.processes, folder.scrapes, time.monotonic_ns())
    await scraper.scrape("now")
    entries = folder.scrape_index()
    plane = load_plane("kubevirt")
    assert {entry.process for entry in entries} == {process.name for process in kubevirt.processes}
    for entry in entries:
        assert (entry.error, entry.format) == (None, "protobuf")
        found = parse(folder.scrape(entry), [".*"], protobuf=True)
        figures = figures_of(entry.component, plane)
        assert figures.missing(Between(found, found, 1.0)) == [], entry.component
        if entry.component == "kube-apiserver":
            assert "apiserver_request_duration_seconds" in found.natives
