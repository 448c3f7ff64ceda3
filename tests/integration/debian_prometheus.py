"""Debian's Prometheus, scraping the components of a cluster that planebench has started."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from planebench.cluster.local import LocalCluster

PATIENCE_S = 60.0
PERIOD_S = 2


@contextmanager
def prometheus(cluster: LocalCluster, folder: Path) -> Iterator[str]:
    """Its URL, once it has scraped every component."""
    program = _program(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps({"global": {"scrape_interval": f"{PERIOD_S}s"}, "scrape_configs": _jobs(cluster)})
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        url = f"http://{address}"
        _wait_for(url, process, folder / "prometheus.log")
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _jobs(cluster: LocalCluster) -> list[object]:
    jobs: list[object] = []
    for running in cluster.processes:
        endpoint = running.metrics
        if endpoint is None or running.component not in ("etcd", "kube-scheduler", "kube-controller-manager"):
            continue
        tls: dict[str, object] = {"insecure_skip_verify": True} if endpoint.ca is None else {}
        if endpoint.ca is not None:
            tls["ca_file"] = str(endpoint.ca)
        if endpoint.identity is not None:
            tls |= {
                "cert_file": str(endpoint.identity.certificate),
                "key_file": str(endpoint.identity.key),
            }
        scheme, _, rest = endpoint.url.partition("://")
        jobs.append(
            {
                "job_name": f"a-job-of-{len(jobs)}",  # components are not told by their jobs' names
                "scheme": scheme,
                "tls_config": tls,
                "static_configs": [{"targets": [rest.partition("/")[0]], "labels": {"team": "platform"}}],
            }
        )
    return jobs


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            with opener.open(f"{url}/api/v1/query?query=sum(up)", timeout=2) as answer:
                result = json.load(answer)["data"]["result"]
            if result and float(result[0]["value"][1]) == 3:
                return
        except OSError:
            pass
        time.sleep(0.2)
    pytest.fail(f"Prometheus does not scrape: {log.read_text()[-800:]}")


def _program(folder: Path) -> str:
    """Taken out of Debian's package where it is not installed: nothing is installed for a test."""
    found = shutil.which("prometheus")
    if found:
        return found
    if shutil.which("apt-get") is None:
        pytest.fail("these tests need prometheus: install it, or leave them out with `pytest -m 'not prometheus'`")
    place = folder / "package"
    place.mkdir()
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "download", "-qq", "prometheus"],
    ):
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.fail(f"prometheus is not there, and cannot be fetched: {done.stderr.strip()[-500:]}")
    [package] = place.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, place], check=True, timeout=60)
    return str(place / "usr" / "bin" / "prometheus")
