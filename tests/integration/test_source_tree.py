"""One's own source tree, for real: etcd's released one with one line changed."""

import json
import shutil
import subprocess
from pathlib import Path

from planebench import binaries
from planebench.binaries import Sources, toolchain
from planebench.binaries.component import spec


def released(cache: Path) -> Path:
    """Where Go's module cache has etcd's source."""
    etcd = spec("etcd")
    chosen = toolchain.find(etcd.module_dir, cache)
    argv = [str(chosen.go), "mod", "download", "-json", f"{etcd.module}@{etcd.version}"]
    answer = subprocess.run(
        argv, cwd=etcd.module_dir, env=dict(chosen.environment), capture_output=True, check=True
    )
    return Path(json.loads(answer.stdout)["Dir"])


def test_a_changed_line_is_in_the_binary(tmp_path: Path) -> None:
    tree = tmp_path / "my etcd"
    shutil.copytree(released(tmp_path), tree)
    for path in (tree, *tree.rglob("*")):  # the module cache is read-only
        path.chmod(0o755 if path.is_dir() else 0o644)
    source = tree / "etcdmain/config.go"
    text = source.read_text()
    assert '"etcd Version: %s' in text
    source.write_text(text.replace('"etcd Version: %s', '"my etcd Version: %s'))

    sources = Sources(("cache", "go"), trees={"etcd": tree})
    built = binaries.resolve(["etcd"], sources=sources, cache_dir=tmp_path / "cache")["etcd"]
    assert built.source == "go build"
    assert built.reason == f"not in the cache; built from {tree}"
    told = subprocess.check_output([built.path, "--version"], text=True)
    assert told.startswith(f"my etcd Version: {spec('etcd').version.removeprefix('v')}")
    again = binaries.resolve(["etcd"], sources=sources, cache_dir=tmp_path / "cache")["etcd"]
    assert (again.source, again.sha256) == ("cache", built.sha256)
