"""Starts Debian's docker-registry, and pushes into it with skopeo."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from oci import Layout

PROGRAMS = ("docker-registry", "skopeo")
PATIENCE_S = 30.0


@dataclass(frozen=True)
class ImageRegistry:
    address: str
    storage: Path

    def push(self, image: Layout, name: str, folder: Path) -> None:
        """Pushes an image, for all its platforms; ``folder`` is a new one for its layout."""
        image.write(folder)
        subprocess.run(
            [
                "skopeo",
                "copy",
                "--quiet",
                "--all",
                "--insecure-policy",
                "--dest-tls-verify=false",
                f"oci:{folder}",
                f"docker://{self.address}/{name}",
            ],
            check=True,
            timeout=120,
        )

    def blob(self, digest: str) -> Path:
        """Where the registry keeps a blob."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageRegistry]:
    """An empty registry."""
    _demand_programs()
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        _wait_for(f"http://{address}/v2/", process, folder / "log")
        yield ImageRegistry(address, folder / "storage")
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with opener.open(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"docker-registry does not answer: {log.read_text()[-500:]}")


def _demand_programs() -> None:
    """On Debian they are installed where they are missing and we may."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
            done = subprocess.run(
                ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=600, check=False
            )
            if done.returncode:
                pytest.fail(
                    f"{missing} are missing, and apt-get {command[0]} failed: {done.stderr.strip()[-500:]}"
                )
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.fail(
            f"these tests need {' and '.join(missing)}: install Debian's packages of these names, or leave them "
            "out with `pytest -m 'not registry'`"
        )
