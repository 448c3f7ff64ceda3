"""A result as JUnit XML, for the test pages of CI systems: one test case for each SLO and for each validity check.

A missed SLO is a ``failure``: what was demanded was measured, and is not so. What is INCONCLUSIVE is an ``error``:
the test could not be carried out. It is not ``skipped``, which CI systems count as good, for no data is never a
pass. A check that did not hold is an ``error`` where it makes figures doubtful, and ``skipped`` where it is told
only: to be seen, but nothing depends on it.

Names of test cases hold no measured value: CI systems follow a test over time by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal
from xml.etree import ElementTree as ET

from planebench.model import Judgement
from planebench.report import figures
from planebench.results.document import Finding, Result, SLOResult

_Outcome = Literal["failure", "error", "skipped"]
_TYPES: Final[dict[_Outcome, str]] = {"failure": "FAIL", "error": "INCONCLUSIVE", "skipped": "told only"}
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped: an API server's message may contain it."""


def render(result: Result) -> str:
    """The result as an XML document with the root ``testsuites``."""
    where = f"planebench.{result.scenario}"
    suites = [
        _suite(f"{result.scenario}: SLOs", (_of_slo(slo, f"{where}.slos") for slo in result.slos)),
        _suite(
            f"{result.scenario}: validity", (_of_check(check, f"{where}.validity") for check in result.validity)
        ),
    ]
    suites[0].insert(0, _properties(result))
    root = ET.Element("testsuites", {"name": "planebench", **_totals(suites), "time": f"{result.duration_s:.3f}"})
    root.extend(suites)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document.decode() + "\n"


def _properties(result: Result) -> ET.Element:
    found = {
        "run_id": result.run_id,
        "plane": result.plane,
        "seed": str(result.seed),
        "started": result.started_wall,
        "status": result.status,
        "verdict": result.verdict or "none",
        "reason": result.reason,
        "planebench_version": result.planebench_version,
    }
    properties = ET.Element("properties")
    for name, value in found.items():
        ET.SubElement(properties, "property", name=name, value=_plain(value))
    return properties


def _suite(name: str, cases: Iterable[ET.Element]) -> ET.Element:
    found = list(cases)
    counts = {
        "tests": len(found),
        **{kind: sum(case.find(tag) is not None for case in found) for kind, tag in _COUNTED.items()},
    }
    suite = ET.Element(
        "testsuite", {"name": name, **{kind: str(count) for kind, count in counts.items()}, "time": "0"}
    )
    suite.extend(found)
    return suite


_COUNTED: Final[dict[str, _Outcome]] = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def _totals(suites: Sequence[ET.Element]) -> dict[str, str]:
    return {kind: str(sum(int(suite.attrib[kind]) for suite in suites)) for kind in ("tests", *_COUNTED)}


def _of_slo(slo: SLOResult, where: str) -> ET.Element:
    because = f", {slo.reason}" if slo.reason and slo.reason != "no data" else ""
    found = f"found {figures.found(slo)}{because}"
    match slo.verdict:
        case Judgement.PASS:
            return _case(where, figures.demand(slo), found)
        case Judgement.FAIL:
            return _case(where, figures.demand(slo), found, "failure")
        case Judgement.INCONCLUSIVE:
            return _case(where, figures.demand(slo), found, "error")


def _of_check(check: Finding, where: str) -> ET.Element:
    found = f"found {check.value}, should be {check.bound}"
    if check.ok:
        return _case(where, check.title, found)
    doubtful = f"; makes {check.affects} doubtful" if check.affects else ""
    advice = f"; {check.action}" if check.action else ""
    return _case(where, check.title, found + doubtful + advice, "error" if check.affects else "skipped")


def _case(where: str, name: str, found: str, outcome: _Outcome | None = None) -> ET.Element:
    case = ET.Element("testcase", classname=_plain(where), name=_plain(name), time="0")
    if outcome is None:
        ET.SubElement(case, "system-out").text = _plain(found)
    elif outcome == "skipped":
        ET.SubElement(case, outcome, message=_plain(found))
    else:
        ET.SubElement(case, outcome, message=_plain(found), type=_TYPES[outcome])
    return case


def _plain(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
