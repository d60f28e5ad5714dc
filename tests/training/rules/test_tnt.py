import pytest
import torch

from tests.memories import inputs, ready
from training.checkpoint import unpack
from training.environment import environment
from training.rules import rules, scan
from training.run import Run, resumed
from training.windows import as_tensor


def flat(state):
    return [tensor.double() for tensor in state]


@pytest.mark.parametrize("options", [
    {"locals": 1, "chunk": 3, "shard": 2, "period": 5},
    {"locals": 3, "chunk": 2, "shard": 1, "period": 64, "project": "sum"},
    {"locals": 2, "chunk": 1, "shard": 4, "period": 1, "project": "none", "bound": "none"},
    {"locals": 2, "chunk": 2, "shard": 2, "period": 7, "read_at": "chunk_start"},
])  # fmt: skip
@pytest.mark.parametrize("cuts", [[0], [1, 2], [5, 6, 30], [8, 16, 24], list(range(1, 43))])
def test_shards_side_by_side_equal_the_definition_at_any_cut(options, cuts):
    rule = ready("tnt", **options)
    q, k, v, gates = inputs(rule, 43)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    state, parts = rule.initial(q, v), []
    for start, stop in zip([0, *cuts], [*cuts, 43], strict=True):
        if stop > start:
            tokens = (x[:, :, start:stop] for x in (q, k, v))
            y, state = rule.segment(state, *tokens, {n: g[:, :, start:stop] for n, g in gates.items()}, 8)
            parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), slow, rtol=1e-10, atol=1e-10)
    for one, other in zip(flat(state), flat(end), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_one_local_of_chunk_one_over_the_whole_text_is_titans_without_momentum_from_a_learned_start():
    tnt = ready("tnt", locals=1, chunk=1, shard=4096, period=4096, project="none", bound="none")
    titans = rules["titans"].with_options(bound="none")
    q, k, v, gates = inputs(tnt, 30)
    still = {**gates, "log_momentum": torch.full_like(gates["theta"], -torch.inf)}
    start = tnt.initial(q, v).W_BHNKV[:, :, 0]
    empty = titans.initial(q, v)
    expected, _ = scan(titans, empty._replace(M_BHKV=start), q, k, v, still)
    torch.testing.assert_close(tnt.segment(tnt.initial(q, v), q, k, v, gates, 8)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_the_second_stage_has_smaller_chunks_in_the_same_shards_exactly(chunk):
    rule = ready("tnt", locals=2, chunk=4, shard=1, period=6, second=0.25, second_chunk=chunk)
    q, k, v, gates = inputs(rule, 43)
    learned = rule.inner.learned
    early, late = (rule.in_stage(progress).with_learned(learned) for progress in (0.7, 0.8))
    slow, end = scan(late, late.initial(q, v), q, k, v, gates)
    state, parts = late.initial(q, v), []
    for start, stop in ((0, 1), (1, 9), (9, 30), (30, 43)):
        tokens = (x[:, :, start:stop] for x in (q, k, v))
        y, state = late.segment(state, *tokens, {n: g[:, :, start:stop] for n, g in gates.items()}, 8)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), slow, rtol=1e-10, atol=1e-10)
    for one, other in zip(flat(state), flat(end), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    first, _ = early.segment(early.initial(q, v), q, k, v, gates, 8)
    alone = ready("tnt", locals=2, chunk=4, shard=1, period=6).with_learned(learned)
    assert torch.equal(first, alone.segment(alone.initial(q, v), q, k, v, gates, 8)[0])
    assert not torch.allclose(first, slow)
    other = ready("tnt", locals=2, chunk=4, shard=1, period=6, second=1.0, second_chunk=4).with_learned(learned)
    assert torch.equal(
        first, other.in_stage(0.0).with_learned(learned).segment(other.initial(q, v), q, k, v, gates, 8)[0]
    )


def test_a_run_is_scored_and_served_in_the_stage_that_it_was_trained_in(small, texts):
    fields = {"rule": "tnt", "tnt.second": 0.5, "tnt.second_chunk": 2}
    recipe, text = small(**fields), as_tensor(texts.split("train"))
    run, chunks = Run(recipe, 1, 4), []
    for _ in range(4):
        run.train(text)
        (memory,) = run.model.memories()
        chunks.append(memory.rule.inner.stage)
    assert chunks == [1, 1, 2, 2]
    assert run.effective().digest == recipe.digest
    again = resumed(*unpack(run.checkpoint(environment())))
    held_out = texts.split("validation")[:300]
    assert again.measure(held_out, [300]) == run.measure(held_out, [300])
    plain = Run(small(rule="tnt"), 1, 4)
    plain.model.load_state_dict(run.model.state_dict())
    assert plain.measure(held_out, [300]).nll_sum != run.measure(held_out, [300]).nll_sum


def test_locals_forget_what_came_before_their_shard_and_the_global_memory_does_not():
    for period, remembers in ((4096, False), (8, True)):
        rule = ready("tnt", locals=2, chunk=2, shard=2, period=period)
        q, k, v, gates = inputs(rule, 24)
        before, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 8)
        v[:, :, 3] += 1
        after, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 8)
        assert torch.equal(before[:, :, 8:], after[:, :, 8:]) is not remembers
        assert not torch.equal(before[:, :, 3:8], after[:, :, 3:8])


def test_every_shard_teaches_the_learned_start():
    rule = ready("tnt", chunk=2, shard=2, period=4096)
    q, k, v, gates = inputs(rule, 16)
    start = rule.inner.learned["start"].clone().requires_grad_()
    for first in (0, 4, 8, 12):
        y, _ = rule.with_learned({"start": start}).segment(
            rule.with_learned({"start": start}).initial(q, v), q, k, v, gates, 8
        )
        (gradient,) = torch.autograd.grad(y[:, :, first : first + 4].sum(), start)
        assert gradient.abs().max() > 0


def test_a_key_that_fills_every_chunk_diverges_without_the_bound_and_not_with_it():
    for bound, stays in (("stable", True), ("none", False)):
        rule = ready("tnt", chunk=8, shard=64, bound=bound)
        q, k, v, gates = inputs(rule, 400)
        k, theta = k[:, :, :1].expand_as(k), torch.full_like(gates["theta"], 0.9)
        retain = torch.full_like(theta, -1e-3)
        y, _ = rule.segment(rule.initial(q, v), q, k, v, {**gates, "theta": theta, "log_retain": retain}, 8)
        assert (y.abs().max() < 10 * v.abs().max()) == stays
