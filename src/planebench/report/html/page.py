"""The report's page: everything in one file, from templates and assets of this package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bokeh.palettes import cividis
from bokeh.resources import Resources

from planebench.report.faults import amount as fault_amount
from planebench.report.faults import of as fault_figure
from planebench.report.faults import told as fault_told
from planebench.report.html import charts, legend, terms
from planebench.report.html.charts import PALETTE, Chart
from planebench.report.html.costs import costs
from planebench.report.html.distributions import MOST_POINTS, TAIL
from planebench.report.html.faults import matrix
from planebench.report.html.flame import KINDS, Flame, flame
from planebench.report.html.placement import Placement, placement
from planebench.report.html.slowest import Slowest, slowest, traced
from planebench.report.html.stages import stages
from planebench.report.html.template import asset, environment
from planebench.report.html.timeline import timeline
from planebench.report.html.traffic import asked, senders, served
from planebench.results.attribution import ProfileResult
from planebench.results.document import Result
from planebench.slis.catalog import CATALOG, Definition, find
from planebench.slis.observations import Observations
from planebench.slis.profiles import flame as folded

SHADES: Final = 3
"""Of a lane's colour, one after the other."""
MOST_SHADES: Final = 9
"""Of nodes, from few pods to many."""
_BOKEH: Final = Resources(mode="absolute", components=["bokeh"])
"""Its script, as its package ships it: the core alone."""


def page(seen: Observations, result: Result) -> str:
    """The whole report as HTML."""
    made: list[Chart] = []
    course = timeline(seen, result)
    if course:
        made.append(charts.timeline(course))
    shown = stages(seen, result, made)
    nodes = placement(result.distribution)
    if nodes:
        made.append(charts.placement("chart-placement", nodes, _shades(nodes)))
        made.append(charts.nodes_by_pods("chart-nodes-by-pods", nodes))
    slow = slowest(seen)
    trace = traced(result.trace) if result.trace else None
    template = environment().get_template("page.html")
    return template.render(
        result=result,
        stages=shown,
        course=course,
        course_chips={panel.id: legend.of_panel(panel) for panel in course.panels} if course else {},
        fault_matrix=matrix(result.faults),
        fault_amount=fault_amount,
        fault_figure=fault_figure,
        fault_told=fault_told,
        nodes=nodes,
        shades=_shades(nodes) if nodes else (),
        slow=slow,
        lanes=_lanes(slow),
        trace=trace,
        trace_lanes=_lanes(trace),
        flames=flames(seen, result),
        flame_kinds=KINDS,
        senders=senders(result.components),
        asked=asked(seen),
        served=served(result.components),
        costs=costs(result.components),
        definitions=_definitions(result),
        tail=TAIL,
        points=MOST_POINTS,
        terms=terms.TERMS,
        own=lambda sli, component: terms.metric(component, sli, seen.plane),
        charts=[{"document": chart.document, "roots": chart.roots} for chart in made],
        library=[Path(path).read_text(encoding="utf-8") for path in _BOKEH.js_files],
        style=asset("report.css"),
        script=asset("report.js"),
    )


def flames(seen: Observations, result: Result) -> list[tuple[ProfileResult, Flame | None]]:
    """All profiles, with their flame graphs as far as there is anything to draw."""
    return [
        (
            profile,
            None
            if profile.error
            else flame(folded(seen.folder, profile.process, profile.kind), seen.plane.packages),
        )
        for profile in result.profiles
    ]


def _shades(nodes: Placement) -> tuple[str, ...]:
    """One for each number of pods, as far as they can be told apart: with any colour vision, and in grey."""
    return tuple(cividis(min(nodes.most - nodes.fewest + 1, MOST_SHADES)))


def _lanes(slow: Slowest | None) -> dict[str, dict[str, str]]:
    """Lane -> what is reached -> the classes of its pieces: a colour for each lane, a shade for each step."""
    found: dict[str, dict[str, str]] = {}
    for lane, step in slow.steps if slow else ():
        mine = found.setdefault(lane, {})
        number = list(found).index(lane) % PALETTE + 1
        mine.setdefault(step.reached, f"lane-{number} shade-{len(mine) % SHADES}" + " simulated" * step.simulated)
    return found


def _definitions(result: Result) -> list[Definition]:
    """Of all indicators that the page names, in the catalogue's order."""
    latencies = [component.latency.sli for component in result.components if component.latency]
    named = {
        found.id for sli in (*result.rows(), *(slo.sli for slo in result.slos), *latencies) if (found := find(sli))
    }
    return [definition for name, definition in CATALOG.items() if name in named]
