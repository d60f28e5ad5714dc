from db import workers


def test_a_worker_is_alive_while_it_gives_signs_of_life(world):
    world.do(workers.seen, "e1", "engine", world.now, "pid 1")
    start = world.now
    world.wait(10)
    world.do(workers.seen, "e0", "engine", world.now)
    world.do(workers.seen, "e1", "agent", world.now)
    assert [one.name for one in world.look(workers.alive, "engine", world.now, 10)] == ["e0", "e1"]
    assert [one.name for one in world.look(workers.alive, "engine", world.now, 9.9)] == ["e0"]
    world.do(workers.seen, "e1", "engine", world.now, "pid 2")
    one = world.look(workers.alive, "engine", world.now, 1)[1]
    assert (one.first_seen, one.last_seen, one.detail) == (start, world.now, "pid 2")


def test_a_worker_that_has_ended_is_forgotten(world):
    world.do(workers.seen, "e1", "engine", world.now)
    world.do(workers.seen, "e1", "agent", world.now)
    world.do(workers.gone, "e1", "engine")
    assert world.look(workers.alive, "engine", world.now, 10) == []
    assert len(world.look(workers.alive, "agent", world.now, 10)) == 1
