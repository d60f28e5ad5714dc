import pytest
import torch

from tests.memories import inputs, ready
from training.rules import scan


@pytest.mark.parametrize("options", [
    {"levels": 3, "first": 1, "ratio": 3},
    {"levels": 2, "first": 2, "ratio": 2, "reset": 1, "between": "fades"},
    {"levels": 2, "first": 3, "ratio": 4, "reset": 2, "bound": "none"},
])  # fmt: skip
@pytest.mark.parametrize("cuts", [[0], [1, 2], [5, 6, 30], [12, 24], list(range(1, 43))])
def test_what_is_gathered_at_once_equals_the_definition_at_any_cut(options, cuts):
    rule = ready("continuum", **options)
    q, k, v, gates = inputs(rule, 43)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    state, parts = rule.initial(q, v), []
    for start, stop in zip([0, *cuts], [*cuts, 43], strict=True):
        if stop > start:
            tokens = (x[:, :, start:stop] for x in (q, k, v))
            y, state = rule.segment(state, *tokens, {n: g[:, :, start:stop] for n, g in gates.items()}, 8)
            parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), slow, rtol=1e-10, atol=1e-10)
    for one, other in zip(state, end, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_every_level_moves_at_its_own_tokens_and_only_there():
    rule = ready("continuum", levels=3, first=2, ratio=3)
    q, k, v, gates = inputs(rule, 40)
    state, moved = rule.initial(q, v), [[], [], []]
    for t in range(40):
        after = rule.step(state, k[:, :, t], v[:, :, t], {n: g[:, :, t] for n, g in gates.items()})
        for n in range(3):
            if not torch.equal(after.M_BHNKV[:, :, n], state.M_BHNKV[:, :, n]):
                moved[n].append(t + 1)
        state = after
    assert moved == [list(range(2, 41, 2)), list(range(6, 41, 6)), [18, 36]]


def test_one_level_that_moves_at_every_token_is_titans_without_momentum_from_a_learned_start():
    rule, titans = ready("continuum", levels=1, first=1, bound="none"), ready("titans", bound="none")
    q, k, v, gates = inputs(rule, 30)
    still = torch.full_like(gates["theta_0"], -torch.inf)
    mapped = {"log_retain": gates["log_retain_0"], "log_momentum": still, "theta": gates["theta_0"]}
    start = titans.initial(q, v)._replace(M_BHKV=rule.initial(q, v).M_BHNKV[:, :, 0])
    expected, _ = scan(titans, start, q, k, v, mapped)
    torch.testing.assert_close(rule.segment(rule.initial(q, v), q, k, v, gates, 8)[0], expected)


def test_a_level_that_starts_anew_forgets_and_its_start_goes_on_being_taught():
    for reset, remembers in ((0, True), (2, False)):
        rule = ready("continuum", levels=1, first=4, reset=reset)
        q, k, v, gates = inputs(rule, 24)
        start = rule.inner.learned["start"].clone().requires_grad_()
        taught = rule.with_learned({**rule.inner.learned, "start": start})
        before, _ = taught.segment(taught.initial(q, v), q, k, v, gates, 8)
        (late,) = torch.autograd.grad(before[:, :, 16:20].sum(), start)
        v[:, :, 2] += 1
        after, _ = taught.segment(taught.initial(q, v), q, k, v, gates, 8)
        assert torch.equal(before[:, :, 8:], after[:, :, 8:]) is not remembers
        assert not torch.equal(before[:, :, :8], after[:, :, :8])
        assert late.abs().max() > (0.5 if not remembers else 0.0)
