"""What the HTML report costs at 10,000 objects: its size, how long it takes to make, and to become usable.

    python bench/report.py [--objects 10000] [--keep FOLDER]

Prints figures and judges nothing: they depend on the machine, and on what else runs on it. The browser is the
system's Chromium; times are its own, from the start of the navigation. Between two charts the page takes what the
reader does: it is usable from the first chart on, and the longest task tells how long it ever lets one wait.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "unit"))

import rich_run

from planebench.report.html import render
from planebench.slis import evaluate

TASKS = """new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest ?? 0, duration);
}).observe({ type: "longtask", buffered: true });"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3, help="how often the page is opened")
    parser.add_argument("--keep", type=Path, help="keep run folder and report here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        run = rich_run.write(folder / "run", count=options.objects)
        raw = sum(path.stat().st_size for path in (run / "raw").rglob("*") if path.is_file())
        print(f"{options.objects:,} objects, raw data {raw / 1e6:.2f} MB")
        start_s = time.perf_counter()
        result = evaluate(run)
        evaluated_s = time.perf_counter()
        page = render(run, result)
        rendered_s = time.perf_counter()
        path = folder / "report.html"
        path.write_text(page, encoding="utf-8")
        print(f"evaluated in {evaluated_s - start_s:.2f} s, rendered in {rendered_s - evaluated_s:.2f} s")
        print(f"page {len(page.encode()) / 1e6:.2f} MB")
        browse(path, options.rounds)


def browse(path: Path, rounds: int) -> None:
    """Open the page and tell when it became usable."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no Chromium: nothing is told of the page in a browser")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.add_init_script(TASKS)
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-drawn]", timeout=120_000)
            marks = page.evaluate(
                "() => performance.getEntriesByType('mark').map((mark) => [mark.name, mark.startTime])"
            )
            told = ", ".join(f"{name.removeprefix('planebench-')} {ms / 1e3:.2f} s" for name, ms in marks)
            print(f"{told}, longest task {page.evaluate('window.longest'):.0f} ms")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
