from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import pods

from planebench import slis
from planebench.model import PlanebenchError, UsageError
from planebench.results import RunFolder
from planebench.results.document import Result, json_schema
from planebench.results.folder import write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return pods(count=20)[0].write(tmp_path / "run")


def test_a_new_folder_has_its_places(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "deep" / "run")
    assert folder.raw.is_dir()
    assert folder.scrapes.is_dir()
    assert folder.logs.is_dir()
    with pytest.raises(UsageError, match=r"--out .*is not empty"):
        RunFolder.create(folder.path)


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    RunFolder.create(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match=r"--out .*is a file"):
        RunFolder.create(tmp_path / "run")
    with pytest.raises(UsageError, match=r"--out .*cannot be made"):
        RunFolder.create(tmp_path / "run" / "below")


def test_no_folder_and_no_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(UsageError, match=r"no run\.json"):
        RunFolder.open(tmp_path)


def test_another_version_is_refused(run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", {**record, "schema": 99})
    with pytest.raises(UsageError, match=r"version 99 .* reads version 1"):
        slis.evaluate(run)


def test_what_is_written_is_read(run: Path) -> None:
    folder = RunFolder.open(run)
    record = folder.run()
    assert (record.id, record.seed, record.status) == ("synthetic-1", 7, "completed")
    assert [phase.name for phase in record.phases][:3] == ["namespaces", "nodes", "creation"]
    scenario = folder.scenario()
    assert scenario.workload.count == 20
    assert folder.plane(scenario).name == "core"
    assert folder.leftovers() == []
    assert folder.environment() == {"machine": {"cores": 2}}


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"value": float("inf"), "path": tmp_path, "list": (1, float("nan"))})
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "value": None,
        "path": str(tmp_path),
        "list": [1, None],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(PlanebenchError, match="cannot be written"):
        write_json(tmp_path / "none" / "a.json", {})


@pytest.mark.parametrize(
    "name", ["run.json", "scenario.yaml", "plane.json", "environment.json", "leftovers.json", "raw/harness.json"]
)
def test_a_torn_file_is_named(run: Path, name: str) -> None:
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(PlanebenchError, match=name):
        slis.evaluate(run)


@pytest.mark.parametrize("table", ["requests", "objects", "milestones", "gaps", "samples"])
def test_a_torn_table_is_named(run: Path, table: str) -> None:
    path = run / "raw" / f"{table}.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PlanebenchError, match=f"{table}.parquet: is truncated or damaged"):
        slis.evaluate(run)


def test_a_table_of_another_version_is_named(run: Path) -> None:
    path = run / "raw" / "milestones.parquet"
    pl.read_parquet(path).drop("t_ns").write_parquet(path)
    with pytest.raises(PlanebenchError, match=r"milestones.parquet: has no column 't_ns'"):
        slis.evaluate(run)


def test_a_missing_scenario_is_named(run: Path) -> None:
    (run / "scenario.yaml").unlink()
    with pytest.raises(PlanebenchError, match=r"scenario.yaml: is missing"):
        slis.evaluate(run)


def test_what_newer_versions_note_is_left_out(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    fault = {"kind": "new", "nodes": [], "start_ns": 5, "unheard_of_ns": 7}
    write_json(run / "run.json", {**content, "unheard_of": 1, "faults": [fault]})
    (record,) = RunFolder.open(run).run().faults
    assert (record.kind, record.start_ns) == ("new", 5)


def test_results_are_kept(run: Path) -> None:
    folder = RunFolder.open(run)
    result = slis.evaluate(run)
    folder.write_result(result)
    assert folder.result() == result
    (run / "result.json").write_text("{")
    with pytest.raises(PlanebenchError, match=r"result.json: is truncated"):
        folder.result()
    write_json(run / "result.json", {"schema_version": 0})
    with pytest.raises(PlanebenchError, match="of version 0; `planebench show"):
        folder.result()
    shutil.rmtree(folder.raw)
    with pytest.raises(PlanebenchError, match=r"of version 0; .* without raw/ it cannot be made again"):
        folder.result()


def test_the_sampler_s_csv_becomes_a_table(run: Path) -> None:
    (run / "raw" / "samples.parquet").unlink()
    whole = "0,etcd,etcd,subject,0.5,10,20,3,0,0\n"
    header = "t_ns,process,component,role,cpu_s,rss_bytes,peak_rss_bytes,threads,read_bytes,write_bytes\n"
    (run / "raw" / "samples.csv").write_text(header + whole + "1000000000,etcd,etcd,subj")
    found = {component.name: component for component in slis.evaluate(run).components}
    assert found["etcd"].cpu_s == 0.5
    assert found["etcd"].peak_rss_bytes == 20
    assert not (run / "raw" / "samples.csv").exists()
    assert pl.read_parquet(run / "raw" / "samples.parquet").height == 1


def test_the_schema_covers_the_document(run: Path) -> None:
    schema = json_schema()
    document = json.loads(slis.evaluate(run).model_dump_json())
    assert schema["$id"].endswith("result-v1.json")
    assert set(document) == set(schema["properties"])
    assert Result.model_validate(document).model_dump_json() == json.dumps(document, separators=(",", ":"))
