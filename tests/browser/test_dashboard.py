"""The dashboard in a real browser, while a race really runs."""

import time

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.browsing import PHONE, paths
from tests.serving import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = ["races", "race", "run", "queue", "activity", "arena", "glossary", "connect", "sign-in", "not-found"]
LIVE = "() => document.querySelector('[data-live]')?.dataset.live === 'on'"
POINTS = "(document.querySelector('.place-1 polyline')?.getAttribute('points') ?? '').split(' ').filter(Boolean).length"
GRAVE = ("serious", "critical")


def follow(page, link):
    """Click what leads to another page, and wait until that is there."""
    with page.expect_navigation():
        link.click()


def grave(page, **options):
    """What axe finds that keeps people out."""
    found = Axe().run(page, options=options or None).response["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found if one["impact"] in GRAVE]


def until(page, expression, *arg):
    """Wait until a function of the page is true. The page's own policy forbids what Playwright's wait does."""
    deadline = time.monotonic() + 30
    while not page.evaluate(expression, *arg):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_barriers_in_light_and_dark_and_fits_a_phone(cup, http, visit, name):
    page = visit(str(cup.http.base_url.join(paths(http)[name])), color_scheme="light")
    assert page.title()
    assert grave(page) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert grave(page, runOnly=["color-contrast", "scrollable-region-focusable"]) == []


def test_the_board_the_curves_and_what_is_said_aloud_follow_the_race_in_place(cup, visit):
    page = visit(f"{cup.http.base_url}/races/cup")
    until(page, LIVE)
    page.evaluate("window.isTheSame = true")
    rows, lines = page.locator(".board tbody tr .rank"), page.locator(".chart polyline")
    before, drawn, said = rows.count(), lines.count(), page.locator("[aria-live=polite]").text_content()
    page.locator(".board .seeds a").first.focus()
    cup.play(2)
    until(page, "count => document.querySelectorAll('.board tbody tr .rank').length > count", before)
    until(page, "count => document.querySelectorAll('.chart polyline').length > count", drawn)
    until(page, "text => document.querySelector('[aria-live=polite]').textContent !== text", said)
    assert page.evaluate("window.isTheSame") is True
    assert page.evaluate("document.activeElement.id.startsWith('seed-')")


def test_the_curve_of_a_run_grows_while_it_trains(cup, visit):
    ticket = cup.claim()
    page = visit(f"{cup.http.base_url}/runs/{ticket['job_id']}")
    until(page, LIVE)
    assert "No sample has been stored yet" in page.locator("#curve-head + div").text_content()
    cup.chunk(ticket)
    until(page, f"() => {POINTS} === 1")
    cup.chunk(ticket)
    until(page, f"() => {POINTS} === 2")
    until(page, "() => document.querySelector('.tiles .state').textContent === 'done'")


def test_pages_work_without_javascript(cup, http, visit):
    page = visit(f"{cup.http.base_url}/", java_script_enabled=False)
    follow(page, page.get_by_role("link", name="cup", exact=True))
    assert page.locator('noscript meta[http-equiv="refresh"], meta[http-equiv="refresh"]').count() == 1
    follow(page, page.locator(".board .seeds a").first)
    assert page.locator(".chart polyline").count() == 2
    follow(page, page.get_by_role("button", name="Dark"))
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert "/runs/" in page.url
    follow(page, page.get_by_role("link", name="Glossary", exact=True))
    assert page.locator("dl.words dt").count() > 50


def test_the_keyboard_reaches_the_content_at_once_and_is_never_caught(cup, visit):
    page = visit(f"{cup.http.base_url}/races/cup")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    seen = []
    for _ in range(200):
        page.keyboard.press("Tab")
        tag, outline = page.evaluate(
            "[document.activeElement.outerHTML.slice(0, 80), getComputedStyle(document.activeElement).outlineStyle]"
        )
        if "theme" in tag and "dark" in tag:
            break
        assert outline != "none" or tag.startswith("<body"), tag
        seen.append(tag)
    else:
        pytest.fail(f"the last button was not reached: {seen[-3:]}")


def test_signing_in_takes_a_good_token_and_a_server_with_open_pages_stops(visit, tmp_path):
    with serving(tmp_path, "--engines", "0", env={"IGLA_ADMIN_TOKEN": "operator-secret"}) as server:
        page = visit(f"{server.url}/queue")
        assert page.get_by_role("heading", name="Sign in to see this page").is_visible()
        page.get_by_label("Token").fill("wrong")
        follow(page, page.get_by_role("button", name="Sign in"))
        assert page.get_by_role("alert").text_content() == "This token is unknown, expired or revoked."
        page.get_by_label("Token").fill("operator-secret")
        follow(page, page.get_by_role("button", name="Sign in"))
        until(page, LIVE)
        assert page.url == f"{server.url}/queue"
        assert [(one["httpOnly"], one["sameSite"]) for one in page.context.cookies()] == [(True, "Strict")]
        assert (
            page.evaluate("fetch('/api/glossary', {method: 'POST', body: '{}'}).then(answer => answer.status)") == 401
        )
        follow(page, page.get_by_role("button", name="Sign out"))
        page.goto(f"{server.url}/queue")
        assert page.get_by_role("heading", name="Sign in to see this page").is_visible()
        page.get_by_label("Token").fill("operator-secret")
        follow(page, page.get_by_role("button", name="Sign in"))
        until(page, LIVE)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 10
        page.goto("about:blank")
