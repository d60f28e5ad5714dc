"""`make screenshots`: every page as a picture, wide, dark and on a phone, of a server on which a small race has run."""

import argparse
import sys
import tempfile
from pathlib import Path

import httpx

from tests.browser.browsing import PHONE, WIDE, browsing, chromium, paths
from tests.playing import PLAN, Player
from tests.serving import serving

LOOKS = {"light": (WIDE, "light"), "dark": (WIDE, "dark"), "phone": (PHONE, "light")}
FORMATS = {
    "base": {**PLAN["base"], "composition": "attention", "rule": "none"},
    "matrix": {"formats": ["fp32", "fp8_e4m3", "int8"], "optimizers": ["adamw", "muon"]},
    "budget_bytes": 9 * 256 * 4,
    "seeds": [1, 2],
    "whole": True,
}


def play(url: str) -> None:
    """A race that is under way, and one of formats that is through."""
    formats = Player(url, "formats")
    formats.plan(FORMATS)
    formats.play()
    cup = Player(url, "cup")
    cup.plan({**PLAN, "grid": {"muon.lr": [0.001, 0.003, 0.01, 0.03], "mlp_ratio": [2, 3]}})
    cup.play(20)
    ticket = cup.claim()
    if ticket is not None:
        cup.chunk(ticket)
    for player in (formats, cup):
        player.http.close()


def shoot(url: str, folder: Path) -> None:
    """Every page in every look."""
    with httpx.Client(base_url=url, headers={"Accept": "text/html"}) as http:
        every = {**paths(http), "matrix": "/races/formats/matrix"}
    with browsing() as browser:
        for look, (size, scheme) in LOOKS.items():
            context = browser.new_context(viewport=size, color_scheme=scheme)
            page = context.new_page()
            for name, path in every.items():
                page.goto(url + path)
                page.wait_for_timeout(300)
                page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
            context.close()


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/screenshots"))
    parser.add_argument("--url", help="a server that runs already and has a race named cup")
    chosen = parser.parse_args()
    if chromium() is None:
        sys.exit("There is no Chromium on this system.")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    if chosen.url:
        shoot(chosen.url, chosen.folder)
    else:
        with tempfile.TemporaryDirectory() as data, serving(Path(data), "--engines", "2") as server:
            play(server.url)
            shoot(server.url, chosen.folder)
    print(f"{len(list(chosen.folder.glob('*.png')))} pictures in {chosen.folder}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
