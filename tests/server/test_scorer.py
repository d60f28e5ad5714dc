"""Claimed samples with a checkpoint are measured by the server's scorer, and only what it measured counts."""

import asyncio

import pytest
from sqlalchemy import text

from db import scores
from db.jobs import LeaseLost
from db.queue import QueueEmpty
from server.scorer import Scorer
from tests.remote import RECIPE, TOOLS, Hand, call, small_race, use
from training.corpus import Corpus
from training.rescore import rescore


@pytest.fixture
def scorer(runtime):
    return Scorer(name="scorer-0", runtime=runtime)


@pytest.fixture
def hand(runtime):
    small_race(runtime)
    return Hand(runtime=runtime)


def drain(scorer):
    """Measure all that waits and tell how many that were."""
    count = 0
    while scorer.work_once():
        count += 1
    return count


def decisions(hand):
    return [(one["action"], one["reason"]) for one in hand.status["decisions"]]


def test_a_true_checkpoint_is_measured_to_the_last_bit(hand, scorer):
    chunk = hand.train()
    written = hand.report(chunk)
    assert (written["provenance"], written["decision"]["reason"]) == ("claimed", "claimed")
    assert drain(scorer) == 1
    assert hand.curve == [(10, chunk.score.bpb, "measured")]
    (sample,) = hand.status["curve"]
    assert (sample["nll_sum"], sample["measured_by"]) == (chunk.score.nll_sum, "scorer-0")
    assert (sample["checkpoint"], sample["environment"]) == (chunk.checkpoint, chunk.environment)
    assert decisions(hand) == []


def test_a_measured_race_ranks_and_a_claimed_one_does_not(runtime, hand, scorer):
    chunks = []
    while hand.step < hand.ticket["total_steps"]:
        chunks.append(hand.train())
        last = hand.report(chunks[-1])
    assert (last["decision"]["action"], hand.status["job"]["state"]) == ("done", "done")
    assert use(runtime, "leaderboard", race="cup")["rows"] == []
    assert drain(scorer) == 3
    (row,) = use(runtime, "leaderboard", race="cup")["rows"]
    assert (row["mean"], row["provenance"]) == (chunks[-1].score.bpb, "measured")
    assert use(runtime, "leaderboard", race="cup", provenance="claimed")["rows"] == []


def test_a_claim_that_differs_gives_way_to_the_measured_value_and_is_told(hand, scorer):
    chunk = hand.train()
    hand.report(chunk, factor=0.9)
    drain(scorer)
    assert hand.curve == [(10, chunk.score.bpb, "measured")]
    assert decisions(hand) == [("remeasure", "claim_differs")]
    numbers = hand.status["decisions"][0]["numbers"]
    assert (numbers["claimed"], numbers["measured"]) == (chunk.score.bpb * 0.9, chunk.score.bpb)


def test_a_run_is_stopped_by_the_measured_value_whatever_it_claimed(runtime, scorer):
    recipes = [{**RECIPE, "muon.lr": rate} for rate in (0.02, 0.021, 0.022, 1e-6)]
    small_race(runtime, recipes=recipes[:3])
    for _ in range(3):
        good = Hand(runtime=runtime)
        while good.step < good.ticket["total_steps"]:
            good.report(good.train())
    drain(scorer)
    use(runtime, "submit_job", race="cup", recipe={**recipes[3], "muon.embedding_lr": 0.01})
    bad = Hand(runtime=runtime)
    assert bad.report(bad.train(), factor=0.5)["decision"]["action"] == "continue"
    drain(scorer)
    assert decisions(bad) == [("prune", "far_above_median"), ("remeasure", "claim_differs")]
    assert bad.status["job"]["state"] == "pruned"
    with pytest.raises(LeaseLost):
        bad.report(bad.train())


@pytest.mark.parametrize("lie", ["seed", "step", "bytes"])
def test_a_checkpoint_of_other_weights_is_refused_and_the_run_starts_over(runtime, hand, scorer, lie):
    chunk = hand.train()
    if lie == "seed":
        hand.checkpoint = None
        other = hand.train(seed=hand.ticket["seed"] + 1).checkpoint
    elif lie == "step":
        other = hand.train(steps=1).checkpoint
    else:
        other = runtime.artifacts.put(b"no checkpoint at all")
    hand.report(chunk, checkpoint=other)
    drain(scorer)
    assert hand.curve == []
    job = hand.status["job"]
    assert (job["state"], job["checkpoint"], job["last_step"]) == ("queued", None, 0)
    assert [action for action, _ in decisions(hand)] == ["reject"]
    assert other not in runtime.artifacts
    with pytest.raises(LeaseLost):
        hand.report(chunk)


def test_a_finished_job_with_a_refused_checkpoint_is_trained_again_by_somebody_else(runtime, hand, scorer):
    while hand.step < hand.ticket["total_steps"]:
        chunk = hand.train()
        hand.report(chunk, **({"checkpoint": runtime.artifacts.put(b"lost")} if hand.step == 30 else {}))
    drain(scorer)
    assert hand.status["job"]["state"] == "queued"
    for board in ("measured", "claimed"):
        assert use(runtime, "leaderboard", race="cup", provenance=board)["rows"] == []
    again = Hand(runtime=runtime)
    while again.step < 30:
        again.report(again.train())
    drain(scorer)
    assert again.curve[-1] == (30, chunk.score.bpb, "measured")
    assert use(runtime, "leaderboard", race="cup")["rows"][0]["mean"] == chunk.score.bpb


def send_garbage(runtime, hand, scorer):
    """Claim the job again and again, with garbage for a checkpoint."""
    for attempt in range(20):
        hand.report(hand.train(), checkpoint=runtime.artifacts.put(b"garbage %d" % attempt))
        drain(scorer)
        hand = Hand(runtime=runtime)


def test_one_who_only_sends_garbage_ends_the_job_and_not_the_queue(runtime, hand, scorer):
    with pytest.raises(QueueEmpty):
        send_garbage(runtime, hand, scorer)
    assert hand.status["job"]["state"] == "errored"


def test_checkpoints_that_nobody_goes_on_from_are_let_go(runtime, hand, scorer):
    first, second = hand.train(), None
    hand.report(first)
    second = hand.train()
    hand.report(second)
    assert first.checkpoint in runtime.artifacts
    drain(scorer)
    assert first.checkpoint not in runtime.artifacts
    assert second.checkpoint in runtime.artifacts


def test_a_scorer_that_died_loses_nothing(runtime, hand, scorer):
    hand.report(hand.train())
    now = runtime.context().now
    with runtime.store.transaction() as session:
        lost = scores.lease(session, "dead", now, 60)
    assert not scorer.work_once()
    with runtime.store.transaction() as session:
        session.connection().execute(text("UPDATE score_request SET lease_expires_at = '2001-01-01 00:00:00'"))
    assert scorer.work_once()
    assert hand.status["provenance"] == "measured"
    with pytest.raises(LeaseLost), runtime.store.transaction() as session:
        scores.refuse(session, lost, scores.ScorersFailed(""), now)


def test_a_checkpoint_over_which_scorers_die_is_refused(runtime, hand, scorer):
    hand.report(hand.train())
    with runtime.store.transaction() as session:
        session.connection().execute(text("UPDATE score_request SET fence = 5"))
    drain(scorer)
    assert decisions(hand) == [("reject", "scorers_failed")]


def test_a_request_whose_sample_is_gone_is_closed(runtime, hand, scorer):
    hand.report(hand.train())
    hand.use("release_job", **hand.held)
    other = asyncio.run(claim_elsewhere(runtime))
    assert (other["start_step"], other["checkpoint"]) == (0, None)
    assert drain(scorer) == 0
    with runtime.store.reading() as session:
        states = session.connection().execute(text("SELECT state FROM score_request")).scalars().all()
    assert states == ["done"]


async def claim_elsewhere(runtime):
    """The job's ticket for a worker in another environment."""
    claimed = await call(TOOLS["claim_job"], runtime.context(), {"worker": "w", "environment": "e" * 64})
    return claimed["tickets"][0]


def test_the_score_of_a_private_corpus_is_measured_here(runtime, scorer):
    small_race(runtime, name="secret", heldout="private")
    hand = Hand(runtime=runtime, race="secret")
    chunk = hand.train()
    hand.report(chunk, factor=1.1)
    drain(scorer)
    assert hand.curve == [(10, chunk.score.bpb, "measured")]


def test_rescoring_is_what_the_chunk_did(runtime, hand):
    chunk = hand.train()
    corpus = Corpus.load(hand.ticket["corpus"], runtime.artifacts)
    found = rescore(
        runtime.artifacts.get(chunk.checkpoint), corpus.split("validation"), documents=corpus.lengths("validation"),
        recipe_digest=chunk.effective_digest, seed=hand.ticket["seed"], total_steps=30, step=10,
    )  # fmt: skip
    assert found.score == chunk.score
    assert (found.environment, found.same_environment) == (chunk.environment, True)
