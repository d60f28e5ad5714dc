"""Who may see a page: tokens, cookies, public boards. The cookie opens pages and nothing else."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import audit, races, tokens, web_sessions
from server.pages import door
from server.pages.door import COOKIE
from server.pages.refusals import local
from server.runtime import utc_now
from tests.sites import Site

BOARD = ["/", "/races/cup", "/arena", "/glossary"]
OPERATORS = ["/queue", "/activity", "/connect", "/events/queue", "/events/activity", "/events/traffic"]


def cookie_of(answer):
    """The cookie's value, once its attributes are what they must be."""
    header = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}="))
    value, *attributes = [part.strip() for part in header.split(";")]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    return value.partition("=")[2]


def signed_in(site, *scopes):
    answer = site.sign_in(site.token("ann", *(scopes or ("read",))))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return {COOKIE: cookie_of(answer)}


@pytest.mark.parametrize("path", [*BOARD, *OPERATORS])
def test_without_a_token_a_hosted_server_shows_nothing_but_the_way_in(hosted, path):
    hosted.race()
    page = hosted.ask(path)
    assert page.status_code == 401
    if not path.startswith("/events/"):
        assert 'action="/sign-in"' in page.text
    assert hosted.ask("/sign-in").status_code == 200
    assert hosted.ask("/static/igla.css").status_code == 200


def test_a_good_token_makes_a_cookie_that_opens_pages_and_nothing_else(hosted):
    hosted.race()
    cookies = signed_in(hosted, "admin")
    for path in [*BOARD, "/queue", "/connect"]:
        assert hosted.ask(path, cookies=cookies).status_code == 200, path
    assert "ann" in hosted.ask("/", cookies=cookies).text
    for method, path in (("POST", "/api/glossary"), ("POST", "/mcp"), ("GET", "/artifacts/" + "0" * 64),
                         ("PUT", "/artifacts/" + "0" * 64), ("GET", "/openapi.json"), ("POST", "/queue")):  # fmt: skip
        assert hosted.ask(path, method, cookies=cookies).status_code == 401, path


def test_the_operator_of_the_environment_can_sign_in_and_ends_with_the_token(hosted):
    answer = hosted.sign_in("operator-secret", next="/queue")
    cookies = {COOKIE: cookie_of(answer)}
    assert answer.headers["location"] == "/queue"
    assert hosted.ask("/queue", cookies=cookies).status_code == 200
    secret = cookies[COOKIE]
    with hosted.runtime.store.reading() as session:
        assert web_sessions.verify(session, secret, utc_now(), "operator-secret").scopes == {"admin"}
        assert web_sessions.verify(session, secret, utc_now(), "another") is None
        assert web_sessions.verify(session, secret, utc_now(), None) is None


@pytest.mark.parametrize("token", ["", "igla_wrong", "x" * 5000, "\u00e9", "igla_\x00", "operator-secre"])
def test_a_bad_token_is_refused_and_makes_no_session(hosted, token):
    answer = hosted.sign_in(token)
    assert answer.status_code == 401
    assert "unknown, expired or revoked" in answer.text
    assert COOKIE not in answer.headers.get("set-cookie", "")
    assert token == "" or token not in answer.text


def test_wrong_tokens_are_bounded_for_their_address_and_no_other(hosted):
    settings = hosted.runtime.settings.model_copy(update={"rate_failures": "3/minute"})
    limited = Site(runtime=replace(hosted.runtime, settings=settings))
    answers = [limited.sign_in("igla_wrong").status_code for _ in range(4)]
    assert answers == [401, 401, 401, 429]
    stopped = limited.sign_in(limited.token())
    assert (stopped.status_code, "rate_limited" in stopped.text) == (429, True)
    assert int(stopped.headers["retry-after"]) > 0
    limited.client = ("192.0.2.8", 5000)
    assert limited.sign_in(limited.token("bob")).status_code == 303


def test_signing_in_and_out_leaves_a_row_of_who_did(hosted):
    secret = hosted.token("ann", "read")
    hosted.ask("/sign-out", "POST", cookies={COOKIE: cookie_of(hosted.sign_in(secret))})
    hosted.sign_in("igla_wrong")
    with hosted.runtime.store.reading() as session:
        rows = [(row.action, row.principal, row.credential, row.doorway) for row in audit.rows(session)]
    assert rows == [("sign out", "ann", secret[:13], "http"), ("sign in", "ann", secret[:13], "http")]


def test_activity_is_for_operators_alone(hosted):
    reader, operator = (
        signed_in(hosted, "read", "submit", "work"),
        {COOKIE: cookie_of(hosted.sign_in("operator-secret"))},
    )
    for path in ("/activity", "/events/activity", "/events/traffic"):
        assert hosted.ask(path, cookies=reader).status_code == 403, path
    assert "/activity" not in hosted.ask("/", cookies=reader).text
    page = hosted.ask("/activity", cookies=operator)
    assert (page.status_code, page.text.count("sign in"), "Nobody has called a tool" in page.text) == (200, 2, True)
    assert hosted.ask("/activity?before=1", cookies=operator).status_code == 200
    assert "operator-secret" not in page.text


def test_a_session_has_the_scopes_of_its_token_and_ends_when_it_does(hosted):
    secret = hosted.token("ann", "read", "submit")
    cookie = cookie_of(hosted.sign_in(secret))
    now = utc_now()

    def holder(at=now):
        return hosted.do(web_sessions.verify, cookie, at, None)

    assert (holder().name, holder().scopes, holder().credential) == ("ann", {"read", "submit"}, secret[:13])
    assert holder(now + timedelta(hours=web_sessions.HOURS, seconds=1)) is None
    hosted.do(tokens.revoke, "ann", now)
    assert holder() is None


def test_a_session_ends_no_later_than_its_token_expires(hosted):
    secret = hosted.token("ann", "read", expires_at=utc_now() + timedelta(hours=1))
    cookie = cookie_of(hosted.sign_in(secret))
    assert hosted.do(web_sessions.verify, cookie, utc_now(), None).name == "ann"
    assert hosted.do(web_sessions.verify, cookie, utc_now() + timedelta(hours=2), None) is None


def test_signing_out_ends_the_session_at_once_and_for_good(hosted):
    cookies = signed_in(hosted)
    assert hosted.ask("/glossary", cookies=cookies).status_code == 200
    answer = hosted.ask("/sign-out", "POST", cookies=cookies)
    assert (answer.status_code, cookie_of(answer)) == (303, '""')
    assert hosted.ask("/glossary", cookies=cookies).status_code == 401
    assert hosted.do(web_sessions.verify, cookies[COOKIE], utc_now(), None) is None


def test_neither_the_cookie_nor_the_token_is_in_the_database(hosted):
    secret = hosted.token("ann", "read")
    cookie = cookie_of(hosted.sign_in(secret))
    held = b"".join(file.read_bytes() for file in hosted.runtime.settings.data.glob("igla.db*"))
    assert cookie.encode() not in held
    assert secret.encode() not in held


def test_a_public_board_shows_races_to_everybody_and_the_queue_to_nobody_new(tmp_path, hosted):
    hosted.race()
    hosted.runtime = replace(hosted.runtime, settings=hosted.runtime.settings.model_copy(update={"public_board": True}))
    hosted.__post_init__()
    for path in BOARD:
        page = hosted.ask(path)
        assert (page.status_code, "/queue" in page.text) == (200, False), path
    for path in OPERATORS:
        assert hosted.ask(path).status_code == 401, path
    assert hosted.ask("/api/leaderboard", "POST").status_code == 401
    assert hosted.ask("/races/cup", "POST").status_code == 401


def test_a_form_of_another_site_cannot_sign_anybody_in_or_out(hosted):
    token = hosted.token()
    for path in ("/sign-in", "/sign-out", "/theme"):
        for origin in ("http://evil.example", "null"):
            answer = hosted.ask(path, "POST", form={"token": token}, headers={"Origin": origin})
            assert (answer.status_code, "wrong_origin" in answer.text) == (403, True)


def test_over_https_the_cookie_travels_over_https_alone(hosted):
    answer = hosted.ask("https://localhost/sign-in", "POST", form={"token": hosted.token()})
    assert "Secure" in answer.headers["set-cookie"]


def test_behind_a_proxy_that_is_not_trusted_the_public_address_says_that_it_is_https(hosted):
    settings = hosted.runtime.settings.model_copy(update={"public_url": "https://igla.example"})
    site = Site(runtime=replace(hosted.runtime, settings=settings))
    for host, is_secure in (("igla.example", True), ("localhost", False)):
        answer = site.ask(f"http://{host}/sign-in", "POST", form={"token": site.token()})
        assert ("Secure" in answer.headers["set-cookie"]) is is_secure


def test_on_loopback_without_tokens_everything_is_open(site):
    assert site.ask("/queue").status_code == 200
    assert site.ask("/queue", cookies={COOKIE: "stale"}).status_code == 200


def test_colours_are_chosen_by_a_form_and_kept(site):
    answer = site.ask("/theme", "POST", form={"theme": "dark", "next": "/glossary"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/glossary")
    assert "igla_theme=dark" in answer.headers["set-cookie"]
    assert 'data-theme="dark"' in site.ask("/", cookies={"igla_theme": "dark"}).text
    assert 'data-theme="auto"' in site.ask("/", cookies={"igla_theme": '"><b>'}).text
    assert "set-cookie" not in site.ask("/theme", "POST", form={"theme": "red"}).headers


@given(st.text() | st.sampled_from(["//evil.example", "/\\evil", "https://evil", "/a\r\nb", "/sign-out", ""]))
def test_nobody_is_sent_to_another_site(path):
    target = local(path)
    assert target.startswith("/")
    assert not target.startswith(("//", "/\\", "/sign-"))
    assert "\\" not in target
    assert target.isprintable()


def test_a_stranger_who_signs_out_leaves_no_row(hosted):
    answer = hosted.ask("/sign-out", "POST", cookies={COOKIE: "invented"})
    assert (answer.status_code, cookie_of(answer), hosted.do(audit.rows)) == (303, '""', [])


def test_a_stream_ends_with_the_token_of_who_opened_it_and_tells_nothing_more(hosted, monkeypatch):
    monkeypatch.setattr(door, "REMEMBER_SECONDS", -1.0)
    race, secret = hosted.race(), hosted.token("ann", "read")
    told = opened(
        hosted,
        "/events/races/cup",
        cookie_of(hosted.sign_in(secret)),
        lambda: hosted.do(tokens.revoke, "ann", utc_now()),
    )
    assert (told[-1], race.name) == ({"type": "http.response.body", "body": b"", "more_body": False}, "cup")
    assert len(told) == 2 + told.index("revoked")


def opened(site, path, cookie, revoke):
    """What an address sends until it ends; once everything stands there, the token is revoked and the race changes."""
    told = []

    async def send(message):
        told.append(message)
        if b"id: " in message.get("body", b""):
            await asyncio.to_thread(revoke)
            told.append("revoked")
            await asyncio.to_thread(site.submit, site.do(races.find, "cup"))

    async def whole():
        headers = [(b"host", b"localhost"), (b"cookie", f"{COOKIE}={cookie}".encode())]
        told_of = {"client": site.client, "scheme": "http", "http_version": "1.1", "server": ("localhost", 80)}
        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, **told_of}
        async with asyncio.timeout(20):
            await site.app(scope, asyncio.Event().wait, send)

    asyncio.run(whole())
    return told
