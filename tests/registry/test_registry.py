"""Components out of images in a real registry: what planebench pulls is what a standard tool pushed."""

import subprocess
from pathlib import Path

import pytest
from image_registry import ImageRegistry
from oci import Layout, elf, image, layer

from planebench import binaries
from planebench.binaries import Sources
from planebench.binaries.image import local_platform
from planebench.model import ComponentError

ETCD = "usr/local/bin/etcd"
LOADER = elf(machine=62 if local_platform().endswith("amd64") else 183)


def pull(
    registry: ImageRegistry, version: str, cache: Path, *sources: binaries.sources.Origin
) -> binaries.Artifact:
    chosen = Sources(sources or ("image",), registry=registry.address)
    return binaries.resolve(["etcd"], versions={"etcd": version}, sources=chosen, cache_dir=cache)["etcd"]


def push(registry: ImageRegistry, content: Layout, version: str, folder: Path) -> None:
    registry.push(content, f"coreos/etcd:v{version}", folder / f"layout-{version}")


def refused(registry: ImageRegistry, version: str, cache: Path) -> str:
    with pytest.raises(ComponentError) as caught:
        pull(registry, version, cache)
    assert not list((cache / "binaries").glob("*"))
    assert not list((cache / "building").glob("*"))
    return str(caught.value)


def test_a_real_binary_comes_out_as_it_went_in(registry: ImageRegistry, tmp_path: Path) -> None:
    built = binaries.resolve(["etcd"], sources=Sources(("cache", "go")))["etcd"]
    content = image(
        layer({"etc/os-release": b"NAME=test\n"}),
        layer({ETCD: built.path.read_bytes(), "usr/local/bin/etcdctl": b"other"}),
        layer({"var/etcd/.keep": b""}),
        platforms=(local_platform(), "linux/s390x"),
    )
    push(registry, content, built.version.removeprefix("v"), tmp_path)

    found = pull(registry, built.version, tmp_path / "cache")
    assert found.source == "image"
    assert found.sha256 == built.sha256
    assert found.image.startswith(f"{registry.address}/coreos/etcd@sha256:")
    told = subprocess.check_output([found.path, "--version"], text=True)
    assert f"etcd Version: {built.version.removeprefix('v')}" in told
    assert pull(registry, built.version, tmp_path / "cache", "cache").source == "cache"


def test_a_damaged_blob_leaves_nothing(registry: ImageRegistry, tmp_path: Path) -> None:
    content = image(layer({ETCD: LOADER}), platforms=(local_platform(),))
    push(registry, content, "3.6.1", tmp_path)
    blob = registry.blob(next(iter(content.blobs)))
    sound = blob.read_bytes()
    blob.write_bytes(b"x" * len(sound))
    assert "do not trust this registry" in refused(registry, "3.6.1", tmp_path / "cache")
    blob.write_bytes(sound[:-5])
    assert f"ends after {len(sound) - 5:,} of {len(sound):,} bytes; try again" in refused(
        registry, "3.6.1", tmp_path / "cache"
    )
    blob.write_bytes(sound)
    assert pull(registry, "3.6.1", tmp_path / "cache").path.read_bytes() == LOADER


def test_images_that_do_not_serve(registry: ImageRegistry, tmp_path: Path) -> None:
    push(registry, image(layer({ETCD: LOADER}), platforms=("linux/s390x",)), "3.6.2", tmp_path)
    assert f"is not for {local_platform()}: it has linux/s390x" in refused(registry, "3.6.2", tmp_path / "cache")
    push(registry, image(layer({"bin/sh": b""}), platforms=(local_platform(),)), "3.6.3", tmp_path)
    assert f"has no {ETCD}" in refused(registry, "3.6.3", tmp_path / "cache")
    assert "says 404 Not Found" in refused(registry, "3.6.4", tmp_path / "cache")
