import httpx
import pytest

from tests.playing import Player
from tests.serving import serving

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from tests.browser.browsing import WIDE, browsing, chromium  # noqa: E402  # needs playwright

EXPECTED = ("status of 404", "status of 401", "net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
            "[object Event]")  # fmt: skip
"""What the console says of a page that is not there, of a wrong token, and of a server that has stopped."""


@pytest.fixture(scope="module")  # while it is open an event loop runs, which other tests cannot do with
def browser():
    if chromium() is None:
        pytest.skip("there is no Chromium on this system")
    with browsing() as opened:
        yield opened


@pytest.fixture(scope="module")
def cup(browser, tmp_path_factory):
    """A player of the race `cup` on a real server: one recipe has a number, two are queued."""
    with serving(tmp_path_factory.mktemp("cup"), "--engines", "1", "--arenas", "0") as server:
        player = Player(server.url, "cup")
        player.plan()
        player.play(2)
        yield player
        player.http.close()


@pytest.fixture
def visit(browser):
    """A function that opens an address. What the console says in anger fails the test, unless a test means it."""
    said, contexts = [], []

    def open_(address, **options):
        contexts.append(browser.new_context(**{"viewport": WIDE, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.set_default_timeout(30_000)
        page.goto(address)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [text for text in said if not any(one in text for one in EXPECTED)] == []


@pytest.fixture
def http(cup):
    with httpx.Client(base_url=str(cup.http.base_url), headers={"Accept": "text/html"}) as client:
        yield client
