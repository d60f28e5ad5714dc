import pytest

from db import races
from db.races import RaceExists
from errors import InvalidValue, UnknownName


def test_a_race_comes_back_as_it_was_made(world):
    made = world.race(
        seeds=(3, 1), rungs=((1, 4), (1, 1)), chunks=(1, 2), sanity=(0.5, 9.0), quorum=7, heldout="private"
    )
    found = world.look(races.find, "r")
    assert found == made == world.look(races.by_id, made.id)
    assert (found.seeds, found.rungs, found.chunks, found.sanity) == ((3, 1), ((1, 4), (1, 1)), (1, 2), (0.5, 9.0))
    assert found.created_at == world.now


def test_making_a_race_again_gives_the_one_that_is_there(world):
    made = world.race()
    world.wait(1)
    before = world.dump()
    assert world.race() == made
    assert world.dump() == before


@pytest.mark.parametrize(
    "changed", [{"seeds": (5, 11)}, {"budget_bytes": 9001}, {"corpus": "d" * 64}, {"quorum": 3}, {"eta": 4}]
)
def test_the_same_name_with_other_settings_is_refused(world, unchanged, changed):
    world.race()
    with unchanged(RaceExists, f"race_exists: Race r exists with another {next(iter(changed))}"):
        world.race(**changed)


def test_an_unknown_race_is_refused_with_the_nearest_name(world):
    world.race("spring-2030")
    with pytest.raises(UnknownName, match="spring-2030"):
        world.look(races.find, "sprin-2030")


def test_races_are_listed_oldest_first(world):
    for name in ("b", "a"):
        world.race(name)
        world.wait(1)
    assert [race.name for race in world.look(races.listing)] == ["b", "a"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "Race"},
        {"name": "-r"},
        {"name": "r" * 65},
        {"name": "r\n"},
        {"seeds": ()},
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"seeds": (2**63,)},
        {"budget_bytes": 0},
        {"warmup_fraction": 1.0},
        {"rungs": ()},
        {"rungs": ((1, 3), (1, 9), (1, 1))},
        {"rungs": ((1, 9), (1, 3))},
        {"rungs": ((1, 0), (1, 3), (1, 1))},
        {"rungs": ((1, 1), (2, 2), (1, 1))},
        {"chunks": (2, 3)},
        {"chunks": (2, 0, 1)},
        {"eta": 1},
        {"quorum": -1},
        {"sanity": (8.0, 0.3)},
        {"sanity": (0.3, float("nan"))},
        {"heldout": "secret"},
    ],
)
def test_what_could_not_be_raced_is_refused(world, unchanged, wrong):
    with unchanged(InvalidValue, next(iter(wrong))):
        world.race(**{"name": "r", **wrong})


def test_a_quorum_shrinks_with_the_rungs_and_without_one_eta_recipes_are_waited_for(world):
    usual, large = world.race("usual"), world.race("large", quorum=20)
    assert [usual.quorum_at(rung) for rung in range(3)] == [3, 3, 3]
    assert [large.quorum_at(rung) for rung in range(3)] == [20, 6, 2]


def test_a_rung_trains_on_its_share_of_the_budget(world):
    assert [world.race(budget_bytes=1000).bytes_at(rung) for rung in range(3)] == [111, 333, 1000]
