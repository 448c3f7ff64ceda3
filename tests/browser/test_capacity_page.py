"""The capacity search's page in Chromium: it draws, asks nobody, can be read by everybody, and is the search's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import made_searches
import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from browsing import Opened, opened
from playwright.async_api import Browser
from test_report import BLANK, RULES, STICKING_OUT

from planebench.capacity import Capacity
from planebench.report.capacity import html, words


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Capacity:
    return made_searches.searched(tmp_path_factory.mktemp("search") / "x", made_searches.threshold()).capacity


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory, found: Capacity) -> Path:
    path = tmp_path_factory.mktemp("page") / "capacity.html"
    path.write_text(html.render(found), encoding="utf-8")
    return path


@pytest.fixture(params=["light", "dark"])
async def shown(browser: Browser, page_file: Path, request: pytest.FixtureRequest) -> AsyncIterator[Opened]:
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=request.param)
    yield await opened(context, page_file)
    await context.close()


async def test_it_draws_without_a_word_and_without_a_request(shown: Opened, page_file: Path) -> None:
    assert shown.said == []
    assert shown.asked == [page_file.as_uri()]
    assert await shown.page.locator(".canvas").count() == 2
    assert await shown.page.evaluate(BLANK) == []


async def test_charts_and_table_are_the_search_s(shown: Opened, found: Capacity) -> None:
    drawn = await shown.page.evaluate("""() => Object.fromEntries(Bokeh.documents.flatMap((one) => one.roots())
      .flatMap((root) => root.renderers ?? []).filter((one) => one.name && one.glyph.type === "Line")
      .map((one) => [one.name, [...one.data_source.data[one.glyph.y.field]]]))""")
    figures = [step.figures for step in sorted(found.steps, key=lambda step: step.level) if step.figures]
    assert drawn == {
        "curve:p50": [figure.p50_s for figure in figures],
        "curve:p99": [figure.p99_s for figure in figures],
    }
    rows = await shown.page.locator(".steps tbody tr").all_inner_texts()
    assert len(rows) == len(found.steps)
    for row, step in zip(rows, found.steps, strict=True):
        assert row.startswith(words.level(found, step.level))
        assert step.verdict in row
    assert await shown.page.locator(".verdict .word").inner_text() == words.headline(found)


async def test_axe_finds_nothing_and_nothing_sticks_out(shown: Opened) -> None:
    for width in (1280, 360):
        await shown.page.set_viewport_size({"width": width, "height": 900})
        result = await Axe().run(shown.page, options={**RULES, "resultTypes": ["violations"]})
        assert [violation["id"] for violation in result.response["violations"]] == []
        assert await shown.page.evaluate(STICKING_OUT) == []
