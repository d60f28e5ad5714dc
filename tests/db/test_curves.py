from db import curves


def test_only_the_latest_measured_runs_are_peers(world, monkeypatch):
    race = world.race(seeds=(1,), quorum=100)
    for digest, bpb in (("old", 3.0), ("late", 2.0)):
        world.run_recipe(race, digest, [bpb])
        world.wait(1)
    world.run_recipe(race, "hearsay", [1.0], provenance="claimed")
    world.submit(race, "now")
    job = world.job(world.claim_one().job_id)
    assert world.look(curves.peers, job) == (((1.0, 2.0),), ((1.0, 3.0),))
    monkeypatch.setattr(curves, "MOST_PEERS", 1)
    assert world.look(curves.peers, job) == (((1.0, 2.0),),)


def test_a_recipe_is_not_its_own_peer_and_other_races_and_rungs_are_none(world):
    race = world.race(seeds=(1, 2), quorum=1, eta=2, rungs=((1, 9), (1, 1)), chunks=(2, 2))
    world.run_recipe(race, "a", [2.0, 2.1])
    world.run_recipe(world.race("other", seeds=(1,)), "b", [1.0])
    world.run_recipe(race, "c", [1.9, 1.8])
    mine = next(job for job in (world.job(ticket.job_id) for ticket in world.claim(race_id=race.id)))
    assert (mine.recipe_digest, mine.rung) == ("c", 1)
    assert world.look(curves.peers, mine) == ()
    world.submit(race, "b", priority=100)
    first, second = world.claim(race_id=race.id, n=2)
    world.finish(first, 3.0)
    assert ((1.0, 3.0),) not in world.look(curves.peers, world.job(second.job_id))


def test_the_curve_of_a_job_is_in_the_order_of_its_steps(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (10, 3.0), (20, 2.5), (30, 2.0), provenance="claimed")
    assert [(one.step, one.bpb, one.checkpoint) for one in world.curve(ticket.job_id)] == [
        (10, 3.0, None), (20, 2.5, None), (30, 2.0, "chk"),
    ]  # fmt: skip
