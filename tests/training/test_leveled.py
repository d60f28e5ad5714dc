import pytest
import torch

from training.leveled import Leveled, optimizer_of
from training.model import ByteModel
from training.optimizers import Groups, optimizers
from training.run import Run
from training.windows import as_tensor


@pytest.fixture(params=optimizers)
def name(request):
    return request.param


def leveled(small, total=2000, **fields):
    """A model with levels, its optimizer, and a function that gives it random gradients."""
    recipe = small(**{"composition": "attention", "rule": "none", "cms": "basic", "ngram": 0, **fields})
    torch.manual_seed(0)
    model = ByteModel(recipe)
    random = torch.Generator().manual_seed(1)

    def differentiate():
        for parameter in model.parameters():
            gradient = torch.randn(parameter.shape, generator=random)
            parameter.grad = gradient.to_sparse(1) if parameter is model.tables else gradient

    return model, optimizer_of(recipe, model, total), differentiate


def counted(optimizer):
    """How often the optimizer of each level is asked to step, counted as it happens."""
    calls = [0] * len(optimizer.slow)
    for index, slow in enumerate(optimizer.slow):
        inner = slow.inner.step

        def step(multiplier, index=index, inner=inner):
            calls[index] += 1
            inner(multiplier)

        slow.inner.step = step
    return calls


def test_over_a_thousand_steps_every_level_moves_exactly_at_its_boundaries(small):
    _, optimizer, differentiate = leveled(small, optimizer="adamw", **{"cms.levels": 4})
    calls = counted(optimizer)
    moved = [0] * 3
    for _ in range(1000):
        before = [next(iter(slow.part.moved.values())).detach().clone() for slow in optimizer.slow]
        differentiate()
        optimizer.step(1.0)
        for index, slow in enumerate(optimizer.slow):
            moved[index] += not torch.equal(before[index], next(iter(slow.part.moved.values())))
    assert calls == moved == [125, 15, 1]
    assert [int(slow.fires) for slow in optimizer.slow] == [125, 15, 1]
    assert [int(slow.count) for slow in optimizer.slow] == [0, 40, 488]


@pytest.mark.parametrize(("buffer", "factor"), [("sum", 1.0), ("mean", 0.25), ("sqrt", 0.5)])
def test_an_update_is_that_of_its_optimizer_on_the_gathered_gradient(name, small, buffer, factor):
    fields = {"optimizer": name, "cms.ratio": 4, "cms.buffer": buffer}
    model, optimizer, differentiate = leveled(small, **fields)
    other, _, _ = leveled(small, **fields)
    twins = dict(other.named_parameters())
    (slow,) = optimizer.slow
    names = list(slow.part.moved)
    groups = Groups(matrices={key: twins[key] for key in names}, embeddings={}, tables={}, vectors={})
    alone = optimizers[name](groups, small(optimizer=name).option(name))
    for _ in range(3):
        total = {key: torch.zeros_like(twins[key]) for key in names}
        for _ in range(4):
            differentiate()
            for key in names:
                total[key] += slow.part.sources[key].grad
            optimizer.step(0.5)
        for key in names:
            twins[key].grad = total[key] * factor
        alone.step(0.5)
        for key in names:
            assert torch.equal(slow.part.moved[key], twins[key]), key
    assert model is not other


def test_weights_outside_slow_levels_move_as_without_levels(name, small):
    """Every parameter is in one part, and the main one holds all that fires after every step."""
    model, optimizer, _ = leveled(small, optimizer=name, blocks=2, **{"cms.levels": 3})
    slow = {key for part in optimizer.slow for key in part.part.moved}
    assert slow == {key for key, _ in model.named_parameters() if ".slower." in key}
    assert optimizer.echo().keys() == optimizers.about(name)["fields"].keys()


@pytest.mark.parametrize(("flush", "fires", "count"), [("carry", 1, 3), ("apply", 2, 0), ("discard", 1, 0)])
def test_what_was_gathered_at_the_end_is_kept_applied_or_forgotten(small, flush, fires, count):
    _, optimizer, differentiate = leveled(small, total=11, **{"cms.flush": flush})
    for _ in range(11):
        differentiate()
        optimizer.step(1.0)
    (slow,) = optimizer.slow
    assert (int(slow.fires), int(slow.count)) == (fires, count)


def test_a_learned_start_moves_at_the_slower_pace_and_is_put_back(small):
    _, optimizer, differentiate = leveled(small, cms="nested", optimizer="adamw", **{"cms.ratio": 4, "cms.levels": 2})
    level, start = optimizer.slow
    assert (level.part.restarts, start.part.restarts) == (False, True)
    key = next(iter(start.part.moved))
    begun = start.part.moved[key].detach().clone()
    for step in range(1, 9):
        gathered = start.sums[key].clone()
        differentiate()
        gathered += start.part.sources[key].grad
        optimizer.step(1.0)
        same = torch.equal(start.part.moved[key], start.part.sources[key])
        assert same is (step % 4 == 0), step
        if step % 4:
            assert torch.equal(start.sums[key], gathered)
        if step < 4:
            assert torch.equal(start.part.moved[key], begun)
    assert not torch.equal(start.part.moved[key], begun)
    assert f"level.1.start.{key}" in optimizer.state()


def test_where_every_level_fires_after_every_step_there_is_one_optimizer(small):
    model, optimizer, _ = leveled(small, **{"cms.unit": "token", "cms.ratio": 2})
    assert not isinstance(optimizer, Leveled)
    assert len(list(model.levels())) == 1


def test_two_levels_are_not_worse_than_one_on_text_with_two_timescales(small):
    """Bytes follow one of four alphabets that changes every 96 bytes; within it, a fast pattern of three."""
    random = torch.Generator().manual_seed(0)
    parts = []
    for _ in range(400):
        regime, shift = (int(x) for x in torch.randint(4, (2,), generator=random))
        noise = (torch.rand(96, generator=random) < 0.1) * torch.randint(8, (96,), generator=random)
        parts.append(32 * regime + 8 * ((torch.arange(96) + shift) % 3) + noise)
    text = as_tensor(bytes(torch.cat(parts).tolist()))
    means = []
    for levels in (1, 2):
        losses = []
        for seed in (1, 2):
            fields = {"cms": "basic", "cms.levels": levels, "cms.ratio": 4, "optimizer": "adamw", "ngram": 0}
            run = Run(small(composition="attention", rule="none", **fields), seed, 120)
            losses += [run.train(text) for _ in range(120)][-30:]
        means.append(sum(losses) / len(losses))
    assert means[1] <= means[0]
