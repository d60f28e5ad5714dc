import hashlib
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InvalidValue
from tests.training.conftest import SMALL
from tests.training.sessions import checkpoint_of, served_of
from training.compositions import compositions
from training.recipe import NONE, recipe_from
from training.rules import rules
from training.scorer import score
from training.scorer.windows import ids_of
from training.serving import SessionUnsupported, served
from training.session import Session, SessionFull, SessionMismatch, StreamOutOfPlace
from training.session_state import SessionCorrupt, leaves, unpacked, written
from training.stream import Dataset, Stream

PAIRS = [
    *((each, "delta" if "*" in compositions.about(each)["combines"]["rule"] else NONE) for each in compositions),
    *(("mag", rule) for rule in rules if rule != "delta"),
]
"""Every composition, and every rule."""


@pytest.fixture(params=PAIRS, ids="-".join)
def recipe(request, small):
    composition, rule = request.param
    return small(composition=composition, rule=rule, blocks=2)


@pytest.fixture(scope="module")
def text():
    """Real text: this project's own."""
    with open(__file__, "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def delta_served():
    return served_of(recipe_from(SMALL), double=True)


def held(session):
    return dict(leaves(session.place.carried, "carried"))


def parts_of(data, cuts):
    edges = [0, *sorted(cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def test_byte_by_byte_equals_a_long_part_for_every_composition_and_rule(recipe, text):
    model = served_of(recipe, double=True)
    whole, single = Session.new_stream(model), Session.new_stream(model)
    rows = whole.process(text[:70])
    one_by_one = torch.cat([single.process(text[at : at + 1]) for at in range(70)])
    torch.testing.assert_close(one_by_one, rows, rtol=1e-9, atol=1e-9)
    for name, tensor in held(whole).items():
        torch.testing.assert_close(held(single)[name], tensor, rtol=1e-9, atol=1e-9, msg=name)


@given(st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=20, deadline=None)
def test_any_cuts_give_the_predictions_of_the_whole(delta_served, cuts):
    data = bytes(range(256)) + b"and more of it, up to three hundred bytes...."[:44]
    session = Session.new_stream(delta_served)
    rows = torch.cat([session.process(part) for part in parts_of(data, cuts)])
    torch.testing.assert_close(rows, Session.new_stream(delta_served).process(data), rtol=1e-9, atol=1e-9)
    assert session.position == 300


def test_what_is_ahead_is_what_the_last_byte_told_and_the_model_alone_says_the_same(recipe, text):
    model = served_of(recipe, double=True)
    session = Session.new_test(model, 60)
    first = session.ahead
    rows = session.process(text[:60])
    assert torch.equal(session.ahead, rows[-1])
    with torch.no_grad():
        alone = model.model(ids_of(text[:60])[None])[0][0].log_softmax(-1)
    torch.testing.assert_close(torch.cat([first[None], rows]), alone, rtol=1e-9, atol=1e-9)


def test_a_long_prefill_then_decoding_equals_reading_in_small_bites(delta_served, text):
    data, pick = (text * 2)[:10_000], random.Random(0)
    fast, slow = Session.new_stream(delta_served), Session.new_stream(delta_served)
    fast.prefill(data[:9_900])
    decoded = torch.cat([fast.process(data[at : at + 1]) for at in range(9_900, 10_000)])
    bites = [1] * 500 + [pick.randint(1, 31) for _ in range(700)]
    while sum(bites) > 9_900:
        bites.pop()
    edges = [sum(bites[:at]) for at in range(len(bites) + 1)]
    for start, end in zip(edges, [*edges[1:], 9_900], strict=True):
        slow.process(data[start:end])
    torch.testing.assert_close(decoded, slow.process(data[9_900:]), rtol=1e-8, atol=1e-8)
    for name, tensor in held(slow).items():
        torch.testing.assert_close(held(fast)[name], tensor, rtol=1e-8, atol=1e-8, msg=name)


def test_the_state_does_not_grow_with_what_was_read(recipe, text):
    """Some rules and compositions hold the segment that they are in: what counts is the most they ever hold."""
    session = Session.new_stream(served_of(recipe))
    sizes = []
    for at in range(0, 256, 8):
        session.process(text[at : at + 8])
        sizes.append(session.state_bytes)
    assert max(sizes[16:]) == max(sizes[:16])


def test_a_stored_session_goes_on_bit_for_bit(recipe, text):
    model = served_of(recipe)
    session = Session.new_stream(model, seed=7)
    session.process(text[:37])
    blob = session.checkpoint()
    assert session.checkpoint() == blob
    again = Session.restore(served_of(recipe), blob)
    assert (again.position, again.budget, again.checkpoint()) == (37, None, blob)
    for part in (text[37:38], text[38:80], *(text[at : at + 1] for at in range(80, 90))):
        assert torch.equal(session.process(part), again.process(part))
    assert session.checkpoint() == again.checkpoint()
    draws = [torch.rand(3, generator=each.random) for each in (session, again)]
    assert torch.equal(*draws)


def test_a_session_of_levels_with_learned_gates_goes_on_bit_for_bit(small, text):
    model = served_of(small(cms="basic", **{"cms.levels": 2, "cms.gates": "learned", "cms.aggregation": "parallel"}))
    session = Session.new_stream(model)
    session.process(text[:37])
    again = Session.restore(model, session.checkpoint())
    assert torch.equal(session.process(text[37:80]), again.process(text[37:80]))
    assert session.checkpoint() == again.checkpoint()


def test_a_session_stored_before_its_first_byte_goes_on_too(small, text):
    model = served_of(small())
    again = Session.restore(model, Session.new_test(model, 50).checkpoint())
    assert torch.equal(again.process(text[:50]), Session.new_stream(model).process(text[:50]))
    with pytest.raises(SessionFull):
        again.process(b"x")


def test_a_session_is_refused_over_another_checkpoint(small):
    session = Session.new_stream(served_of(small()))
    with pytest.raises(SessionMismatch):
        Session.restore(served(checkpoint_of(small(), seed=1)), session.checkpoint())


def test_a_session_file_with_one_bit_changed_is_refused(small):
    model = served_of(small())
    data = Session.new_stream(model).checkpoint()
    pick = random.Random(0)
    for at in [0, 7, 9, len(data) - 1, *(pick.randrange(len(data)) for _ in range(40))]:
        changed = bytearray(data)
        changed[at] ^= 1 << pick.randrange(8)
        with pytest.raises(SessionCorrupt):
            Session.restore(model, bytes(changed))


@given(st.binary(max_size=100), st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_bytes_that_are_no_session_are_refused(delta_served, data, length):
    for each in (data, Session.new_stream(delta_served).checkpoint()[:length]):
        with pytest.raises(SessionCorrupt):
            Session.restore(delta_served, each)


def test_a_bounded_session_refuses_what_is_over_its_budget_and_reads_none_of_it(small, text):
    session = Session.new_test(served_of(small()), 10)
    session.process(text[:8])
    before = session.ahead
    for read in (session.process, session.prefill):
        with pytest.raises(SessionFull) as refusal:
            read(text[:3])
        assert refusal.value.code == "session_full"
    assert session.position == 8
    assert torch.equal(session.ahead, before)
    session.process(text[:2])
    assert session.process(b"").shape == (0, 256)
    with pytest.raises(InvalidValue):
        Session.new_test(session.served, 0)


def test_a_fork_and_its_origin_do_not_know_what_the_other_reads(small, text):
    session = Session.new_stream(served_of(small()), seed=3)
    session.process(text[:60])
    fork, untouched = session.fork(), session.fork()
    fork.process(b"something else entirely, and a lot of it")
    torch.rand(5, generator=fork.random)
    assert torch.equal(session.process(text[60:90]), untouched.process(text[60:90]))
    assert session.checkpoint() == untouched.checkpoint()
    assert not torch.equal(fork.ahead, session.ahead)


def documents(text):
    parts = [text[:40], text[40:41], text[41:200], text[200:260]]
    first = Dataset(b"".join(parts[:3]), tuple(map(len, parts[:3])))
    return [first, Dataset(parts[3], (len(parts[3]),))], parts


def test_a_stream_is_read_document_by_document_each_from_nothing(small, text):
    model = served_of(small(), double=True)
    datasets, parts = documents(text)
    stream = Stream(datasets)
    session = Session.new_stream(model, stream.start())
    rows = torch.cat([session.follow(chunk) for chunk in stream.chunks(16)])
    alone = torch.cat([Session.new_stream(model).process(part) for part in parts])
    torch.testing.assert_close(rows, alone, rtol=1e-9, atol=1e-9)
    assert session.position == len(rows) == 260


def test_a_session_that_follows_a_stream_is_stored_with_its_cursor(small, text):
    model, stream = served_of(small()), Stream(documents(text)[0])
    chunks = list(stream.chunks(16))
    session = Session.new_stream(model, stream.start())
    for at, chunk in enumerate(chunks):
        if at == 5:
            session = Session.restore(model, session.checkpoint())
            assert session.cursor == chunk.start
        last = session.follow(stream.take(session.cursor, 16))
    whole = Session.new_stream(model, stream.start())
    assert torch.equal([whole.follow(chunk) for chunk in chunks][-1], last)


def test_a_chunk_that_is_not_at_the_cursor_is_refused_and_so_are_bytes_beside_the_stream(small, text):
    stream = Stream(documents(text)[0])
    one, two, *_ = stream.chunks(16)
    session = Session.new_stream(served_of(small()), stream.start())
    session.follow(one)
    for wrong in (one, replace(two, start=replace(two.start, chunk_id=2))):
        with pytest.raises(StreamOutOfPlace):
            session.follow(wrong)
    with pytest.raises(StreamOutOfPlace):
        session.process(b"x")
    with pytest.raises(StreamOutOfPlace):
        Session.new_stream(session.served).follow(one)
    session.fork().process(b"x")
    session.follow(two)


def test_a_recipe_that_adapts_its_weights_is_served_only_when_they_may_stay(small, text):
    data = checkpoint_of(small(ttt="sgd"))
    with pytest.raises(SessionUnsupported, match="still"):
        served(data)
    still = served(data, still=True)
    session = Session.new_stream(still)
    session.process(text[:20])
    assert Session.restore(still, session.checkpoint()).position == 20
    with pytest.raises(SessionMismatch):
        Session.restore(replace(still, still=False), session.checkpoint())


def test_served_weights_take_no_gradient_and_do_not_move(small, text):
    model = served_of(small())
    before = {name: tensor.clone() for name, tensor in model.model.state_dict().items()}
    assert not Session.new_stream(model).process(text[:50]).requires_grad
    assert not any(parameter.requires_grad for parameter in model.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.model.state_dict().items())


def test_what_a_session_says_of_a_text_is_what_the_scorer_measures(small, text):
    model = served_of(small())
    session = Session.new_stream(model)
    rows = torch.cat([session.ahead[None], session.process(text[:600])[:-1]])
    nats = -rows.double().gather(1, ids_of(text[:600])[1:, None]).sum()
    measured = score(lambda ids: model.model(ids)[0].log_softmax(-1), text[:600], probe_seed=0)
    assert nats.item() == pytest.approx(measured.nll_sum, rel=1e-6)


def test_latency_is_told_for_single_bytes_and_parts_apart(small, text):
    ticks = iter(range(1000))
    session = Session.new_stream(replace(served_of(small()), clock=lambda: next(ticks)))
    session.process(text[:30])
    session.process(text[30:31])
    session.process(text[31:32])
    assert (session.parts.figures().count, session.tokens.figures().count) == (1, 2)
    assert session.tokens.figures().p99_ms == 1000


def resealed(data, changes, **fields):
    """A session file with other content whose digest is right."""
    header, tensors = unpacked(data)
    header, tensors = replace(header, **fields, digest=""), {**tensors, **changes}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    digest = hashlib.sha256(written(header, tensors)).hexdigest()
    return written(replace(header, digest=digest), tensors)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, {"format": 99}),
        ({}, {"position": "3"}),
        ({}, {"budget": -1}),
        ({}, {"cursor": [1]}),
        ({"ahead": None}, {}),
        ({"more": torch.zeros(1)}, {}),
        ({"ahead": torch.zeros(9)}, {}),
        ({"random": torch.zeros(9, dtype=torch.uint8)}, {}),
        ({"carried.ids": torch.zeros(1, 2)}, {}),
        ({"carried.ids": torch.zeros(2, dtype=torch.int64)}, {}),
    ],
    ids=str,
)
def test_a_session_file_with_a_right_digest_and_wrong_content_is_refused(small, changes, fields):
    model = served_of(small())
    data = Session.new_stream(model).checkpoint()
    assert resealed(data, {}) == data
    with pytest.raises(SessionCorrupt):
        Session.restore(model, resealed(data, changes, **fields))


def test_a_session_tells_that_it_was_opened_in_another_environment(small):
    model = served_of(small())
    data = Session.new_stream(model).checkpoint()
    assert Session.restore(model, data).same_environment
    moved = Session.restore(model, resealed(data, {}, environment={"torch": "0"}))
    assert not moved.same_environment
    assert not Session.restore(model, moved.checkpoint()).same_environment
