"""Wheel and sdist, away from the clone: what they hold, and a whole run of what is installed from them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
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


@pytest.fixture(scope="module")
def command(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a fresh environment, by the wheel that pip builds of the sdist.

    What planebench depends on comes from this environment, planebench itself does not: a path among its sites does
    not bring along what is installed for editing there.
    """
    [sdist] = packages.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("-q", "--no-deps", "--no-build-isolation", "--ignore-installed")
    subprocess.run([python, "-m", "pip", "install", *options, sdist], cwd=folder, check=True, timeout=120)
    return folder / "venv" / "bin" / "planebench"


def run(command: Path, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PLANEBENCH_CACHE": str(default_dir()), "PLANEBENCH_STATE": str(folder / "state")}
    return subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_wheel_and_sdist_hold_the_same_package(packages: Path, command: Path) -> None:
    [wheel], [sdist] = packages.glob("*.whl"), packages.glob("*.tar.gz")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("planebench/")}
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/src/")[2] for name in archive.getnames() if "/src/planebench/" in name}
    assert held == sources
    assert "planebench/py.typed" in held
    installed = next(command.parent.parent.glob("lib*/python*/site-packages/planebench"))
    missing = [name for name in held if not (installed.parent / name).is_file()]
    assert not missing


def test_a_run_of_what_is_installed(command: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [command.with_name("python"), "-c", "import planebench; print(planebench.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(command.parent.parent), "not the clone's"
    listed = run(command, tmp_path, "scenarios")
    assert all(name in listed.stdout for name in builtin_names()), listed.stderr
    planned = run(command, tmp_path, "run", "kubevirt-density", "--dry-run")
    assert "creation" in planned.stdout, planned.stderr
    done = run(command, tmp_path, "run", "smoke", "--out", "run", "--nodes", "2", "--set", "workload.count=4")
    assert done.returncode in (0, 3), done.stderr
    assert "4 up" in done.stdout
    assert (tmp_path / "run" / "report.html").stat().st_size > 100_000, "with its script and styles"


def test_the_example_of_a_scenario_in_python(command: Path, tmp_path: Path) -> None:
    program = tmp_path / "scenario.py"
    shutil.copyfile(ROOT / "examples" / "scenario.py", program)
    done = run(command.with_name("python"), tmp_path, "-W", "error", program, "my-run")
    assert done.returncode == 0, done.stderr
    assert "creation.startup" in done.stdout
    assert "PASS" in done.stdout
