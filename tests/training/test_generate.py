import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue
from tests.training.sessions import served_of
from training.generate import Drawing, chances, draw, generate
from training.session import Session, SessionFull


def logp(seed):
    return torch.randn(256, generator=torch.Generator().manual_seed(seed)).log_softmax(0)


@pytest.fixture
def model(small):
    return served_of(small())


def texts(model, drawing, seed=0, count=40):
    session = Session.new_stream(model, seed=seed)
    session.prefill(b"def ")
    return bytes(generate(session, count, drawing))


def test_equal_seeds_give_equal_bytes_and_other_seeds_others(model):
    assert texts(model, Drawing()) == texts(model, Drawing())
    assert texts(model, Drawing()) != texts(model, Drawing(), seed=1)


def test_temperature_zero_takes_the_likeliest_byte_each_time_and_no_seed_matters(model):
    session = Session.new_stream(model)
    session.prefill(b"def ")
    for byte in texts(model, Drawing(temperature=0), seed=9):
        assert byte == int(session.ahead.argmax())
        session.process(bytes([byte]))


def test_a_low_temperature_and_a_single_candidate_are_the_same_as_none(model):
    greedy = texts(model, Drawing(temperature=0))
    assert texts(model, Drawing(temperature=1e-9)) == greedy
    assert texts(model, Drawing(temperature=1e-320)) == greedy
    assert texts(model, Drawing(top_k=1)) == greedy


def test_generation_goes_on_where_a_stored_session_stood(model):
    session = Session.new_stream(model, seed=5)
    session.prefill(b"def ")
    first = bytes(generate(session, 10, Drawing()))
    rest = bytes(generate(Session.restore(model, session.checkpoint()), 10, Drawing()))
    assert first + rest == texts(model, Drawing(), seed=5, count=20)


def test_the_memory_goes_on_writing_while_bytes_are_drawn(model):
    session = Session.new_stream(model)
    before = session.place.carried.blocks[0].memory.state.S_BHKV.norm()
    list(generate(session, 5, Drawing()))
    assert session.place.carried.blocks[0].memory.state.S_BHKV.norm() != before


def test_a_session_over_its_budget_draws_nothing(model):
    session = Session.new_test(model, 5)
    with pytest.raises(SessionFull):
        next(generate(session, 6, Drawing()))
    assert session.position == 0


@given(st.integers(0, 99), st.sampled_from([0.3, 1.0, 2.5]), st.sampled_from([None, 1, 7, 256]))
def test_chances_are_the_tempered_ones_of_the_likeliest_bytes(seed, temperature, top_k):
    found = chances(logp(seed), Drawing(temperature=temperature, top_k=top_k))
    tempered = logp(seed).double().exp() ** (1 / temperature)
    chosen = tempered.argsort(descending=True)[:top_k]
    expected = torch.zeros(256, dtype=torch.float64)
    expected[chosen] = tempered[chosen] / tempered[chosen].sum()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_bytes_come_as_often_as_their_chances_say():
    random, drawing = torch.Generator().manual_seed(0), Drawing(top_k=3)
    drawn = torch.tensor([draw(logp(1), drawing, random) for _ in range(4000)])
    found = torch.bincount(drawn, minlength=256) / 4000
    assert (found - chances(logp(1), drawing)).abs().max() < 0.03


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": 0}, {"top_k": 257}], ids=str
)
def test_drawing_outside_its_ranges_is_refused(wrong):
    with pytest.raises(InvalidValue):
        Drawing(**wrong)
