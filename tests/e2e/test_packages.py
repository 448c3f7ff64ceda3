"""Wheel and sdist, installed into a fresh environment, away from the clone."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from planebench.binaries.cache import default_dir
from planebench.scenario import builtin_names

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, timeout=120)
    return folder


def installed(package: Path, folder: Path) -> Path:
    """The command of a fresh environment. What planebench depends on comes from this one, planebench itself not: a
    path does not bring along what is installed for editing there."""
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("-q", "--no-deps", "--no-build-isolation", "--ignore-installed")
    subprocess.run([python, "-m", "pip", "install", *options, package], cwd=folder, check=True, timeout=120)
    return folder / "venv" / "bin" / "planebench"


def run(command: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PLANEBENCH_CACHE"] = str(default_dir())
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(params=["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def command(request: pytest.FixtureRequest, packages: Path, tmp_path: Path) -> Path:
    [package] = packages.glob(request.param)
    return installed(package, tmp_path)


def test_a_package_holds_what_is_needed(command: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [command.with_name("python"), "-c", "import planebench; print(planebench.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(tmp_path), "not the clone's"
    listed = run(command, tmp_path, "scenarios")
    assert listed.returncode == 0, listed.stderr
    assert all(name in listed.stdout for name in builtin_names())
    for name in ("pod-density", "kubevirt-density"):
        planned = run(command, tmp_path, "run", name, "--dry-run")
        assert planned.returncode == 0, planned.stderr
        assert "creation" in planned.stdout


def test_a_package_runs(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "run", "smoke", "--out", "run", "--nodes", "2", "--set", "workload.count=4")
    assert done.returncode in (0, 3), done.stderr
    assert "4 up" in done.stdout
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000, "with its script and styles"
