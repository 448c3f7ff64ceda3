"""A real browser for the HTML report: the system's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Open, Opened, Report, opened
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "unit"))  # synthetic runs

import rich_run

from planebench.report.html import render
from planebench.slis import evaluate

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; on Debian it is installed where it is missing and we may."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (
            ["update", "-qq"],
            ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"],
        ):
            done = subprocess.run(
                ["apt-get", *command], env=environment, capture_output=True, text=True, timeout=600, check=False
            )
            if done.returncode:
                pytest.fail(f"chromium is missing, and apt-get {command[0]} failed: {done.stderr.strip()[-500:]}")
        if found := shutil.which("chromium"):
            return found
    pytest.fail(
        "these tests need Chromium: install Debian's package `chromium` or the like, or leave them out with "
        "`pytest -m 'not browser'`"
    )


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of a run with something of everything, some of it wrong."""
    folder = tmp_path_factory.mktemp("report")
    result = evaluate(rich_run.write(folder / "run", count=400))
    path = folder / "report.html"
    path.write_text(render(folder / "run", result), encoding="utf-8")
    return Report(path, result)


@pytest.fixture
async def open_report(browser: Browser, report: Report) -> AsyncIterator[Open]:
    """Opens the report from disk. Arguments are those of a browser context."""
    contexts: list[BrowserContext] = []

    async def open_(*, wait: bool = True, **options: Any) -> Opened:
        contexts.append(await browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options}))
        return await opened(contexts[-1], report.path, wait=wait)

    yield open_
    for context in contexts:
        await context.close()


@pytest.fixture(scope="session")
async def page(browser: Browser, report: Report) -> AsyncIterator[Page]:
    """One that is drawn already, for tests that only read it or leave it as it was."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    yield (await opened(context, report.path)).page
    await context.close()
