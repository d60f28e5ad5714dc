import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.arena.limits import Limits
from training.arena.tracks import BadTrack, Gate, contest, track_from, tracks, verdicts

TRACKS = tracks()
SMALL = {"about": "small", "corpus": "stdlib", "seeds": [1, 2]}
BPBS = st.lists(st.floats(0.1, 8.0), min_size=1, max_size=5)


def read(**changes):
    return track_from("small", json.dumps({**SMALL, **changes}).encode())


def test_the_known_tracks_have_the_budgets_of_their_names():
    limits = {name: track.limits for name, track in TRACKS.items()}
    assert {name: (one.train_seconds, one.predict_seconds, one.artifact_bytes) for name, one in limits.items()} == {
        "track_10min_16mb": (600, 600, 16_000_000),
        "track_1gpu_3min_16mb": (180, 180, 16_000_000),
        "track_cpu_2min_1mb": (120, 120, 1_000_000),
    }


def test_every_known_track_says_where_it_comes_from_and_on_what_it_runs():
    assert all(track.about and track.source and track.hardware for track in TRACKS.values())


def test_what_a_file_leaves_out_has_its_default():
    track = read(limits={"train_seconds": 5})
    assert track.limits == replace(Limits(), train_seconds=5)
    assert (track.heldout, track.gates) == ("public", ())


def test_a_track_of_the_operator_stands_beside_the_known_ones_and_may_take_their_place(tmp_path):
    for name in ("mine", "track_cpu_2min_1mb"):
        (tmp_path / f"{name}.json").write_text(json.dumps(SMALL))
    found = tracks(tmp_path)
    assert set(found) == {*TRACKS, "mine"}
    assert found["track_cpu_2min_1mb"].about == "small"


@pytest.mark.parametrize(
    "wrong",
    [
        {"about": ""},
        {"about": 3},
        {"corpus": ""},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [-1]},
        {"seeds": [True]},
        {"seeds": [2**63]},
        {"seeds": 7},
        {"heldout": "secret"},
        {"limits": {"train_secs": 5}},
        {"limits": {"train_seconds": "5"}},
        {"limits": {"train_seconds": 0}},
        {"limits": {"lanes": 1.5}},
        {"limits": {"train_seconds": float("nan")}},
        {"gates": [{"name": "G", "below": 9}]},
        {"gates": [{"name": "G", "below": 2, "of": "best"}]},
        {"validation_bytes": 0},
        {"name": "small"},
        {"prize": 5},
    ],
)
def test_a_file_that_is_no_track_is_refused(wrong):
    with pytest.raises(BadTrack):
        read(**wrong)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 100_000, b'{"about": "x"}'])
def test_bytes_that_are_no_object_are_refused(data):
    with pytest.raises(BadTrack):
        track_from("small", data)


def test_a_name_that_could_not_be_asked_for_is_refused():
    with pytest.raises(BadTrack):
        track_from("Not A Name", json.dumps(SMALL).encode())


@pytest.mark.parametrize("limit", [one.name for one in fields(Limits)])
def test_every_limit_and_the_corpus_make_another_contest(limit):
    track = read()
    other = replace(track, limits=replace(track.limits, **{limit: getattr(track.limits, limit) * 2}))
    assert contest(track, "c" * 64) != contest(other, "c" * 64)
    assert contest(track, "c" * 64) != contest(track, "d" * 64)
    assert contest(track, "c" * 64) == contest(replace(track, about="new words"), "c" * 64)


@given(BPBS, st.floats(0.1, 8.0))
def test_a_gate_of_each_seed_is_met_when_the_worst_value_lies_below_it(values, below):
    (found,) = verdicts([Gate(name="G", below=below)], values)
    assert found.met == (max(values) < below)


@given(st.floats(0.1, 8.0))
def test_a_gate_is_strict(value):
    assert not any(
        one.met for one in verdicts([Gate(name="G", below=value, of=of) for of in ("each", "mean")], [value])
    )


def test_a_gate_of_the_mean_looks_at_the_mean_and_without_values_no_gate_is_met():
    gates = [Gate(name="G", below=2.0, of="mean"), Gate(name="H", below=2.0)]
    assert [one.met for one in verdicts(gates, [1.5, 2.1])] == [True, False]
    assert [one.met for one in verdicts(gates, [])] == [False, False]
    assert [one.met for one in verdicts(gates, [float("nan")])] == [False, False]
