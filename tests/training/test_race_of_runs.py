import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.foresight import Settings
from training.race_of_runs import RaceOfRuns

races = st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 25), st.integers(2, 12), st.floats(0, 2))


def values_of(race):
    seed, runs, points, noise = race
    generator = np.random.default_rng(seed)
    walk = generator.normal(size=(runs, points)).cumsum(axis=1)
    return 3 + 0.1 * walk + 0.1 * noise * generator.normal(size=(runs, points))


def play(values, warmup=0.1, chosen=None, watch=lambda race, run, point, advice: None):
    """Train one point at a time as advised; gives the race and what was done, in order."""
    race, done, begun = RaceOfRuns(values.shape[1], warmup=warmup, settings=chosen), [], 0
    while begun < len(values) or race.paused:
        run = race.next(ideas=begun < len(values))
        if run is None:
            run, begun = begun, begun + 1
        else:
            race.resume(run)
        while len(race.curves.get(run, ())) < values.shape[1]:
            race.observe(run, float(values[run, len(race.curves.get(run, ()))]))
            advice = race.advise(run, ideas=begun < len(values))
            done.append((run, len(race.curves[run]), advice))
            watch(race, run, len(race.curves[run]), advice)
            if advice.action == "pause":
                race.pause(run)
            if advice.action in ("pause", "stop"):
                break
    return race, done


@given(races)
@settings(max_examples=40)
def test_no_run_is_lost_where_nobody_is_given_up(race):
    values = values_of(race)
    played, _ = play(values)
    assert sorted(run for _, run in played.finals) == list(range(len(values)))


@given(races, st.sampled_from([0.0, 0.01, 0.2]))
@settings(max_examples=40)
def test_the_leader_of_a_look_is_neither_stopped_nor_paused(race, give_up):
    values = values_of(race)

    def watch(race, run, point, advice):
        look = race.looks.get(point)
        if look and race.scores[run][point] == min(look.scores):
            assert advice.action == "promote"

    play(values, chosen=Settings(give_up=give_up), watch=watch)


@given(races, st.floats(0, 1))
@settings(max_examples=30)
def test_nobody_is_paused_before_warm_up_nor_at_the_end(race, warmup):
    values = values_of(race)
    _, done = play(values, warmup=warmup)
    points = values.shape[1]
    assert all(warmup * points <= point < points for _, point, advice in done if advice.action != "continue")


@given(races)
@settings(max_examples=30)
def test_equal_races_get_equal_advice_and_asking_again_changes_nothing(race):
    values = values_of(race)

    def ask_again(race, run, point, advice):
        assert race.advise(run) == race.advise(run)

    assert play(values)[1] == play(values, watch=ask_again)[1]


@given(races, st.integers(0, 24), st.floats(-2, 2))
@settings(max_examples=30)
def test_advice_does_not_change_when_a_later_value_changes(race, which, by):
    values = values_of(race)
    changed = values.copy()
    run, point = which % len(values), values.shape[1] - 1
    changed[run, point] += by
    before, after = play(values)[1], play(changed)[1]
    seen = next(at for at, (one, reached, _) in enumerate(before) if (one, reached) == (run, point + 1))
    assert before[:seen] == after[:seen]


@given(races, st.floats(0.1, 10), st.floats(-5, 5))
@settings(max_examples=20)
def test_only_places_count(race, scale, shift):
    values = values_of(race).round(2)
    order = np.unique(values, return_inverse=True)[1].reshape(values.shape).astype(float)
    assert play(values)[1] == play(order * scale + shift)[1]


@given(races)
@settings(max_examples=20)
def test_a_stopped_run_had_less_than_the_chance_that_was_set_and_its_loss_is_told(race):
    for _, _, advice in play(values_of(race), chosen=Settings(give_up=0.05))[1]:
        if advice.action == "stop":
            assert advice.numbers["expected_loss"] == advice.numbers["chance"] < 0.05


def test_in_a_race_without_signal_fewer_runs_are_paused_than_in_one_with():
    def paused(noise):
        generator = np.random.default_rng(3)
        finals = generator.normal(size=(120, 1))
        values = np.hstack([finals + noise * generator.normal(size=(120, 7)), finals])
        return sum(advice.action == "pause" for _, _, advice in play(values)[1][-400:])

    assert paused(30.0) < paused(0.1)
