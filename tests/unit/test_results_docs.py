"""docs/results.md agrees with the code."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from synthetic_run import looked_at, pods

from planebench import slis, verdict
from planebench.model import ExitCode
from planebench.report import json as report_json
from planebench.results.document import Finding, Lateness, Result
from planebench.results.tables import SCHEMAS

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, heading
    return re.split(r"\n#+ ", rest, maxsplit=1)[0]


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head."""
    lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_reference_is_the_code_s() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "results_reference.py"))
    page: str = tool["page"]()
    assert page == PAGE, "run python tools/results_reference.py"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_told(name: str) -> None:
    told = [(cells[0].strip("`"), cells[1]) for cells in table(f"### raw/{name}.parquet")]
    assert told == [(column, str(kind)) for column, kind in SCHEMAS[name].items()]
    for column, *_ in told:
        unit = next(
            cells[2].strip("| ") for cells in table(f"### raw/{name}.parquet") if cells[0] == f"`{column}`"
        )
        for suffix, wanted in (("_ns", "ns"), ("_s", "s"), ("bytes", "bytes")):
            if column.endswith(suffix) or (suffix == "bytes" and column.startswith("bytes")):
                assert unit == wanted, column


def test_every_check_is_told() -> None:
    told = {cells[0].strip("`") for cells in table("## Is the run valid?")}
    late = Lateness(stage="STAGE", n=1, never_sent=0, p50_s=0, p99_s=0, max_s=0)
    terminated = verdict.check_terminated_watchers(0)
    assert terminated is not None
    findings = [
        verdict.check_completed("completed", None),
        verdict.check_data(1),
        verdict.check_lateness(late, None),
        *verdict.check_engine({"busiest_second": 0.1, "loop_lag_ms": {"p99": 1}}),
        *verdict.check_engine({}),
        *senders(),
        verdict.check_watches(0, 0, 0),
        verdict.check_restarts({}),
        verdict.check_negative({}),
        terminated,
        *certificate(),
        verdict.check_scrapes([]),
        verdict.check_metrics("COMPONENT", []),
    ]
    assert {finding.name for finding in findings} == told
    weights = {cells[0].strip("`"): cells[2] for cells in table("## Is the run valid?")}
    for finding in findings:
        expected = {
            "run": "the run is inconclusive",
            "": "told only",
            verdict.MISSED: "missed SLOs may be inconclusive",
        }.get(finding.affects)
        assert expected is None or weights[finding.name].strip("| ") == expected


def senders() -> list[Finding]:
    lost, clocks = verdict.check_senders({"senders": {}}), verdict.check_worker_clocks({"worker": 0.001})
    assert lost and clocks
    return [lost, clocks]


def certificate() -> list[Finding]:
    clock = verdict.check_clock({"kernel_stamps": {"clock_steps": 0, "refused": 0}})
    observation = verdict.check_observation({"creation": 0.001})
    outside = verdict.check_outside({"creation": (0.01, 0.0)})
    pressure = verdict.check_pressure(0.5, 0.1, 0.0)
    assert clock and observation and outside and pressure
    return [clock, observation, simulator(), outside, pressure]


def simulator() -> Finding:
    return verdict.check_simulator(
        step="pods",
        p50_s=0.01,
        p99_s=0.02,
        unloaded_s=None,
        workers=16,
        queued=0.0,
        growth_s=0.0,
        busy_cores=0.1,
        cores=2,
    )


def test_bounds_are_told() -> None:
    checks = section("## Is the run valid?")
    assert f"at most {verdict.MOST_BUSY:.0%} of a core" in checks
    assert f"at most {verdict.MOST_LOOP_LAG_MS:g} ms" in checks
    for told in (
        f"at most {verdict.MOST_STALE_S * 1e3:g} ms",
        f"at most {verdict.MOST_QUEUED:.0%} of the objects",
        f"more than {verdict.MOST_GROWTH_S * 1e3:g} ms",
        f"at most {verdict.MOST_OUTSIDE:.0%} of the machine's CPU",
        f"memory at most {verdict.MOST_MEMORY_PRESSURE:.0%} of the time",
    ):
        assert told in checks
    assert f"at most {verdict.NEGLIGIBLE_S * 1e3:g} ms, or {verdict.NEGLIGIBLE_SHARE:.0%}" in checks
    assert f"more than {verdict.NEGLIGIBLE_S * 1e3:g} ms" in section("## The verdict")


def test_every_exit_code_is_told() -> None:
    assert [int(cells[0]) for cells in table("## Exit codes")] == [int(code) for code in ExitCode]


def test_every_file_of_a_run_folder_is_told(tmp_path: Path) -> None:
    folder = pods(count=20)[0].write(tmp_path / "run")
    told = [cells[0].strip("`") for cells in table("## The run folder")]
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            assert any(
                name.startswith(entry) if entry.endswith("/") else Path(name).match(entry) for entry in told
            )


def test_the_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pods(count=20)[0].write(tmp_path / "run")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code.replace("my-run", str(folder)), {})  # noqa: S102 (our own documentation)
    assert re.fullmatch(r"20 of 44 requests; p99 1\d\.\d ms\n", capsys.readouterr().out)


# --- result.json ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return slis.evaluate(looked_at(pods(count=20)[0]).write(tmp_path_factory.mktemp("run") / "run"))


def test_json_is_the_document(result: Result) -> None:
    text = report_json.render(result)
    assert Result.model_validate_json(text) == result
    assert json.loads(text)["schema_version"] == 1


def test_json_has_neither_infinity_nor_nan(tmp_path: Path) -> None:
    run, _ = pods(count=20, never_up=range(20))
    for row in run.objects:
        row["node"] = ""
    text = report_json.render(slis.evaluate(run.write(tmp_path / "run")))
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def resolve(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in field:
        field = schema["$defs"][field["$ref"].rpartition("/")[2]]
    return field


def fits(schema: dict[str, Any], field: dict[str, Any], value: Any) -> bool:
    """Whether a value is what the part of JSON Schema that pydantic writes for us allows."""
    field = resolve(schema, field)
    if "anyOf" in field:
        return any(fits(schema, variant, value) for variant in field["anyOf"])
    if "const" in field:
        return bool(value == field["const"])
    if "enum" in field:
        return value in field["enum"]
    match field.get("type"):
        case "object":
            if not isinstance(value, dict):
                return False
            known = field.get("properties")
            if known is None:
                return True
            return set(field.get("required", ())) <= value.keys() <= known.keys() and all(
                fits(schema, known[key], item) for key, item in value.items()
            )
        case "array":
            return isinstance(value, list) and all(fits(schema, field["items"], item) for item in value)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
    return True


def test_the_document_fits_its_schema(result: Result) -> None:
    schema = json.loads(report_json.schema())
    document = json.loads(report_json.render(result))
    assert fits(schema, schema, document)
    assert not fits(schema, schema, document | {"verdict": "MAYBE"})
    assert not fits(schema, schema, document | {"stages": [{"stage": "creation"}]})
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_field_has_a_meaning() -> None:
    schema = json.loads(report_json.schema())
    for name, model in {"Result": schema, **schema["$defs"]}.items():
        for key, field in model.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key}"
