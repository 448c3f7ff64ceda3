"""The HTML report in Chromium: it draws, asks nobody, can be read by everybody, and tells what the result says."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from browsing import Open, Report
from playwright.async_api import Page

from planebench.report import figures
from planebench.results.document import Row

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SCHEMES = ("light", "dark")
NARROW = {"width": 360, "height": 740}

# Charts are canvases: one is drawn if it has more than one colour.
BLANK = """() => [...document.querySelectorAll(".canvas")].filter((element) => {
  const { shadowRoot } = element.firstElementChild.shadowRoot.querySelector(".bk-Canvas");
  return ![...shadowRoot.querySelectorAll("canvas")].some((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size > 2;
  });
}).map((element) => element.id)"""


# --- drawing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_it_draws_without_a_word_and_without_a_request(
    open_report: Open, report: Report, scheme: str
) -> None:
    opened = await open_report(color_scheme=scheme)
    page = opened.page
    assert opened.said == []
    assert opened.asked == [report.path.as_uri()]
    assert await page.locator("script.chart").count() == 0
    assert await page.locator(".canvas").count() > 20
    assert await page.evaluate(BLANK) == []


async def test_hostile_words_stay_words(open_report: Open) -> None:
    opened = await open_report()
    assert await opened.page.locator("img").count() == 0
    assert "onerror=alert(1)" in await opened.page.locator("main").inner_text()


async def test_without_scripts_all_figures_are_there(open_report: Open) -> None:
    opened = await open_report(java_script_enabled=False, wait=False)
    assert "Charts need JavaScript" in await opened.page.content()
    assert await opened.page.locator("[data-row='creation.startup'] data").first.is_visible()


# --- truth: what the page shows is what the result says ----------------------------------------------------------


async def shown(page: Page, selector: str) -> dict[str, tuple[str, str | None]]:
    """Figure -> its words and the exact value behind them, of the first element that the selector finds."""
    found = (
        await page.locator(selector)
        .first.locator("[data-figure]")
        .evaluate_all(
            "(all) => all.map((one) => [one.dataset.figure, one.textContent, one.getAttribute('value')])"
        )
    )
    return {name: (words, value) for name, words, value in found}


def told(row: Row) -> dict[str, tuple[str, float | None]]:
    """What a row's percentiles should say."""
    return {
        name: (figures.percentile(row, amount) or "–", amount)
        for name, amount in (("p50", row.p50), ("p90", row.p90), ("p99", row.p99), ("max", row.max))
    }


def same(found: tuple[str, str | None], words: str, amount: float | None) -> bool:
    return found[0] == words and (None if found[1] is None else float(found[1])) == amount


async def test_rows_are_the_results(page: Page, report: Report) -> None:
    rows = report.result.rows()
    assert len(rows) > 25
    for sli, row in rows.items():
        found = await shown(page, f"[data-row='{sli}']")
        assert same(found["n"], f"{row.n:,}", row.n), sli
        if row.value is not None:
            assert same(found["value"], figures.value(row.value, row.unit), row.value), sli
        elif row.n:
            for name, (words, amount) in told(row).items():
                assert same(found[name], words, amount), (sli, name)
        if row.rate_per_s is not None:
            assert same(found["rate_per_s"], figures.rate(row.rate_per_s), row.rate_per_s), sli


async def test_objectives_and_counts_are_the_results(page: Page, report: Report) -> None:
    result = report.result
    assert await page.locator(".verdict .word").inner_text() == result.verdict
    assert result.reason in await page.locator(".verdict .reason").inner_text()
    for slo in result.slos:
        row = f"[data-slo='{slo.sli}']"
        found = await shown(page, row)
        words = figures.value(slo.value, slo.unit) if slo.value is not None else "never"
        assert same(found["slo"], words, slo.value), slo.sli
        assert await page.locator(f"{row} .judged").inner_text() == slo.verdict
    counts = await shown(page, ".counts")
    for name, amount in result.counts.model_dump().items():
        key = "failed-objects" if name == "failed" else name
        if name in ("unschedulable", "refused") and not amount:  # most runs want none
            assert f"counts.{key}" not in counts
            continue
        assert same(counts[f"counts.{key}"], f"{amount:,}", amount), name


async def test_components_are_the_results(page: Page, report: Report) -> None:
    for component in report.result.components:
        found = await shown(page, f"[data-component='{component.name}']")
        assert same(found["cpu_s"], f"{component.cpu_s:.1f}", component.cpu_s)
        assert float(found["peak_rss_bytes"][1] or 0) == component.peak_rss_bytes
        if component.requests is not None:
            sender = await shown(page, f"[data-sender='{component.name}']")
            assert same(sender["requests"], f"{component.requests:,}", component.requests)
        for row in component.metrics:
            own = f"[aria-labelledby='component-{component.name}'] details [data-metric='{row.sli}']"
            metric = await shown(page, own)
            assert float(metric["n"][1] or 0) == row.n
            for name, (words, amount) in told(row).items():
                assert same(metric[name], words, amount), (row.sli, name)


async def test_nodes_are_the_results(page: Page, report: Report) -> None:
    distribution = report.result.distribution
    assert distribution is not None
    assert len(distribution.evenness) == 3
    for even in distribution.evenness:
        found = await shown(page, f"[data-evenness='{even.of}']")
        for name in ("min", "mean", "max", "sd", "cv", "random_cv", "gini", "random_gini"):
            assert float(found[name][1] or 0) == getattr(even, name), (even.of, name)
    drawn = await page.evaluate("""() => Bokeh.documents.flatMap((one) => one.roots())
      .flatMap((root) => root.renderers ?? []).filter((one) => one.glyph.type === "Rect")
      .flatMap((one) => [...one.data_source.data.pods])""")
    assert drawn == [node.pods for node in distribution.per_node]


async def test_charts_are_the_results(page: Page, report: Report) -> None:
    found = await page.evaluate("""() => {
      const charts = Bokeh.documents.flatMap((one) => one.roots()).filter((root) => root.renderers);
      const lines = {};
      for (const { renderers } of charts) for (const { name, data_source, glyph } of renderers) {
        if (name == null || glyph.type !== "Step" && glyph.type !== "Line") continue;
        const values = data_source.data[glyph.y.field];
        lines[name] = [values[0], values[values.length - 1]];
      }
      return lines;
    }""")
    counts = report.result.counts
    for name in ("planned", "created", "scheduled", "up", "deleted"):
        assert found[f"objects:{name}"] == [0, getattr(counts, name)]
    curves = {name.removeprefix("curve:"): ends for name, ends in found.items() if name.startswith("curve:")}
    assert {"creation.startup", "scheduling.pod", "management.change.patch", "cleanup.deleted"} <= curves.keys()
    for sli, (_, last) in curves.items():
        row = report.result.rows()[sli]
        if not row.missing:
            assert last == pytest.approx(row.max, abs=1e-12), sli


async def test_a_tooltip_tells_the_percentile_under_the_pointer(page: Page, report: Report) -> None:
    chart = page.locator("#chart-curves-cleanup-0")
    await chart.scroll_into_view_if_needed()
    box = await chart.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 100)
    largest = report.result.rows()["cleanup.deleted"].max
    assert largest is not None
    await page.locator(".bk-Tooltip").filter(has_text=figures.duration(largest)).wait_for()


# --- keyboard ----------------------------------------------------------------------------------------------------


async def test_everything_is_within_reach_of_the_keyboard(page: Page) -> None:
    wanted = await page.evaluate("""() => [...document.querySelectorAll("a[href], button, summary")].filter(
      (one) => one.checkVisibility({ contentVisibilityAuto: true })).length""")
    reached = await page.evaluate_handle("() => new Set()")
    for _ in range(wanted + 20):
        await page.keyboard.press("Tab")
        await page.evaluate(
            "(set) => { if (document.activeElement !== document.body) set.add(document.activeElement); }", reached
        )
    assert (
        await page.evaluate("(set) => [...set].filter((one) => one.matches('a, button, summary')).length", reached)
        == wanted
    )


async def test_what_has_the_focus_is_outlined(page: Page) -> None:
    for _ in range(4):
        await page.keyboard.press("Tab")
    outline = await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


async def test_a_definition_opens_and_closes(page: Page) -> None:
    term = page.locator("[data-row='creation.startup'] .term").first
    definition = page.locator("#def-creation-startup")
    await term.focus()
    await page.keyboard.press("Enter")
    assert await definition.is_visible()
    assert "receipt that shows the object up" in await definition.inner_text()
    await page.keyboard.press("Escape")
    assert not await definition.is_visible()


async def test_a_line_is_hidden_and_shown(page: Page) -> None:
    chip = page.locator("[data-series='cpu:etcd']")
    visible = """() => Bokeh.documents.flatMap((one) => one.roots()).flatMap((root) => root.renderers ?? [])
      .filter((one) => one.name === "cpu:etcd").map((one) => one.visible)"""
    await chip.focus()
    await page.keyboard.press("Space")
    assert await chip.get_attribute("aria-pressed") == "false"
    assert await page.evaluate(visible) == [False]
    await page.keyboard.press("Space")
    assert await page.evaluate(visible) == [True]


async def test_the_time_axis_zooms_and_goes_back(page: Page, report: Report) -> None:
    axis = """() => { for (const root of Bokeh.documents.flatMap((one) => one.roots()))
      if (root.x_range?.name === "time") return [root.x_range.start, root.x_range.end]; }"""
    whole = await page.evaluate(axis)
    await page.get_by_role("button", name="Zoom in").press("Enter")
    start, end = await page.evaluate(axis)
    assert end - start == pytest.approx((whole[1] - whole[0]) / 2)
    await page.get_by_role("button", name="Later").press("Enter")
    assert (await page.evaluate(axis))[1] == pytest.approx(whole[1])
    creation = next(phase for phase in report.result.phases if phase.name == "creation")
    await page.locator(".tools button", has_text="creation").press("Enter")
    start, end = await page.evaluate(axis)
    assert start <= creation.start_s
    assert end >= creation.start_s + creation.duration_s
    assert end - start < whole[1] - whole[0]
    await page.get_by_role("button", name="whole run").press("Enter")
    assert await page.evaluate(axis) == whole


# --- for everybody -----------------------------------------------------------------------------------------------


UNFOLD = "() => { for (const one of document.querySelectorAll('details')) one.open = true; }"
STICKING_OUT = """() => [...document.querySelectorAll("main *")].filter((one) =>
  one.checkVisibility() && !one.closest(".hidden, .track") && one.getBoundingClientRect().right > innerWidth + 0.5
).map((one) => one.outerHTML.slice(0, 100))"""


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing(open_report: Open, scheme: str) -> None:
    page = (await open_report(color_scheme=scheme)).page
    await page.evaluate(UNFOLD)
    for width in (1280, 360):
        await page.set_viewport_size({"width": width, "height": 900})
        found = await Axe().run(page, options={**RULES, "resultTypes": ["violations"]})
        assert [
            (violation["id"], [node["html"][:120] for node in violation["nodes"][:3]])
            for violation in found.response["violations"]
        ] == []


async def test_nothing_sticks_out(open_report: Open) -> None:
    page = (await open_report(viewport=NARROW)).page
    await page.evaluate(UNFOLD)
    for width in (360, 412, 720, 740, 768, 1024):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate(STICKING_OUT) == [], width


async def test_phases_have_numbers_where_names_do_not_fit(open_report: Open) -> None:
    shown = """() => Object.fromEntries(Bokeh.documents.flatMap((one) => one.roots())
      .flatMap((root) => root.renderers ?? []).filter((one) => one.name === "wide" || one.name === "narrow")
      .map((one) => [one.name, one.visible]))"""
    assert await (await open_report()).page.evaluate(shown) == {"wide": True, "narrow": False}
    assert await (await open_report(viewport=NARROW)).page.evaluate(shown) == {"wide": False, "narrow": True}


LOOKS = """() => [getComputedStyle(document.body).backgroundColor,
  Bokeh.documents[0].roots().find((root) => root.below?.length).below[0].major_label_text_color]"""
CHANGED = f"(before) => ({LOOKS})()[1] !== before"


async def test_the_theme_follows_the_system_and_the_button(open_report: Open) -> None:
    page = (await open_report(color_scheme="light")).page
    light = await page.evaluate(LOOKS)
    await page.emulate_media(color_scheme="dark")
    await page.wait_for_function(CHANGED, arg=light[1])
    dark = await page.evaluate(LOOKS)
    assert dark[0] != light[0]
    button = page.locator("#theme")
    await button.press("Enter")
    assert await button.inner_text() == "Theme: light"
    assert await page.evaluate(LOOKS) == light
    await button.press("Enter")
    assert await page.evaluate(LOOKS) == dark


# --- paper -------------------------------------------------------------------------------------------------------


async def test_paper_is_light_and_has_every_chart(open_report: Open) -> None:
    page = (await open_report(color_scheme="dark")).page
    pdf = await page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF")
    assert await page.locator(".print-copy").count() == 0, "copies go after printing"
    await page.emulate_media(media="print", color_scheme="dark")
    await page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert await page.locator(".print-copy").count() == await page.locator(".canvas").count()
    assert await page.evaluate("() => getComputedStyle(document.body).color") == "rgb(26, 33, 43)"
    assert not await page.locator("nav").is_visible()
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    await page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    assert await page.locator(".print-copy").count() == 0
