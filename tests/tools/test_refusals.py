"""What an agent may not do: each is refused with its code and the next step, and no table changes."""

import asyncio
import math

import pytest
from sqlalchemy import MetaData

from errors import Refusal
from server.runtime import open_runtime
from server.settings import Settings
from server.toolbox import call, toolbox
from tests.serving import TINY

TOOLS = toolbox()
NATS = 3.0 * math.log(2)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    opened = open_runtime(Settings(data=tmp_path_factory.mktemp("refusals")))
    yield opened
    opened.store.close()


@pytest.fixture(scope="module")
def held(runtime):
    """A claimed job with one sample at step 2: 3.0 bits per byte over 1000 bytes."""
    plan = {"base": TINY, "budget_bytes": 9 * 256 * 8, "seeds": [1]}
    use(runtime, "plan_race", plan=plan, race="cup")
    ticket = use(runtime, "claim_job", worker="agent", race="cup")["tickets"][0]
    held = {"job_id": ticket["job_id"], "fence": ticket["fence"], "effective_digest": ticket["recipe_digest"]}
    assert use(runtime, "write_bpb", **held, samples=[sample(2)])["stored"] == 1
    return held


def use(runtime, tool, **arguments):
    return asyncio.run(call(TOOLS[tool], runtime.context(), arguments))


def sample(step, bpb=3.0, nats=None):
    return {
        "step": step,
        "bpb": bpb,
        "nll_sum": nats if nats is not None else bpb * 1000 * math.log(2),
        "byte_count": 1000,
    }


def tables(runtime):
    """Every row of every table but `change`, in which it is told a moment later what was done before."""
    with runtime.store.reading() as session:
        metadata = MetaData()
        metadata.reflect(session.connection())
        return {
            t.name: sorted(map(repr, session.connection().execute(t.select())))
            for t in metadata.sorted_tables
            if t.name != "change"
        }


WRONG_SAMPLES = [
    (sample(3, math.nan), "invalid_bpb"),
    (sample(3, math.inf), "invalid_bpb"),
    (sample(3, -1.0), "invalid_bpb"),
    (sample(3, 0.0002), "invalid_bpb"),
    (sample(3, 9.5), "invalid_bpb"),
    (sample(3, 3.0, nats=1999.0), "invalid_bpb"),
    (sample(1), "invalid_step"),
    (sample(9), "invalid_step"),
    (sample(2, 2.9), "sample_conflict"),
]


@pytest.mark.parametrize(("wrong", "code"), WRONG_SAMPLES)
def test_a_wrong_sample_is_refused_with_its_reason(runtime, held, wrong, code):
    refused(runtime, code, "write_bpb", **held, samples=[wrong])


def test_a_right_sample_beside_a_wrong_one_is_not_stored_either(runtime, held):
    refused(runtime, "invalid_bpb", "write_bpb", **held, samples=[sample(3), sample(4, math.nan)])


def test_a_label_that_did_not_reach_the_engine_is_refused(runtime, held):
    refused(runtime, "wrong_digest", "write_bpb", **{**held, "effective_digest": "0" * 64}, samples=[sample(3)])


def test_a_checkpoint_that_nobody_holds_is_refused(runtime, held):
    refused(runtime, "artifact_missing", "write_bpb", **held, samples=[sample(3)], checkpoint="0" * 64)


@pytest.mark.parametrize("tool", ["write_bpb", "heartbeat", "release_job", "run_chunk"])
def test_a_late_writer_with_an_old_fence_gets_lease_lost(runtime, held, tool):
    late = {"job_id": held["job_id"], "fence": held["fence"] - 1}
    if tool == "write_bpb":
        late |= {"samples": [sample(3)], "effective_digest": held["effective_digest"]}
    refused(runtime, "lease_lost", tool, **late)


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        ({"optimizer": "adamww"}, "unknown_name"),
        ({"widht": 64}, "unknown_name"),
        ({"width": 7}, "invalid_value"),
        ({"width": "64"}, "invalid_value"),
        ({"composition": "attention", "rule": "delta"}, "impossible_combination"),
        ({"optimizer": "adamw", "muon.lr": 0.1}, "impossible_combination"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_before_it_is_queued(runtime, held, recipe, code):
    refused(runtime, code, "submit_job", race="cup", recipe=recipe)
    refused(runtime, code, "plan_race", race="cup", plan={"recipes": [{}, recipe]})


def test_an_unknown_argument_is_refused(runtime, held):
    refused(runtime, "unknown_argument", "leaderboard", race="cup", limt=3)


def test_a_race_is_not_changed_by_a_plan_with_other_settings(runtime, held):
    refused(runtime, "race_exists", "plan_race", race="cup", plan={"base": TINY, "budget_bytes": 1_000_000})


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    "wrong", [{"budget_bytes": 0}, {"seeds": []}, {"grid": {"width": []}}, {"quorum": -1}, {"chunks": [1]}]
)
def test_a_race_that_could_not_be_run_is_not_planned(runtime, held, wrong, dry_run):
    refused(runtime, "invalid_value", "plan_race", race="new", plan={"base": TINY, **wrong}, dry_run=dry_run)


def test_a_number_that_the_store_cannot_hold_is_refused(runtime, held):
    huge = 10**20
    refused(runtime, "invalid_value", "heartbeat", job_id=held["job_id"], fence=10**30)
    for name in ("step", "byte_count"):
        refused(runtime, "invalid_value", "write_bpb", **held, samples=[{**sample(3), name: huge}])


def test_claimed_numbers_never_rank(runtime, held):
    use(runtime, "plan_race", plan={"base": TINY, "budget_bytes": 9 * 256 * 8, "seeds": [1, 2]}, race="claims")
    for ticket in use(runtime, "claim_job", worker="agent", race="claims", n=2)["tickets"]:
        mine = {"job_id": ticket["job_id"], "fence": ticket["fence"], "effective_digest": ticket["recipe_digest"]}
        written = use(runtime, "write_bpb", **mine, samples=[sample(ticket["total_steps"])])
        assert (written["provenance"], written["decision"]["action"]) == ("claimed", "done")
    assert use(runtime, "leaderboard", race="claims")["rows"] == []
    (row,) = use(runtime, "leaderboard", race="claims", provenance="claimed")["rows"]
    assert (row["mean"], row["n"], row["provenance"]) == (3.0, 2, "claimed")


def refused(runtime, code, tool, **arguments):
    """The call is refused with this code and a next step, and leaves every table as it was."""
    before = tables(runtime)
    with pytest.raises(Refusal) as caught:
        use(runtime, tool, **arguments)
    assert caught.value.code == code
    assert caught.value.next_step
    assert tables(runtime) == before
