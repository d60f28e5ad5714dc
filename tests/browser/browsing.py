"""A real Chromium for tests and screenshots."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def chromium() -> str | None:
    """Path of the browser: what IGLA_TEST_CHROMIUM names, or the first that this system has."""
    named = os.environ.get("IGLA_TEST_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def browsing() -> Iterator[Browser]:
    """The browser. Root cannot use its sandbox."""
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=options)
        try:
            yield opened
        finally:
            opened.close()


def paths(http) -> dict[str, str]:
    """name -> address of every kind of page, those of the race `cup` and of its first run included."""
    board = http.get("/races/cup").text
    run = board.partition('href="/runs/')[2].partition('"')[0]
    assert run, "the race has no run"
    return {
        "races": "/", "race": "/races/cup", "run": f"/runs/{run}", "queue": "/queue", "activity": "/activity",
        "arena": "/arena", "glossary": "/glossary", "connect": "/connect",
        "sign-in": "/sign-in", "not-found": "/nothing-here",
    }  # fmt: skip
