from db import artifacts


def record(world, digest="a" * 64, byte_count=5):
    world.do(artifacts.record, digest, "checkpoint", byte_count, world.now)


def test_a_file_is_held_once_it_is_recorded(world):
    assert not world.look(artifacts.exists, "a" * 64)
    record(world)
    assert world.look(artifacts.exists, "a" * 64)
    assert not world.look(artifacts.exists, "b" * 64)


def test_recording_again_changes_nothing(world):
    record(world)
    world.wait(1)
    before = world.dump()
    record(world, byte_count=6)
    assert world.dump() == before


def test_a_checkpoint_that_a_job_goes_on_from_is_not_let_go(world):
    world.submit(world.race(seeds=(1,)))
    ticket = world.claim_one()
    world.write(ticket, (50, 3.0))
    assert not world.do(artifacts.let_go, "chk", world.now)
    record(world, "next")
    world.write(ticket, (100, 2.9), checkpoint="next")
    assert world.do(artifacts.let_go, "chk", world.now)
    assert not world.look(artifacts.exists, "chk")
    assert [one.checkpoint for one in world.curve(ticket.job_id)] == ["chk", "next"]


def test_a_file_that_comes_back_is_held_again(world):
    record(world)
    assert world.do(artifacts.let_go, "a" * 64, world.now)
    record(world)
    assert world.look(artifacts.exists, "a" * 64)
