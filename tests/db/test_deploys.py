"""The switch, the account that one call holds, and what is stored of a worker."""

from datetime import UTC, datetime, timedelta

import pytest

from db import deploys

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def test_the_switch_keeps_when_and_by_whom_until_it_is_turned_on(world):
    assert world.look(deploys.switched_off) is None
    world.do(deploys.turn, off=True, by="me", now=NOW)
    world.do(deploys.turn, off=True, by="you", now=NOW + timedelta(1))
    assert world.look(deploys.switched_off) == deploys.Off(since=NOW, by="me")
    world.do(deploys.turn, off=False, by="you", now=NOW)
    assert world.look(deploys.switched_off) is None


def test_an_account_is_held_by_one_at_a_time_and_freed_by_its_end_or_by_time(world):
    first = world.do(deploys.begin, "main", NOW, 60.0)
    with pytest.raises(deploys.DeployBusy):
        world.do(deploys.begin, "main", NOW + timedelta(seconds=59), 60.0)
    world.do(deploys.begin, "other", NOW, 60.0)
    second = world.do(deploys.begin, "main", NOW + timedelta(seconds=60), 60.0)
    world.do(deploys.end, "main", first)
    with pytest.raises(deploys.DeployBusy):
        world.do(deploys.begin, "main", NOW + timedelta(seconds=61), 60.0)
    world.do(deploys.end, "main", second)
    world.do(deploys.begin, "main", NOW + timedelta(seconds=61), 60.0)


def test_holding_an_account_does_not_turn_deploys_off(world):
    world.do(deploys.begin, "main", NOW, 60.0)
    assert world.look(deploys.switched_off) is None


def test_what_a_worker_did_is_found_by_its_name_with_measured_values_only(world):
    world.submit(world.race(seeds=(1, 2)))
    ticket = world.claim_one(worker="fleet-rng1")
    world.write(ticket, (50, 3.0))
    (found,) = world.look(deploys.work_of, ["fleet-rng1", "fleet-rng2"])
    assert (found.worker, found.rung, found.seed, found.state) == ("fleet-rng1", 1, ticket.seed, "running")
    assert found.measured == {50: 3.0}
    assert found.last_sign is not None
    assert world.look(deploys.workers_like, "fleet-rng") == ["fleet-rng1"]
    assert world.look(deploys.workers_like, "fleet_rng") == []
    assert world.look(deploys.work_of, []) == []
