import pytest
import torch

from errors import ImpossibleCombination
from training.checkpoint import unpack
from training.depth import Band, band_of
from training.engine import run_chunk
from training.model import ByteModel
from training.run import Run, resumed
from training.windows import as_tensor

LOOPED = {"composition": "attention", "rule": "none", "blocks": 3, "loops": 4, "loop_first": 2, "loop_last": 2}


def ids(length=40):
    return torch.randint(256, (2, length), generator=torch.Generator().manual_seed(0))


def shaken(recipe):
    """A model whose every branch acts."""
    torch.manual_seed(0)
    model = ByteModel(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.double()


def test_the_band_runs_as_often_as_asked_between_the_blocks_around_it():
    band = Band(blocks=5, first=2, last=3, loops=3, start=0.0)
    assert [block for block, _ in band.order(3)] == [0, 1, 2, 1, 2, 1, 2, 3, 4]
    assert [turn for _, turn in band.order(3)] == [None, 0, None, 1, None, 2, None, None, None]
    assert [block for block, _ in band.order(1)] == [0, 1, 2, 3, 4]


def test_with_zero_for_its_end_the_band_goes_to_the_last_block():
    assert [block for block, _ in Band(blocks=3, first=2, last=0, loops=2, start=0.0).order(2)] == [0, 1, 2, 1, 2]


def test_looping_begins_at_its_fraction_of_the_budget():
    band = Band(blocks=1, first=1, last=0, loops=4, start=0.5)
    assert [band.passes(step, 10) for step in range(10)] == [1] * 5 + [4] * 5
    assert [Band(blocks=1, first=1, last=0, loops=4, start=0.0).passes(step, 10) for step in (0, 9)] == [4, 4]


def test_loops_share_their_weights_and_add_one_vector_a_pass(small):
    plain = dict(ByteModel(small(**{**LOOPED, "loops": 1, "loop_first": 1, "loop_last": 0})).named_parameters())
    looped = dict(ByteModel(small(**LOOPED)).named_parameters())
    assert looped.keys() - plain.keys() == {"turns"}
    assert looped["turns"].shape == (4, 16)
    assert {name: p.shape for name, p in looped.items() if name != "turns"} == {n: p.shape for n, p in plain.items()}


def test_a_looped_model_is_the_one_with_the_band_s_block_written_out(small):
    looped = shaken(small(**LOOPED))
    x, turns = looped.trunk(ids())[0][0], looped.turns
    first, band, last = looped.blocks
    x, _ = first(x, None)
    for turn in range(4):
        x, _ = band(x + turns[turn], None)
    x, _ = last(x, None)
    torch.testing.assert_close(looped(ids())[0], looped.logits(x), rtol=0, atol=0)


def test_one_loop_is_the_plain_recipe_bit_for_bit(small, texts):
    text = as_tensor(texts.split("train"))
    spelt = small(loops=1, loop_first=1, loop_last=0, loop_start=0.0)
    assert spelt.digest == small().digest
    one, other = Run(spelt, 5, 9), Run(small(), 5, 9)
    assert [one.train(text) for _ in range(3)] == [other.train(text) for _ in range(3)]


def test_before_looping_begins_a_run_equals_the_plain_one_but_for_the_first_vector(small, texts):
    text = as_tensor(texts.split("train"))
    late = Run(small(**LOOPED, loop_start=0.5), 5, 8)
    plain = Run(small(**{**LOOPED, "loops": 1, "loop_first": 1, "loop_last": 0}), 5, 8)
    assert late.train(text) == plain.train(text)
    assert late.model.passes == 1
    assert late.model.turns[0].abs().max() > 0 == late.model.turns[1:].abs().max()
    for _ in range(4):
        late.train(text)
    assert late.model.passes == 4
    assert (late.model.turns.abs().amax(1) > 0).all()


@pytest.mark.parametrize(("steps", "passes"), [(4, 1), (5, 4)])
def test_a_run_is_scored_with_the_depth_of_its_last_step_after_a_reload_too(small, texts, store, steps, passes):
    recipe = small(**LOOPED, loop_start=0.5)
    usual = {"recipe": recipe, "seed": 1, "total_steps": 8, "corpus": texts, "store": store}
    done = run_chunk(steps=steps, **usual)
    again = resumed(*unpack(store.get(done.checkpoint)))
    assert again.model.passes == passes
    live = Run(recipe, 1, 8)
    for _ in range(steps):
        live.train(as_tensor(texts.split("train")))
    assert torch.equal(again.predict(ids()), live.predict(ids()))


def test_every_pass_carries_a_state_of_its_own(small):
    model = shaken(small(**{**LOOPED, "composition": "mag", "rule": "delta"}))
    whole, _ = model(ids())
    first, carried = model(ids()[:, :17])
    second, _ = model(ids()[:, 17:], carried)
    assert len(carried.blocks) == 6
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "fields",
    [
        {"loop_start": 0.5},
        {"loop_last": 1},
        {"loops": 2, "loop_first": 2},
        {"loops": 2, "loop_last": 2},
        {"blocks": 4, "loops": 2, "loop_first": 3, "loop_last": 2},
    ],
)
def test_a_band_that_is_none_is_refused(small, fields):
    with pytest.raises(ImpossibleCombination):
        small(**fields)


def test_the_band_of_a_recipe_is_echoed_as_it_was_told(small):
    for last in (0, 3):
        recipe = small(blocks=3, loops=2, loop_first=2, loop_last=last, loop_start=0.25)
        assert band_of(recipe) == ByteModel(recipe).band
        assert Run(recipe, 0, 5).effective().digest == recipe.digest
