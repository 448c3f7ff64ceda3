"""What all charts have in common.

Colours are names of the page's CSS variables, kept in each model's tags: the page's script sets them, for light,
dark and print. No chart takes part in scrolling: there is no wheel or drag tool.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from bokeh.core.properties import value
from bokeh.document import Document
from bokeh.models import Axis, BasicTicker, FixedTicker, Model, NumeralTickFormatter, Range1d
from bokeh.plotting import figure

from planebench.model import Stage

PALETTE: Final = 8
"""So many colours the page has for series: ``--series-1`` and on."""
DASHES: Final = ("solid", "dashed", "dotdash", "dotted")
"""Beyond colours: lines are told apart by their dashes, too."""
BIG: Final = 10_000
"""From here on an axis counts in thousands."""
_LEFT: Final = 58
_RIGHT: Final = 14
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_Model = TypeVar("_Model", bound=Model)


@dataclass(frozen=True, slots=True)
class Chart:
    """A Bokeh document and the page's elements that its parts go into."""

    document: Mapping[str, Any]
    roots: Mapping[str, str]
    """Model -> element."""


def chart(roots: Mapping[str, Model]) -> Chart:
    """A chart from its parts, by the elements that they go into."""
    document = Document()
    for model in roots.values():
        document.add_root(model)
    return Chart(
        document.to_json(deferred=False),
        {model.id: element for element, model in roots.items()},
    )


def color(place: int) -> str:
    """The CSS variable of a series."""
    return f"--series-{place % PALETTE + 1}"


def dash(place: int) -> str:
    """The dashes of a series."""
    return DASHES[place // 2 % len(DASHES)]


def stage_color(stage: Stage | str | None) -> str:
    """The CSS variable of a stage; None: preparation."""
    return f"--stage-{stage}" if stage in tuple(Stage) else "--stage-other"


def new_figure(height: int, **options: Any) -> figure:
    """A plain figure as wide as the page's column; ``height`` in CSS pixels."""
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        min_border_left=_LEFT,
        min_border_right=_RIGHT,
        min_border_top=6,
        min_border_bottom=4,
        border_fill_color=None,
        background_fill_color=None,
        outline_line_color=None,
        **options,
    )
    plot.grid.grid_line_width = 1
    plot.xgrid.visible = False
    for grid in plot.grid:
        themed(grid, grid_line_color="--line")
    for axis in plot.axis:
        axis.update(
            axis_line_width=1,
            major_tick_in=0,
            major_tick_out=4,
            minor_tick_line_color=None,
            major_label_text_font=_FONT,
            major_label_text_font_size="11px",
        )
        themed(
            axis,
            axis_line_color="--line",
            major_tick_line_color="--line",
            major_label_text_color="--muted",
        )
    return plot


def themed(model: _Model, **colors: str) -> _Model:
    """Note which CSS variables a model's colours are; they are set in the page."""
    model.tags = [{"colors": colors}]
    return model


def lean(renderer: Any) -> Any:
    """Nothing is selected: no glyphs for that."""
    renderer.nonselection_glyph = renderer.selection_glyph = renderer.muted_glyph = None
    return renderer


def fixed(axis: Axis, labels: Mapping[float, str]) -> None:
    """An axis with these ticks and no others."""
    axis.ticker = FixedTicker(ticks=list(labels), minor_ticks=[])
    axis.major_label_overrides = dict[Any, Any](labels)


def numbers(axis: Axis, largest: float, *, about: int, whole: bool = False) -> None:
    """An axis of numbers up to ``largest``, with about so many ticks."""
    axis.ticker = BasicTicker(desired_num_ticks=about, min_interval=1 if whole else 0, num_minor_ticks=0)
    axis.formatter = NumeralTickFormatter(format="0.[0]a" if largest >= BIG else "0,0" if whole else "0,0.[00]")


def between(start: float, end: float) -> Range1d:
    """A range that stays as it is."""
    return Range1d(start=start, end=end)


def font(size: int) -> dict[str, Any]:
    """A text glyph's font; ``size`` in CSS pixels."""
    return {"text_font": value(_FONT), "text_font_size": f"{size}px"}


def tooltip(title: str, entries: Sequence[tuple[str, str]], places: Sequence[int] = ()) -> str:
    """A tooltip in the page's own colours."""
    return (
        '<div style="margin:-6px;padding:8px 10px;background:var(--surface);color:var(--text);'
        'font:12px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums">'
        f"<b>{title}</b>{''.join(_entries(entries, places))}</div>"
    )


def _entries(entries: Sequence[tuple[str, str]], places: Sequence[int]) -> Iterator[str]:
    for number, (name, text) in enumerate(entries):
        swatch = (
            f'<i style="display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:6px;'
            f'background:var({color(places[number])})"></i>'
            if places
            else ""
        )
        words = html.escape(name).replace("@", "&#64;")
        yield (
            '<div style="display:flex;justify-content:space-between;gap:14px">'
            f"<span>{swatch}{words}</span><span>{text}</span></div>"
        )
