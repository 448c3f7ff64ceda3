"""A ``go`` for tests: a shell script that answers like Go and builds text files in no time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

_SCRIPT = """\
#!/bin/sh
here='{home}'
printf '%s\\n' "$*" >>"$here/calls"
env >"$here/environment"
if [ -e "$here/$1.fails" ]; then cat "$here/$1.fails" >&2; exit 1; fi
case "$1" in
env) cat "$here/env.json" ;;
list)
    for module in one two three; do echo "go: downloading example.com/$module v1.0.0" >&2; done
    cat "$here/packages"
    ;;
mod)
    case "$2 $3" in
    "download -json") cat "$here/module.json" ;;
    "edit -json") cat "$here/upstream.json" ;;
    esac
    ;;
build)
    while [ "$1" != -o ]; do shift; done
    out=$2
    shift 2
    cut -f 1 "$here/packages" >&2
    for package in "$@"; do
        name=${{package##*/}}
        case $name in v[0-9]) name=${{package%/*}}; name=${{name##*/}} ;; esac
        printf 'half of it' >"$out/$name"
        echo $$ >"$here/building"
        while [ -e "$here/build.hangs" ]; do sleep 0.01; done
        printf '#!/bin/sh\\necho %s\\n' "$package" >"$out/$name"
        chmod +x "$out/$name"
    done
    ;;
esac
"""


class FakeGo:
    """Lies at ``bin_dir / "go"``; what it says and does is set by files in its folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin_dir = home / "root" / "bin"
        self.bin_dir.mkdir(parents=True)
        go = self.bin_dir / "go"
        go.write_text(_SCRIPT.format(home=home))
        go.chmod(0o755)
        self.settings = {
            "GOROOT": str(home / "root"),
            "GOVERSION": "go1.26.8",
            "GOHOSTOS": "linux",
            "GOHOSTARCH": "amd64",
            "GOAMD64": "v1",
            "GOFLAGS": "",
            "GOCACHE": str(home / "gocache"),
            "GOPATH": str(home / "gopath"),
            "GOMODCACHE": str(home / "gopath" / "pkg" / "mod"),
        }
        self.set()
        source = home / "source.go"
        source.write_text("package p\n" * 1000)
        self.packages("fmt", "example.com/a", "example.com/b")

    def set(self, **settings: str) -> None:
        """Changes what ``go env`` says."""
        self.settings |= settings
        (self.home / "env.json").write_text(json.dumps(self.settings))

    def packages(self, *import_paths: str, stale_reason: str = "build ID mismatch") -> None:
        """Sets what the components are made of, besides a main package of each graph's own."""
        lines = [f"{path}\t\tp\t{stale_reason}\t3\t{self.home}\tsource.go\n" for path in import_paths]
        lines.append(f"example.com/cmd\tv1.0.0\tmain\tbuild ID mismatch\t9\t{self.home}\tsource.go\n")
        (self.home / "packages").write_text("".join(lines))

    def module(self, source: Path, **upstream: object) -> None:
        """Sets what ``go mod`` says: where a module's source lies, and what its ``go.mod`` holds."""
        (self.home / "module.json").write_text(json.dumps({"Dir": str(source), "GoMod": str(source / "go.mod")}))
        (self.home / "upstream.json").write_text(json.dumps(upstream))

    def fail(self, command: str, words: str) -> None:
        """Makes one command fail with these last words."""
        (self.home / f"{command}.fails").write_text(words)

    def hang(self) -> None:
        """Makes builds stop before their end, until ``go_on``."""
        (self.home / "build.hangs").touch()

    def go_on(self) -> None:
        (self.home / "build.hangs").unlink()

    @property
    def building_pid(self) -> int | None:
        """The process of the build that was begun last."""
        try:
            return int((self.home / "building").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def calls(self, command: str) -> list[str]:
        """The argument lines of all runs of one command."""
        try:
            lines = (self.home / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if line.split()[0] == command]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the last run."""
        lines = (self.home / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether the condition came true within ten seconds."""
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False
