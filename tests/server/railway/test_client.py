"""The client's manners: one connection, limits kept, errors as codes, secrets nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from server.railway.accounts import Account
from server.railway.apply import set_variables
from server.railway.client import (
    LONGEST_PAUSE,
    MOST_TRIES,
    Railway,
    RailwayRateLimited,
    RailwayRefused,
    RailwayUnauthorized,
    RailwayUnavailable,
    pause_before_next,
    retry_after,
    without,
)
from server.railway.published import deploy_published, workflow_state
from tests.railway_fake import ENVIRONMENT, PROJECT, simulated_railway


@pytest.fixture
def client(railway, account):
    """A function that gives a client and the pauses that it made."""
    made = []

    def connect(of=account):
        pauses = []
        made.append(Railway(of, lambda: None, url=railway.url, gap=0, sleep=pauses.append))
        return made[-1], pauses

    yield connect
    for one in made:
        one.close()


def read(client):
    return client.query("project", id=PROJECT, first=1, after=None)["name"]


def test_one_connection_serves_many_calls(client, railway):
    one, _ = client()
    assert [read(one) for _ in range(5)] == ["race"] * 5
    assert railway.connections == 1


@pytest.mark.parametrize("kind", ["account", "workspace", "oauth"])
def test_other_tokens_than_a_projects_travel_as_bearer(kind):
    with simulated_railway(token="Bearer secret", header="Authorization") as railway:
        account = Account(
            alias="a", kind=kind, project=PROJECT, environment=ENVIRONMENT, token=SecretStr("secret"), image="i"
        )
        one = Railway(account, lambda: None, url=railway.url, gap=0)
        assert read(one) == "race"
        one.close()


def test_a_limit_is_waited_out_as_long_as_the_answer_says_for_mutations_too(client, railway):
    one, pauses = client()
    railway.trouble.extend([(429, {"Retry-After": "7"}), (429, {"Retry-After": "2"})])
    given = {"projectId": PROJECT, "environmentId": ENVIRONMENT, "name": "w"}
    assert one.mutate("serviceCreate", input=given)["name"] == "w"
    assert pauses == [7.0, 2.0]
    assert railway.mutations == ["serviceCreate"]


def test_a_long_wait_is_left_to_the_caller(client, railway):
    one, pauses = client()
    railway.trouble.append((429, {"Retry-After": "3600"}))
    with pytest.raises(RailwayRateLimited, match="in 3600 s"):
        read(one)
    assert pauses == []


@pytest.mark.parametrize("trouble", [503, 0])
def test_a_query_is_sent_again_after_a_failure_on_the_way_and_a_mutation_is_not(client, railway, trouble):
    one, pauses = client()
    railway.trouble.append((trouble, {}))
    assert read(one) == "race"
    assert len(pauses) == 1
    railway.trouble.append((trouble, {}))
    with pytest.raises(RailwayUnavailable):
        one.mutate("serviceDelete", service="s", environment=ENVIRONMENT)
    assert railway.mutations == []


def test_a_server_that_never_answers_well_is_given_up(client, railway):
    one, pauses = client()
    railway.trouble.extend([(502, {})] * MOST_TRIES)
    with pytest.raises(RailwayUnavailable):
        read(one)
    assert len(pauses) == MOST_TRIES - 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, RailwayUnauthorized), (403, RailwayUnauthorized), (400, RailwayRefused)]
)
def test_a_status_is_a_code(client, railway, status, kind):
    one, _ = client()
    railway.trouble.append((status, {}))
    with pytest.raises(kind):
        read(one)


def test_a_wrong_token_is_told_from_a_wrong_request(client, account):
    one, _ = client(account.model_copy(update={"token": SecretStr("other")}))
    with pytest.raises(RailwayUnauthorized, match="account main"):
        read(one)
    one, _ = client()
    with pytest.raises(RailwayRefused, match="refused serviceDelete"):
        one.mutate("serviceDelete", service="nobody", environment=ENVIRONMENT)


def test_the_words_of_an_error_are_logged_without_the_secrets_that_it_repeats(client, railway, account):
    one, _ = client()
    service = railway.add("w")
    railway.fails.append(("variableCollectionUpsert", "hunter2"))
    with capture_logs() as lines, pytest.raises(RailwayRefused) as refused:
        set_variables(
            one, service["id"], {"PASSWORD": "hunter2", "LONGER": f"hunter2{account.token.get_secret_value()}"}
        )
    (line,) = [line for line in lines if line["event"] == "railway_refused"]
    assert "Problem processing request" in line["said"]
    for text in (str(line), str(refused.value), repr(one), repr(account), repr(refused.value)):
        assert "hunter2" not in text
        assert account.token.get_secret_value() not in text


def test_requests_keep_a_distance(railway, account):
    pauses = []
    one = Railway(account, lambda: None, url=railway.url, gap=1000.0, sleep=pauses.append)
    read(one), read(one), read(one)
    one.close()
    assert 900 < pauses[0] < 1000 < pauses[1] < 2000


def test_a_published_template_is_deployed_and_followed(client, railway):
    one, _ = client()
    workflow = deploy_published(one, "igla")
    assert workflow_state(one, workflow) == "Running"
    railway.workflows[workflow] = "Complete"
    assert workflow_state(one, workflow) == "Complete"
    assert workflow_state(one, "nobody") == "NotFound"
    assert railway.named("igla")["source"] == {"image": "igla"}
    with pytest.raises(RailwayRefused):
        deploy_published(one, "nobody")


statuses = st.sampled_from([0, 400, 401, 404, 429, 500, 502, 503])


@given(statuses, st.integers(0, 200), st.integers(1, 6), st.booleans())
def test_what_may_have_been_done_is_never_sent_twice_and_no_wait_is_endless(status, seconds, tried, is_mutation):
    pause = pause_before_next(status, {"Retry-After": str(seconds)}, tried, is_mutation=is_mutation, now=0.0)
    if pause is not None:
        assert 0 <= pause <= LONGEST_PAUSE
        assert tried < MOST_TRIES
        assert status == 429 or (not is_mutation and (status == 0 or status >= 500))
    if status == 429 and tried < MOST_TRIES and seconds <= LONGEST_PAUSE:
        assert pause == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("Tue, 01 Jan 2030 00:00:09 GMT", 9.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("soon", 1.0),
        ("", 1.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after({"retry-after": text}, 1893456000.0) == seconds


@given(st.text(), st.lists(st.text(alphabet="abc", min_size=1), max_size=4))
def test_no_secret_is_left_in_a_text(text, secrets):
    covered = without(f"{text}{''.join(secrets)}", secrets)
    assert not any(secret in covered for secret in secrets)
