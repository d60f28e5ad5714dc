import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from errors import ImpossibleCombination
from training.documents import NONE_LEFT, opens, parts, starts_of
from training.engine import run_chunk
from training.ngrams import BEGIN
from training.run import Run
from training.windows import as_tensor

RESET = {"boundaries": "reset"}

CASES = {
    "mag-titans": {"rule": "titans", "mag.persistent": 2},
    "mal-trellis": {"composition": "mal", "rule": "trellis"},
    "mac-tnt": {"composition": "mac", "rule": "tnt", "mac.segment": 5, "tnt.chunk": 2, "tnt.shard": 2},
    "mac-frozen": {"composition": "mac", "rule": "yaad_frozen", "mac.segment": 6, "yaad_frozen.period": 4},
    "ssm": {"composition": "ssm", "rule": "none", "ssm.attention": True},
    "levels": {"cms": "basic", "cms.gates": "learned", "cms.gate_chunk": 3, "cms.anneal": 0.0, "rule": "atlas"},
    "loops": {"loops": 2, "rule": "delta"},
}


def apart_one_by_one(model, inputs_BT, targets_BT, opens_BT):
    """The definition: token by token, what is carried and the id before forgotten where a document opens."""
    total = torch.zeros((), dtype=torch.float64)
    for row in range(len(inputs_BT)):
        carried = None
        for t, opening in enumerate(opens_BT[row].tolist()):
            carried = None if opening else carried
            id_11 = torch.tensor([[BEGIN]]) if opening else inputs_BT[row : row + 1, t : t + 1]
            logits, carried = model(id_11, carried)
            total = total + functional.cross_entropy(logits[0], targets_BT[row, t : t + 1])
    return total / targets_BT.numel()


@pytest.mark.parametrize("case", CASES)
def test_windows_cut_at_documents_equal_a_model_that_forgets_at_each_opening(small, case):
    run = Run(small(window=6, **CASES[case], **RESET), 0, 10)
    run.model.double()
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    ids = torch.randint(256, (2, 14), generator=random)
    inputs, targets, opening = ids[:, :-1], ids[:, 1:], torch.zeros(2, 13, dtype=torch.bool)
    opening[0, [2, 3]], opening[1, [0, 10]] = True, True
    expected = apart_one_by_one(run.model, inputs, targets, opening)
    found = run.loss_apart(inputs, targets, opening)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert not torch.isclose(found, run.loss_apart(inputs, targets, torch.zeros_like(opening)), rtol=1e-6)
    weights = [weight for name, weight in run.model.named_parameters() if name != "tables"]
    for one, other in zip(*(torch.autograd.grad(loss, weights) for loss in (found, expected)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@given(st.lists(st.lists(st.booleans(), min_size=9, max_size=9), min_size=1, max_size=4))
def test_parts_hold_every_byte_once_and_never_two_documents(rows):
    opening = torch.tensor(rows)
    targets = torch.arange(opening.numel()).view(opening.shape)
    found, longest = [], opening.shape[1] + 1
    for inputs, wanted in parts(targets + 1000, targets, opening):
        assert inputs.shape == wanted.shape
        assert inputs.shape[1] < longest
        longest = inputs.shape[1]
        for row, first in zip(wanted, inputs[:, 0], strict=True):
            kept = row[row != NONE_LEFT]
            assert torch.equal(kept, torch.arange(int(kept[0]), int(kept[0]) + len(kept)))
            assert not opening.flatten()[kept[1:]].any()
            assert int(first) == (BEGIN if opening.flatten()[kept[0]] else 1000 + int(kept[0]))
            found += kept.tolist()
    assert sorted(found) == list(range(opening.numel()))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_documents_open_where_the_lengths_say(lengths):
    text = [place == 0 for length in lengths for place in range(length)]
    assert opens(torch.arange(len(text)), starts_of(lengths)).tolist() == text


def test_a_document_is_learned_from_as_if_it_stood_alone(small, texts):
    text = as_tensor(texts.split("train")[:64])
    other = text.clone()
    other[:32] += 1
    losses = []
    for each in (text, other):
        run = Run(small(batch=1, context=32, **RESET), 0, 4)
        inputs = torch.cat([torch.tensor([BEGIN]), each[:-1].long()])[None]
        opening = opens(torch.arange(64)[None], starts_of([32, 32]))
        *_, last = parts(inputs, each.long()[None], opening)
        losses.append(functional.cross_entropy(run.model(last[0][1:])[0][0], last[1][1]))
    assert torch.equal(*losses)


def test_a_run_with_boundaries_learns_and_goes_on_bit_for_bit(small, texts, store):
    texts = type(texts)(texts.split("train"), texts.split("validation"))
    texts.lengths = lambda name: [50] * (len(texts.split(name)) // 50) + [len(texts.split(name)) % 50 or 50]
    recipe, usual = small(**RESET), {"seed": 3, "total_steps": 20, "corpus": texts, "store": store}
    whole = run_chunk(recipe=recipe, steps=20, **usual)
    first = run_chunk(recipe=recipe, steps=7, **usual)
    rest = run_chunk(recipe=recipe, steps=13, checkpoint=first.checkpoint, **usual)
    plain = run_chunk(recipe=small(), steps=20, **usual)
    assert rest.checkpoint == whole.checkpoint
    assert whole.effective_digest == recipe.digest != small().digest
    assert whole.score.bpb < 5
    assert whole.train_bits != plain.train_bits


def test_where_no_document_ends_a_run_with_boundaries_is_the_plain_one(small, texts):
    text, runs = as_tensor(texts.split("train")), []
    for fields in ({}, RESET):
        run = Run(small(**fields), 1, 5)
        runs.append([run.train(text, starts_of([len(text)])) for _ in range(5)])
    assert runs[0] == pytest.approx(runs[1], rel=1e-6)


@pytest.mark.parametrize("fields", [{"auxiliary": "jepa"}, {"auxiliary": "nca"}, {"ttt": "e2e"}])
def test_what_reads_across_windows_is_refused_beside_boundaries(small, fields):
    with pytest.raises(ImpossibleCombination, match="does not combine with boundaries reset"):
        small(**fields, **RESET)
