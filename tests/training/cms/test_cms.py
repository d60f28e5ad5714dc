"""What holds for every variant of the continuum memory system."""

import pytest
import torch

from errors import ImpossibleCombination
from training.checkpoint import unpack
from training.cms import cms
from training.environment import environment
from training.run import Run, resumed
from training.scorer import score
from training.stacking import push_levels
from training.ttt import ttt
from training.windows import as_tensor

PLAIN = {"composition": "attention", "rule": "none", "ngram": 2}
GATED = {"cms.gates": "learned", "cms.gate_chunk": 5}


@pytest.fixture(params=cms)
def recipe(request, small):
    """A recipe with that variant on two blocks, with periods short enough to fire often."""
    own = {"cms": request.param, "blocks": 2, "cms.ratio": 3, "cms.levels": 2}
    return lambda **fields: small(**{**PLAIN, **own, **fields})


@pytest.fixture
def text(texts):
    return as_tensor(texts.split("train"))


def trained(recipe, text, steps=14, total=30):
    run = Run(recipe, 5, total)
    return run, [run.train(text) for _ in range(steps)]


def test_with_one_level_a_run_is_the_plain_one_bit_for_bit(recipe, small, text):
    one, losses = trained(recipe(**{"cms.levels": 1}), text, 5)
    plain, plain_losses = trained(small(blocks=2, **PLAIN), text, 5)
    assert losses == plain_losses
    assert one.tensors().keys() == plain.tensors().keys()
    for name, tensor in plain.tensors().items():
        assert torch.equal(one.tensors()[name], tensor), name


@pytest.mark.parametrize("fields", [{"cms.levels": 2}, {"cms.levels": 4, "cms.ratio": 2}, {"cms.levels": 2, **GATED}])
def test_it_learns(recipe, text, fields):
    _, losses = trained(recipe(**fields), text, 30)
    assert sum(losses[-5:]) / 5 < 0.7 * losses[0]


@pytest.mark.parametrize("aggregation", ["chain", "parallel"])
def test_a_run_cut_between_two_updates_of_a_level_goes_on_bit_for_bit(recipe, text, aggregation):
    fields = {"cms.levels": 3, "cms.aggregation": aggregation, "cms.flush": "apply", **GATED}
    whole, losses = trained(recipe(**fields), text, 11, 11)
    cut, before = trained(recipe(**fields), text, 5, 11)
    again = resumed(*unpack(cut.checkpoint(environment())))
    assert before + [again.train(text) for _ in range(6)] == losses
    assert again.checkpoint(environment()) == whole.checkpoint(environment())


def test_levels_and_test_time_training_go_on_together_bit_for_bit(recipe, text, texts):
    mode = list(ttt)[list(cms).index(recipe().cms) % len(list(ttt))]
    prepared = {"e2e.outer_fraction": 0.5} if mode == "e2e" else {}
    fields = {"cms.levels": 3, "ttt": mode, "ttt.stride": 64, "cms.flush": "apply", **prepared}
    whole, losses = trained(recipe(**fields), text, 8, 8)
    cut, before = trained(recipe(**fields), text, 5, 8)
    again = resumed(*unpack(cut.checkpoint(environment())))
    assert before + [again.train(text) for _ in range(3)] == losses
    assert again.checkpoint(environment()) == whole.checkpoint(environment())
    assert any(".slower." in name for name in whole.adaptation.start().fast)
    held_out = texts.split("validation")[:400]
    adapted = whole.measure(held_out, [400])
    assert again.measure(held_out, [400]) == adapted
    assert score(whole.predict, held_out, probe_seed=0).nll_sum != adapted.nll_sum
    assert again.checkpoint(environment()) == whole.checkpoint(environment())


def test_levels_are_scored_at_the_average_that_their_optimizers_keep(recipe, text, texts):
    fields = {"cms.levels": 3, "optimizer": "schedulefree"}
    if recipe().cms in ("nested", "sequential"):
        with pytest.raises(ImpossibleCombination, match=f"schedulefree does not combine with cms {recipe().cms}"):
            recipe(**fields)
        return
    chosen = recipe(**fields)
    whole, _ = trained(chosen, text, 11, 11)
    cut, _ = trained(chosen, text, 5, 11)
    again = resumed(*unpack(cut.checkpoint(environment())))
    for _ in range(6):
        again.train(text)
    held_out = texts.split("validation")
    assert again.measure(held_out, [len(held_out)]) == whole.measure(held_out, [len(held_out)])
    assert again.checkpoint(environment()) == whole.checkpoint(environment())
    for slow in whole.optimizer.slow:
        for name, weight in slow.part.moved.items():
            y, z = weight.detach().clone(), slow.inner.inner.state[weight]["z"]
            with whole.optimizer.evaluation_weights():
                torch.testing.assert_close(weight, (y - 0.1 * z) / 0.9, msg=name)
            assert torch.equal(y, z) is (int(slow.fires) == 1)
            assert torch.equal(weight, y)


STACKED = {"cms": "independent", "cms.levels": 3, "cms.stack": 0.5, "cms.heads": 3}


@pytest.mark.parametrize("fields", [{"cms": "basic", "cms.levels": 3, "cms.stack": 0.5}, STACKED])
def test_levels_that_come_one_by_one_change_nothing_when_they_come_and_then_learn(small, text, fields):
    recipe = small(**{**PLAIN, **fields, "blocks": 2, "cms.ratio": 2, "cms.aggregation": "chain"})
    run, ids = Run(recipe, 5, 12), text[None, :40].long()
    plain = Run(small(blocks=2, **PLAIN), 5, 12)
    with torch.no_grad():
        for name, weight in run.model.named_parameters():
            if name in dict(plain.model.named_parameters()):
                weight.copy_(dict(plain.model.named_parameters())[name])
    losses, files = [], {}
    for step in range(12):
        if step in (3, 6):
            before = run.model(ids)[0]
            assert push_levels(run.model, step, 12)
            run.deepen(step)
            torch.testing.assert_close(run.model(ids)[0], before)
            run = resumed(*unpack(files[step]))
        losses.append(run.train(text))
        files[step + 1] = run.checkpoint(environment())
    assert losses[:3] == pytest.approx([plain.train(text) for _ in range(3)])
    assert [levels.present for levels in run.model.levels()] == [3, 3]
    for levels in run.model.levels():
        assert all(weight.abs().max() > 0 for weight in levels.parameters() if weight.ndim == 2)
    again = resumed(*unpack(files[7]))
    assert [again.train(text) for _ in range(5)] == losses[7:]
    assert again.checkpoint(environment()) == files[12]
    assert losses[-1] < losses[0]


def test_parts_of_a_level_move_at_steps_of_their_own(small, text):
    fields = {"cms": "independent", "cms.ratio": 4, "cms.heads": 4}
    run, moved = Run(small(**{**PLAIN, **fields}), 5, 30), [[] for _ in range(4)]
    for step in range(8):
        parts = [part.down.weight for part in next(run.model.levels()).slower[0].parts]
        before = [part.detach().clone() for part in parts]
        run.train(text)
        for part in range(4):
            if not torch.equal(before[part], parts[part]):
                moved[part].append(step)
    assert sorted(step for steps in moved for step in steps) == list(range(8))
    assert all(later - first == 4 for first, later in moved)


def test_a_penalty_draws_learned_gates_to_their_levels_paces(small, text):
    fields = {"cms": "basic", "cms.levels": 3, "cms.ratio": 4, **GATED, "cms.anneal": 1.0}
    far = {}
    for weight in (0.0, 100.0):
        run = Run(small(**{**PLAIN, **fields, "cms.gate_penalty": weight, "optimizer": "adamw"}), 5, 40)
        for _ in range(40):
            run.train(text)
        levels, found = next(run.model.levels()), []
        levels.penalty, levels.watch = 1.0, found.append
        run.model(text[None, :200].long())
        far[weight] = found[0].item()
        assert run.effective().digest == run.recipe.digest
    assert far[100.0] < 0.2 * far[0.0]


def test_every_option_reaches_the_engine(recipe):
    options = {"levels": 3, "first": 2, "ratio": 5, "unit": "token", "buffer": "sqrt", "flush": "discard"}
    more = {"aggregation": "parallel", "gates": "learned", "gate_chunk": 9, "anneal": 0.25}
    wanted = recipe(**{f"cms.{key}": value for key, value in {**options, **more}.items()})
    assert Run(wanted, 0, 1).effective().digest == wanted.digest


@pytest.mark.parametrize("always", [True, False])
@pytest.mark.parametrize("fields", [{"cms.aggregation": "chain"}, {"cms.aggregation": "parallel"}])
def test_predictions_with_learned_gates_do_not_see_later_ids_by_one_bit(recipe, fields, always):
    model = shaken(recipe(**fields, **GATED), always)
    ids = torch.randint(256, (2, 60), generator=torch.Generator().manual_seed(0))
    other = ids.clone()
    other[:, 33:] = (other[:, 33:] + 1) % 256
    before, after = model(ids)[0], model(other)[0]
    assert torch.equal(before[:, :33], after[:, :33])
    assert not torch.equal(before[:, 33], after[:, 33])


@pytest.mark.parametrize("cuts", [[1, 2], [5, 10, 15], [3, 29], [44]])
def test_a_text_in_parts_equals_the_whole(recipe, cuts):
    model = shaken(recipe(**GATED), False).double()
    ids = torch.randint(256, (2, 60), generator=torch.Generator().manual_seed(0))
    whole, _ = model(ids)
    carried, parts = None, []
    for part in torch.tensor_split(ids, cuts, dim=1):
        logits, carried = model(part, carried)
        parts.append(logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-9)


def shaken(recipe, always):
    """A model whose every branch acts, with gates that are open here and closed there."""
    model = Run(recipe, 3, 10).model
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        for levels in model.levels():
            levels.always = always
            levels.gate.normal_().mul_(3)
    return model
