from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from planebench.binaries.build import missing_modules
from planebench.binaries.progress import Forecast


def test_no_estimate_without_ground() -> None:
    forecast = Forecast(1000, started_s=0)
    assert forecast.left_s(now_s=0) is None
    forecast.advance(500, now_s=1)
    assert forecast.left_s(now_s=1) is None, "one second of work says too little"
    slow = Forecast(1000, started_s=0)
    slow.advance(10, now_s=60)
    assert slow.left_s(now_s=60) is None, "one percent of the work says too little"


def test_estimate_goes_by_pace_and_counts_down() -> None:
    forecast = Forecast(1000, started_s=100)
    forecast.advance(250, now_s=110)
    assert forecast.left_s(now_s=110) == 30
    assert forecast.left_s(now_s=115) == 25
    assert forecast.left_s(now_s=200) == 0


def test_skipped_work_shortens_the_estimate() -> None:
    forecast = Forecast(1000, started_s=0)
    forecast.skip(500)
    forecast.advance(250, now_s=10)
    assert forecast.left_s(now_s=10) == 10


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e4))), st.floats(0, 1e12))
def test_estimates_are_never_negative(steps: list[tuple[float, float]], work: float) -> None:
    forecast = Forecast(work, started_s=0)
    now_s = 0.0
    for done, seconds in steps:
        now_s += seconds
        forecast.advance(done, now_s=now_s)
        left_s = forecast.left_s(now_s=now_s)
        assert left_s is None or left_s >= 0


def test_missing_modules_are_those_not_in_the_module_cache(tmp_path: Path) -> None:
    (tmp_path / "go.sum").write_text(
        "example.com/a v1.0.0 h1:x=\n"
        "example.com/a v1.0.0/go.mod h1:x=\n"
        "example.com/b v1.0.0/go.mod h1:x=\n"
        "github.com/Upper/Case v2.0.0+incompatible h1:x=\n"
    )
    module_cache = tmp_path / "mod"
    assert missing_modules(tmp_path, module_cache) == 2
    (module_cache / "github.com/!upper/!case@v2.0.0+incompatible").mkdir(parents=True)
    assert missing_modules(tmp_path, module_cache) == 1
