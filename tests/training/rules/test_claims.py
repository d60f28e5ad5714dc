"""One test for each claim that a paper or a header makes."""

import pytest
import torch

from errors import ImpossibleCombination, UnknownName
from tests.memories import inputs, ready, sizes
from training.biases import biases
from training.newton_schulz import near_orthogonal
from training.recipe import recipe_from
from training.rules import rule_of, rules, scan
from training.rules.trellis import SMALL

NETWORKS = ["titans_mlp", "moneta", "yaad", "memora"]


def chosen(**fields):
    """A rule as a recipe asks for it, over learned tensors for three heads."""
    rule = rule_of(recipe_from(fields))
    random = torch.Generator().manual_seed(0)
    shapes = {key: tensor.shape for key, tensor in rule.learned(3, *sizes(rule)).items()}
    learned = {key: torch.randn(shape, generator=random, dtype=torch.float64) for key, shape in shapes.items()}
    return rule.with_learned(learned)


def constant(like, **values):
    """Gates that stand still."""
    return {name: torch.full(like.shape[:3], value, dtype=like.dtype) for name, value in values.items()}


def grown(factor, bound, retain=0.9, eta=0.8, length=900):
    """How far one repeated key drives a Titans memory from its limit, theta at `factor` times the stable bound."""
    rule = ready("titans", bound=bound)
    q, k, v, _ = inputs(rule, length)
    k = k[:, :, :1].expand_as(k)
    logs = torch.tensor([retain, eta]).double().log().tolist()
    theta = factor * (1 + retain) * (1 + eta)
    gates = constant(k, log_retain=logs[0], log_momentum=logs[1], theta=theta)
    start = rule.initial(q, v)._replace(M_BHKV=torch.ones(2, 3, 4, 5, dtype=torch.float64))
    y, _ = rule.segment(start, k, k, torch.zeros_like(v), gates, 32)
    return y[:, :, -1].abs().max().item()


def test_titans_is_stable_with_repeated_keys_exactly_below_its_bound():
    assert grown(0.97, "none") < 1e-3
    assert grown(1.03, "none") > 1e3
    assert grown(1.03, "stable") < 1e-3


def test_titans_within_the_calm_bound_does_not_oscillate():
    rule = ready("titans", bound="calm")
    q, k, v, _ = inputs(rule, 60)
    k = k[:, :, :1].expand_as(k)
    gates = constant(k, log_retain=-0.01, log_momentum=-1.0, theta=5.0)
    start = rule.initial(q, v)._replace(M_BHKV=torch.ones(2, 3, 4, 5, dtype=torch.float64))
    y, _ = rule.segment(start, k, k, torch.zeros_like(v), gates, 16)
    assert (y * y[:, :, :1] > 0).all()


@pytest.mark.parametrize("eta", [0.5, 0.9, 0.99])
def test_titans_segments_are_exact_at_high_momentum(eta):
    rule = ready("titans")
    q, k, v, gates = inputs(rule, 130)
    gates["log_momentum"] = torch.full_like(gates["theta"], eta).log()
    slow, _ = scan(rule, rule.initial(q, v), q, k, v, gates)
    fast, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 64)
    assert (fast - slow).norm() < 1e-10 * slow.norm()


def test_hebbian_memory_is_masked_linear_attention():
    rule = ready("hebbian")
    q, k, v, _ = inputs(rule, 20)
    y, _ = rule.segment(rule.initial(q, v), q, k, v, constant(k, log_retain=0.0, theta=1.0), 8)
    torch.testing.assert_close(y, (q @ k.mT).tril() @ v)


def test_implicit_descent_is_stable_for_a_step_of_any_size():
    rule = rules["implicit"]
    _, k, v, _ = inputs(rule, 200)
    k = k[:, :, :1].expand_as(k)
    y, _ = rule.segment(rule.initial(k, v), k, k, v, constant(k, log_retain=0.0, theta=1e9), 32)
    torch.testing.assert_close(y, v, rtol=1e-6, atol=1e-6)


def test_implicit_descent_lands_at_the_minimum():
    rule = rules["implicit"]
    _, k, v, gates = inputs(rule, 2)
    first = rule.initial(k, v)._replace(S_BHKV=torch.ones(2, 3, 4, 5, dtype=torch.float64))
    gate = {name: value[:, :, 0] for name, value in gates.items()}
    S = rule.step(first, k[:, :, 0], v[:, :, 0], gate).S_BHKV.requires_grad_()
    error = (S.mT @ k[:, :, 0, :, None]).squeeze(-1) - v[:, :, 0]
    moved = S - gate["log_retain"].exp()[..., None, None] * first.S_BHKV
    loss = error.square().sum() / 2 + (moved.square().sum((-2, -1)) / (2 * gate["theta"])).sum()
    assert torch.autograd.grad(loss, S)[0].abs().max() < 1e-12


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("wrap", ["norm", "none"])
def test_a_network_moves_by_the_gradient_that_autograd_finds(name, wrap):
    rule = ready(name, wrap=wrap)
    q, k, v, _ = inputs(rule, 1)
    start, bias = rule.initial(q, v), biases[rule.inner.named["bias"]]
    options = {key: spec["default"] for key, spec in bias.about.get("fields", {}).items()}
    theta = 1e-3
    gates = {
        name: torch.full((2, 3), -torch.inf if name == "log_momentum" else 0.0).double() for name in rule.inner.gates
    }
    end = rule.step(start, k[:, :, 0], v[:, :, 0], {**gates, "theta": torch.full((2, 3), theta).double()})
    W1, W2 = (rule.inner.retention.weights(A).detach().requires_grad_() for A in start[:2])
    x = k[:, :, 0, :, None]
    out = W2 @ torch.nn.functional.silu(W1 @ x)
    y = x + torch.nn.functional.layer_norm(out.mT, out.shape[-2:-1], eps=1e-6).mT if wrap == "norm" else out
    loss = bias.loss(y.squeeze(-1), v[:, :, 0], options).sum()
    for A, W, gradient in zip(start[:2], (W1, W2), torch.autograd.grad(loss, (W1, W2)), strict=True):
        moved = A - theta / W1.shape[-2] * rule.inner.retention.direct(W, gradient)
        after = end.A1_BHUI if W is W1 else end.A2_BHOU
        torch.testing.assert_close(after, rule.inner.retention.settle(moved), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options", "live"),
    [
        ("titans_mlp", {}, {}),
        ("yaad", {"local": 0.0}, {}),
        ("moneta", {"read_at": "chunk_start"}, {"read_at": "before"}),
        ("memora", {}, {"read_at": "before"}),
        ("lattice", {"read_at": "chunk_start", "bound": "none"}, {"read_at": "before"}),
        (
            "lattice",
            {"read_at": "chunk_start", "form": "encoding", "bound": "none"},
            {"read_at": "before", "form": "encoding"},
        ),
        ("lattice", {"read_at": "chunk_start", "across": "additive"}, {"read_at": "before"}),
    ],
)
def test_a_frozen_rule_whose_period_is_one_token_is_the_live_rule(name, options, live):
    frozen, rule = ready(f"{name}_frozen", period=1, **options), ready(name, **live)
    q, k, v, gates = inputs(rule, 12)
    y, _ = frozen.segment(frozen.initial(q, v), q, k, v, gates, 8)
    expected, _ = scan(rule, rule.initial(q, v), q, k, v, gates)
    torch.testing.assert_close(y, expected, rtol=1e-8, atol=1e-8)


def test_a_pull_to_the_start_of_the_period_keeps_a_frozen_memory_nearer_to_it():
    far = []
    for local in (0.0, 0.25):
        rule = ready("yaad_frozen", local=local, period=64)
        q, k, v, gates = inputs(rule, 40)
        start = rule.initial(q, v)
        _, end = rule.segment(start, q, k, v, {**gates, "theta": torch.ones_like(gates["theta"])}, 8)
        far.append((end.A2_BHOU - start.A2_BHOU).norm().item())
    assert far[1] < far[0]


def test_rows_of_memora_stay_on_the_simplex():
    rule = ready("memora")
    q, k, v, gates = inputs(rule, 40, spread=5.0)
    _, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    for A in (end.A1_BHUI, end.A2_BHOU):
        shares = rule.inner.retention.weights(A) / A.shape[-1]
        assert (shares >= 0).all()
        torch.testing.assert_close(shares.sum(-1), torch.ones_like(shares.sum(-1)))


def test_slots_of_lattice_keep_unit_length_and_turn_across_themselves():
    rule = ready("lattice")
    q, k, v, gates = inputs(rule, 40, spread=5.0)
    _, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    torch.testing.assert_close(end.slots.norm(dim=-1), torch.ones_like(end.slots[..., 0]))
    slots, gradient = end.slots, torch.randn_like(end.slots)
    across = rule.inner.retention.direct(slots, gradient)
    assert (across * slots).sum(-1).abs().max() < 1e-12


@pytest.mark.parametrize("across", ["gated", "additive"])
def test_a_frozen_lattice_drifts_from_the_live_one_by_no_more_than_its_step_and_period(across):
    far = []
    for theta, period in ((0.05, 4), (0.05, 16), (0.5, 16)):
        frozen, live = ready("lattice_frozen", period=period, across=across), ready("lattice")
        q, k, v, gates = inputs(live, 64)
        given = {"log_retain": torch.zeros_like(gates["theta"]), "theta": torch.full_like(gates["theta"], theta)}
        y, end = frozen.segment(frozen.initial(q, v), q, k, v, given, 8)
        expected, _ = scan(live, live.initial(q, v), q, k, v, given)
        far.append(((y - expected).norm() / expected.norm()).item())
        torch.testing.assert_close(end.begun.norm(dim=-1), torch.ones_like(end.begun[..., 0]))
    assert 0 < far[0] < far[1] < far[2]
    assert far[0] < 0.1


def test_slots_with_gates_turn_towards_values_across_themselves_and_keep_their_length():
    rule = ready("lattice_gate")
    q, k, v, _ = inputs(rule, 1)
    s, gate = rule.initial(q, v).slots, {"log_retain": torch.zeros(2, 3).double(), "theta": torch.ones(2, 3).double()}
    end = rule.step(rule.initial(q, v), k[:, :, 0], v[:, :, 0], gate)
    for b, h, i in ((0, 0, 0), (1, 2, 7), (0, 1, 15)):
        slot, value = s[b, h, i], v[b, h, 0]
        turned = torch.sigmoid(slot @ k[b, h, 0]) * value
        moved = slot + turned - slot * (slot @ turned)
        torch.testing.assert_close(end.slots[b, h, i], moved / moved.norm())
    shares = (end.slots @ q[:, :, 0, :, None]).softmax(-2)
    torch.testing.assert_close(rule.read(end, q[:, :, 0]), (shares * end.slots).sum(-2))


@pytest.mark.parametrize("form", ["decoding", "encoding"])
def test_lattice_follows_the_gradient_by_its_raw_slots_that_autograd_finds(form):
    rule = ready("lattice", form=form)
    q, k, v, gates = inputs(rule, 1)
    start = rule.initial(q, v)
    raw = start.slots.clone().requires_grad_()
    slots, code = raw / raw.norm(dim=-1, keepdim=True), (k @ rule.inner.learned["code"].mT)[:, :, 0]
    if form == "decoding":
        error = (code[..., None, :] @ slots).squeeze(-2) - v[:, :, 0]
    else:
        error = (slots @ v[:, :, 0, :, None]).squeeze(-1) - code
    (gradient,) = torch.autograd.grad(error.square().sum() / 2, raw)
    gate = {name: g[:, :, 0, None, None] for name, g in gates.items()}
    moved = gate["log_retain"].exp() * start.slots - gate["theta"] * gradient
    end = rule.step(start, k[:, :, 0], v[:, :, 0], {name: g[:, :, 0] for name, g in gates.items()})
    torch.testing.assert_close(end.slots, moved / moved.norm(dim=-1, keepdim=True))


def test_trellis_follows_the_gradient_of_both_passes_that_autograd_finds():
    rule = ready("trellis")
    q, k, v, gates = inputs(rule, 1)
    start, code = rule.initial(q, v), (k @ rule.inner.learned["code"].mT)[:, :, 0]
    end = rule.step(start, k[:, :, 0], v[:, :, 0], {name: g[:, :, 0] for name, g in gates.items()})
    for S, after, w, name in ((start.keys, end.keys, k, "key"), (start.values, end.values, v, "value")):
        live, w = S.clone().requires_grad_(), w[:, :, 0]
        z = (live @ w[..., None]).squeeze(-1)
        said = torch.nn.functional.layer_norm(torch.nn.functional.silu(z), z.shape[-1:], eps=SMALL)
        (gradient,) = torch.autograd.grad((said - code).square().sum() / 2, live)
        size = gates[f"theta_{name}"][:, :, 0] / (1 + w.square().sum(-1))
        retain = gates[f"log_retain_{name}"][:, :, 0].exp()
        torch.testing.assert_close(after, retain[..., None, None] * S - size[..., None, None] * gradient)


def test_an_elastic_net_sets_weights_to_exactly_zero():
    sparse = chosen(rule="titans", retention="elastic_net", **{"elastic_net.threshold": 0.05})
    dense = ready("titans")
    q, k, v, gates = inputs(dense, 40)
    _, end = sparse.segment(sparse.initial(q, v), q, k, v, gates, 16)
    _, other = dense.segment(dense.initial(q, v), q, k, v, gates, 16)
    assert 0.1 < (end.M_BHKV == 0).double().mean() < 1
    assert not (other.M_BHKV == 0).any()


@pytest.mark.parametrize("per", ["channel", "token", "switch"])
def test_a_wild_token_moves_a_huber_memory_no_further_than_a_large_one(per):
    rule = chosen(rule="titans", bias="huber", **{"huber.per": per})
    q, k, v, gates = inputs(rule, 1)
    ends = [rule.segment(rule.initial(q, v), q, k, v.sign() * size, gates, 1)[1].M_BHKV for size in (10.0, 1000.0)]
    torch.testing.assert_close(*ends)


def test_yaad_as_printed_switches_at_the_delta_of_each_token():
    rule = ready("yaad_switch", wrap="none")
    q, k, v, _ = inputs(rule, 1)
    start, x = rule.initial(q, v), k[:, :, 0, :, None]
    W1, W2 = (A.clone().requires_grad_() for A in start[:2])
    e = (W2 @ torch.nn.functional.silu(W1 @ x)).squeeze(-1) - v[:, :, 0]
    delta = e.detach().norm(dim=-1) * torch.tensor([0.5, 2.0, 0.5], dtype=torch.float64)
    near = torch.tensor([False, True, False])[:, None]
    loss = torch.where(near, e.square() / 2, delta[..., None] * (10 * e).cosh().log() / 10).sum()
    learned = delta.clone().requires_grad_()
    gate = {"log_retain": torch.zeros_like(delta), "theta": torch.full_like(delta, 0.1), "delta": learned}
    end = rule.step(start, k[:, :, 0], v[:, :, 0], gate)
    for A, after, gradient in zip(start[:2], end[:2], torch.autograd.grad(loss, (W1, W2)), strict=True):
        torch.testing.assert_close(after, A - 0.1 / W1.shape[-2] * gradient)
    (by_delta,) = torch.autograd.grad(end.A2_BHOU.sum(), learned)
    assert by_delta.ne(0).tolist() == [[True, False, True]] * 2


def test_atlas_learns_from_its_window_as_autograd_finds_and_from_nothing_older():
    rule = ready("atlas", bound="none", window=3)
    q, k, v, gates = inputs(rule, 6)
    state = rule.initial(q, v)
    for t in range(6):
        M, gate = state.M_BHKV.clone().requires_grad_(), {name: g[:, :, t] for name, g in gates.items()}
        seen = range(max(0, t - 2), t + 1)
        errors = [(M.mT @ k[:, :, i, :, None]).squeeze(-1) - v[:, :, i] for i in seen]
        loss = sum((gates["gamma"][:, :, i, None] * e.square()).sum() / 6 for i, e in zip(seen, errors, strict=True))
        (gradient,) = torch.autograd.grad(loss, M)
        moved = gate["log_momentum"].exp()[..., None, None] * state.S_BHKV - gate["theta"][..., None, None] * gradient
        state = rule.step(state, k[:, :, t], v[:, :, t], gate)
        torch.testing.assert_close(state.S_BHKV, moved)


def test_atlas_with_a_window_of_one_is_titans():
    atlas, titans = ready("atlas", window=1), ready("titans")
    q, k, v, gates = inputs(atlas, 30)
    y, _ = atlas.segment(atlas.initial(q, v), q, k, v, {**gates, "gamma": torch.ones_like(gates["gamma"])}, 8)
    other, _ = titans.segment(titans.initial(q, v), q, k, v, gates, 8)
    torch.testing.assert_close(y, other)


@pytest.mark.parametrize("bias", ["none", "huber"])
@pytest.mark.parametrize("read_at", ["after", "before"])
def test_atlas_that_moves_at_every_few_tokens_is_its_definition_at_any_cut(bias, read_at):
    fields = {"atlas.newton_schulz": True, "atlas.ns_every": 5, "atlas.window": 3, "atlas.read_at": read_at}
    rule = chosen(rule="atlas", bias=bias, **fields)
    q, k, v, gates = inputs(rule, 31)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    state, parts = rule.initial(q, v), []
    for start, stop in ((0, 1), (1, 5), (5, 12), (12, 31)):
        tokens = (x[:, :, start:stop] for x in (q, k, v))
        y, state = rule.segment(state, *tokens, {n: g[:, :, start:stop] for n, g in gates.items()}, 8)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 2), slow, rtol=1e-9, atol=1e-10)
    for one, other in zip(state, end, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-10)
    moves = [torch.equal(slow[0, 0, t] * 0, slow[0, 0, t]) for t in range(5)]
    assert moves == ([True] * 4 + [False] if read_at == "after" else [True] * 5)


def test_newton_schulz_can_be_left_out_of_the_gradient_and_of_no_value():
    values, gradients = [], []
    for mode in ("unroll", "straight"):
        rule = ready("atlas", newton_schulz=True, ns_grad=mode)
        q, k, v, gates = inputs(rule, 1)
        y, end = rule.segment(rule.initial(q, v), q, k, v.requires_grad_(), gates, 1)
        values.append(y)
        gradients.append(torch.autograd.grad(end.M_BHKV.sum(), v)[0])
    torch.testing.assert_close(*values)
    share = gates["theta"] * gates["gamma"] / 4
    torch.testing.assert_close(gradients[1], (share[..., None] * k.sum(-1, keepdim=True)).expand_as(v))
    assert not torch.allclose(*gradients)


def test_newton_schulz_brings_singular_values_near_one():
    random = torch.Generator().manual_seed(0)
    for shape in ((2, 16, 16), (3, 8, 20), (20, 8)):
        x = torch.randn(shape, generator=random, dtype=torch.float64)
        values = torch.linalg.svdvals(near_orthogonal(x))
        assert values.max() < 1.21
        assert values.median() > 0.68
    assert not near_orthogonal(torch.zeros(3, 3)).any()


def test_a_surrogate_of_omega_writes_without_asking_its_memory():
    rule = ready("omega_surrogate")
    q, k, v, gates = inputs(rule, 9)
    start = rule.initial(q, v)
    other = start._replace(M_BHKV=torch.ones_like(start.M_BHKV))
    ends = [scan(rule, state, q, k, v, gates)[1].M_BHKV for state in (start, other)]
    faded = gates["log_retain"].sum(-1).exp()[..., None, None].expand_as(ends[0])
    torch.testing.assert_close(ends[1] - ends[0], faded)


@pytest.mark.parametrize("name", [*NETWORKS, "yaad_frozen", "lattice", "trellis"])
def test_gradient_modes_change_gradients_and_no_value(name):
    values, gradients = [], []
    for mode in ("full", "first_order", "truncated"):
        rule = ready(name, gradient=mode, truncate=4, **({"period": 4} if name.endswith("_frozen") else {}))
        q, k, v, gates = inputs(rule, 12)
        k.requires_grad_()
        y, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 4)
        values.append(y)
        gradients.append(torch.autograd.grad(y[:, :, 8:].square().sum(), k)[0])
    full, first_order, truncated = gradients
    assert torch.equal(values[0], values[1])
    torch.testing.assert_close(values[0], values[2], rtol=1e-9, atol=1e-9)
    assert not truncated[:, :, :8].any()
    assert full[:, :, :8].any()
    assert not torch.allclose(full, first_order)


MATRICES = [name for name in rules if rules.about(name)["fields"]["gradient"]["choices"] == ["full", "truncated"]]


@pytest.mark.parametrize("name", MATRICES)
def test_no_gradient_flows_from_one_window_to_the_last_where_it_is_truncated(name):
    rule = ready(name, gradient="truncated", truncate=8)
    q, k, v, gates = inputs(rule, 16)
    v.requires_grad_()
    y, _ = rule.segment(rule.initial(q, v), q, k, v, gates, 4)
    (gradient,) = torch.autograd.grad(y[:, :, 8:].square().sum(), v)
    assert not gradient[:, :, :8].any()
    assert gradient[:, :, 8:].any()


def test_delta_with_its_error_before_the_decay_is_delta_of_other_gates_and_values():
    pre, post = ready("delta", error_on="pre_decay"), ready("delta")
    q, k, v, gates = inputs(pre, 50)
    retain = gates["log_retain"].exp()
    y, _ = pre.segment(pre.initial(q, v), q, k, v, gates, 16)
    mapped = {**gates, "beta": gates["beta"] / retain}
    expected, _ = scan(post, post.initial(q, v), q, k, retain[..., None] * v, mapped)
    torch.testing.assert_close(y, expected)


def pairs():
    """(rule, bias, retention) of every combination that a header allows, other than the rule's own."""
    for name in rules:
        combines = rules.about(name)["combines"]
        for bias in combines["bias"]:
            for retention in combines["retention"]:
                if (bias, retention) != ("none", "none"):
                    yield name, bias, retention


@pytest.mark.parametrize(("name", "bias", "retention"), list(pairs()))
def test_every_bias_and_retention_that_a_rule_admits_works_with_it(name, bias, retention):
    rule = chosen(rule=name, bias=bias, retention=retention)
    q, k, v, gates = inputs(rule, 19)
    slow, end = scan(rule, rule.initial(q, v), q, k, v, gates)
    fast, fast_end = rule.segment(rule.initial(q, v), q, k, v, gates, 8)
    assert slow.isfinite().all()
    for one, other in zip((fast, *fast_end), (slow, *end), strict=True):
        assert (one - other).double().norm() <= 1e-10 * (1 + other.double().norm())


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"rule": "delta", "bias": "huber"}, "delta does not combine with bias huber"),
        ({"rule": "lattice", "retention": "kl"}, "lattice does not combine with retention kl"),
        ({"rule": "moneta_frozen", "retention": "lq", "lq.link": "mirror"}, "does not combine with lq.link mirror"),
        ({"rule": "none", "composition": "attention", "bias": "l2"}, "l2 does not combine with rule none"),
        ({"rule": "atlas", "rule.norm_of_qk": "rms"}, "atlas does not combine with rule.norm_of_qk rms"),
        ({"rule": "titans", "delta.error_on": "pre_decay"}, "an option of the rule delta; this recipe has rule titans"),
    ],
)
def test_an_impossible_pair_is_refused_by_name(fields, named):
    with pytest.raises(ImpossibleCombination, match=named):
        recipe_from(fields)


@pytest.mark.parametrize(
    ("given", "raised", "named"),
    [
        ({"rule": "titans", "titans.gradient": "first_order"}, UnknownName, "titans.gradient"),
        ({"rule": "atlas", "atlas.error_on": "pre_decay"}, UnknownName, "titans.error_on"),
    ],
)
def test_what_a_rule_does_not_offer_is_refused_with_what_comes_nearest(given, raised, named):
    with pytest.raises(raised, match=named):
        recipe_from(given)
