"""Writes the JSON Schemas of our documents to docs/schemas: ``python tools/schemas.py``."""

from __future__ import annotations

import json
from pathlib import Path

from planebench.experiment.plan import json_schema as experiment_schema
from planebench.report import json as report_json
from planebench.report.capacity import json as capacity_json
from planebench.report.comparison import json as comparison_json

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"


def schemas() -> dict[str, str]:
    """File name -> its text."""
    texts = [report_json.schema(), comparison_json.schema(), json.dumps(experiment_schema(), indent=2)]
    texts.append(capacity_json.schema())
    return {json.loads(text)["$id"].rpartition("/")[2]: text + "\n" for text in texts}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
