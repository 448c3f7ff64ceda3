"""Binaries out of official images, from a registry on loopback that can lie."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_go import FakeGo
from fake_registry import FakeRegistry
from oci import Layout, elf, image, layer

from planebench.binaries import Sources, cached, resolve
from planebench.binaries import image as images
from planebench.binaries.registry import ImageUnavailableError, Registry
from planebench.model import ComponentError, UsageError

PATH = "usr/local/bin/kwok"
BINARY = elf(content=b"kwok")
IMAGE_ONLY = Sources(("image",))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    monkeypatch.setattr(images, "local_platform", lambda: "linux/amd64")
    monkeypatch.setattr("planebench.binaries.cache.local_platform", lambda: "linux/amd64")
    with FakeRegistry() as registry:
        monkeypatch.setenv("PLANEBENCH_REGISTRY", registry.address)
        yield registry


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    go = FakeGo(tmp_path / "go")
    monkeypatch.setenv("PATH", f"{go.bin_dir}:/usr/bin:/bin")
    return go


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def serve(registry: FakeRegistry, content: Layout, tag: str = "v0.8.0") -> None:
    registry.images[f"kwok/kwok:{tag}"] = content


def pulled(cache: Path) -> bytes:
    return resolve(["kwok"], sources=IMAGE_ONLY, cache_dir=cache)["kwok"].path.read_bytes()


def refused(cache: Path) -> str:
    """The error; nothing may be left in the cache."""
    with pytest.raises(ComponentError) as caught:
        resolve(["kwok"], sources=IMAGE_ONLY, cache_dir=cache)
    assert not list((cache / "binaries").glob("*"))
    assert not list((cache / "building").glob("*"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what goes well --------------------------------------------------------------------------------------------


def test_an_image_is_taken_before_a_build_and_kept(go: FakeGo, registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({"etc/os-release": b"x"}), layer({PATH: BINARY})))
    artifact = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert artifact.source == "image"
    assert artifact.path.read_bytes() == BINARY
    assert artifact.image.startswith(f"{registry.address}/kwok/kwok@sha256:")
    assert artifact.reason == f"not in the cache; official image {artifact.image}"
    assert go.calls("build") == []
    asked = len(registry.asked)

    kept = resolve(["kwok"], cache_dir=cache)["kwok"]
    assert (kept.source, kept.image) == ("cache", artifact.image)
    assert kept.reason == f"kept since it was pulled from {artifact.image}"
    assert len(registry.asked) == asked


def test_only_the_layers_that_it_takes_are_downloaded(registry: FakeRegistry, cache: Path) -> None:
    lower = layer({"big": b"x" * 1000})
    content = image(lower, layer({PATH: BINARY}))
    serve(registry, content)
    pulled(cache)
    assert sum("/blobs/" in path for path in registry.asked) == 1


def test_another_version_is_another_image(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: elf(content=b"old")})), tag="v0.7.0")
    artifact = resolve(["kwok"], versions={"kwok": "0.7.0"}, sources=IMAGE_ONLY, cache_dir=cache)["kwok"]
    assert artifact.version == "v0.7.0"
    assert artifact.path.read_bytes() == elf(content=b"old")
    assert cached(["kwok"], cache_dir=cache) == {"kwok": None}


def test_an_image_without_an_index(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: BINARY}), index=False))
    assert pulled(cache) == BINARY


def test_the_platform_is_chosen(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: BINARY}), platforms=("linux/arm64", "linux/amd64", "unknown/unknown")))
    assert pulled(cache) == BINARY


def test_tokens_are_fetched_and_not_sent_elsewhere(registry: FakeRegistry, cache: Path) -> None:
    registry.token, registry.redirect = "let-me-in", True
    serve(registry, image(layer({PATH: BINARY})))
    assert pulled(cache) == BINARY
    assert "/token?scope=repository%3Akwok%2Fkwok%3Apull&service=here" in registry.asked
    assert not registry.authorized_elsewhere


def test_a_mirror_may_have_a_prefix(registry: FakeRegistry, cache: Path) -> None:
    registry.images["mirror/kwok/kwok:v0.8.0"] = image(layer({PATH: BINARY}))
    sources = Sources(("image",), registry=f"{registry.address}/mirror")
    artifact = resolve(["kwok"], sources=sources, cache_dir=cache)["kwok"]
    assert artifact.image.startswith(f"{registry.address}/mirror/kwok/kwok@")


# --- layers ------------------------------------------------------------------------------------------------------


def test_the_topmost_layer_wins(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: elf(content=b"old")}), layer({f"./{PATH}": BINARY}), layer({"x": b""})))
    assert pulled(cache) == BINARY


@pytest.mark.parametrize(
    "whiteout",
    ["usr/local/bin/.wh.kwok", "usr/local/.wh.bin", ".wh.usr", "usr/local/bin/.wh..wh..opq", "usr/.wh..wh..opq"],
)
def test_what_a_layer_deletes_is_gone(registry: FakeRegistry, cache: Path, whiteout: str) -> None:
    serve(registry, image(layer({PATH: BINARY}), layer({whiteout: b""})))
    assert "has no usr/local/bin/kwok" in refused(cache)


def test_a_whiteout_is_about_lower_layers_alone(registry: FakeRegistry, cache: Path) -> None:
    serve(
        registry,
        image(layer({PATH: elf(content=b"old")}), layer({"usr/local/bin/.wh..wh..opq": b"", PATH: BINARY})),
    )
    assert pulled(cache) == BINARY


@pytest.mark.parametrize(
    "links",
    [
        {PATH: "../../../opt/kwok"},
        {PATH: "/opt/kwok"},
        {"usr/local/bin": "/bins", "bins/kwok": "../opt/kwok"},
    ],
)
def test_links_are_followed(registry: FakeRegistry, cache: Path, links: dict[str, bytes | str]) -> None:
    serve(registry, image(layer({"opt/kwok": BINARY}), layer(links)))
    assert pulled(cache) == BINARY


def test_links_in_a_circle_end(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: "other", "usr/local/bin/other": "kwok"})))
    assert "has no usr/local/bin/kwok" in refused(cache)


# --- what goes wrong ---------------------------------------------------------------------------------------------


def test_no_such_image_falls_through_to_the_build_with_one_line(
    go: FakeGo, registry: FakeRegistry, cache: Path
) -> None:
    notes: list[str] = []
    artifact = resolve(["kwok"], cache_dir=cache, on_note=notes.append)["kwok"]
    assert artifact.source == "go build"
    reason = f"image {registry.address}/kwok/kwok:v0.8.0: {registry.address} says 404 Not Found"
    assert artifact.reason == f"not in the cache; {reason}"
    assert notes == [f"no official image, so it is built: {reason}"]


def test_a_registry_that_does_not_answer_is_asked_once(go: FakeGo, cache: Path) -> None:
    notes: list[str] = []
    built = resolve(
        ["kube-apiserver", "kube-scheduler"],
        sources=Sources(registry="127.0.0.1:1"),
        cache_dir=cache,
        on_note=notes.append,
    )
    assert {artifact.source for artifact in built.values()} == {"go build"}
    assert notes == ["no official image, so it is built: 127.0.0.1:1 cannot be reached: Connection refused"]


def test_a_registry_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planebench.binaries.registry._REACHABLE_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = Registry(f"127.0.0.1:{silent.getsockname()[1]}")
        for _ in range(2):
            with pytest.raises(ImageUnavailableError, match=r"does not answer within 0\.05 s|timed out"):
                registry.demand_reachable()


def test_an_image_that_is_demanded_is_not_replaced_by_a_build(
    go: FakeGo, registry: FakeRegistry, cache: Path
) -> None:
    words = refused(cache)
    assert "says 404 Not Found; allow other sources with --source" in words
    assert go.calls("build") == []


def test_a_login_is_not_attempted(registry: FakeRegistry, cache: Path) -> None:
    registry.basic = True
    assert "wants a login, and planebench pulls without one" in refused(cache)


def test_another_platform(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: BINARY}), platforms=("linux/arm64", "linux/s390x")))
    assert "is not for linux/amd64: it has linux/arm64, linux/s390x" in refused(cache)
    serve(registry, image(layer({PATH: BINARY}), platforms=("linux/arm64",), index=False))
    assert "is not for linux/amd64: it is for linux/arm64" in refused(cache)


@pytest.mark.parametrize(
    ("binary", "words"),
    [
        (elf(machine=183), "is a binary for arm64, not for linux/amd64"),
        (elf(interpreted=True), "is not static"),
        (b"#!/bin/sh\n", "is no 64-bit Linux binary"),
    ],
)
def test_a_binary_that_cannot_run_here(registry: FakeRegistry, cache: Path, binary: bytes, words: str) -> None:
    serve(registry, image(layer({PATH: binary})))
    assert words in refused(cache)


def test_no_such_binary_in_the_image(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({"usr/bin/other": BINARY, PATH + "/": b""})))
    serve(registry, image(layer({"usr/bin/other": BINARY})))
    assert f"kwok/kwok:v0.8.0 has no {PATH}" in refused(cache)


def test_a_layer_that_is_not_what_its_digest_says_stops_even_where_a_build_could_follow(
    go: FakeGo, registry: FakeRegistry, cache: Path
) -> None:
    content = image(layer({PATH: BINARY}))
    serve(registry, content)
    digest, data = next(iter(content.blobs.items()))
    content.blobs[digest] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ComponentError, match=r"its content has the digest sha256:\w+: do not trust this registry"):
        resolve(["kwok"], cache_dir=cache)
    assert not list((cache / "binaries").glob("*"))
    assert go.calls("build") == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-7], "bytes; try again"),
        (lambda data: data + b"more", "has more than its"),
        (lambda data: b"x" * len(data), "do not trust this registry"),
    ],
)
def test_damaged_layers(registry: FakeRegistry, cache: Path, change: object, words: str) -> None:
    assert callable(change)
    content = image(layer({PATH: BINARY}))
    serve(registry, content)
    digest, data = next(iter(content.blobs.items()))
    content.blobs[digest] = change(data)
    assert words in refused(cache)


@pytest.mark.parametrize("data", [b"no archive at all", layer({PATH: BINARY * 100})[:-40]])
def test_a_layer_with_the_right_digest_that_is_no_archive(
    registry: FakeRegistry, cache: Path, data: bytes
) -> None:
    serve(registry, image(data))
    assert "is damaged" in refused(cache)


def test_a_disk_that_is_full(registry: FakeRegistry, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    serve(registry, image(layer({PATH: BINARY})))
    monkeypatch.setattr("shutil.copyfileobj", full)
    assert f"cannot write the cache folder {cache}: No space left on device; choose another" in refused(cache)


def test_a_compression_that_cannot_be_read(registry: FakeRegistry, cache: Path) -> None:
    serve(registry, image(layer({PATH: BINARY}), media_type="application/vnd.oci.image.layer.v1.tar+zstd"))
    assert "compressed by zstd" in refused(cache)


def test_a_manifest_that_is_not_what_its_digest_says(registry: FakeRegistry, cache: Path) -> None:
    content = image(layer({PATH: BINARY}))
    serve(registry, content)
    content.blobs[content.top] += b" "
    assert "the manifest's digest is sha256:" in refused(cache)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"<html>", "is no JSON document"),
        (b"[]", "is no JSON document"),
        (b'{"mediaType": "text/plain"}', "unknown type text/plain"),
        (json.dumps({"mediaType": "application/vnd.oci.image.index.v1+json"}).encode(), "has no manifests"),
    ],
)
def test_nonsense_for_a_manifest(registry: FakeRegistry, cache: Path, manifest: bytes, words: str) -> None:
    content = Layout()
    content.top = content.add(manifest)
    serve(registry, content)
    assert words in refused(cache)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.com", "http is for this machine alone"),
        ("ftp://example.com", "expected HOST"),
        ("exam ple.com", "expected HOST"),
        ("", "expected HOST"),
    ],
)
def test_addresses_that_are_none(address: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Registry(address)
