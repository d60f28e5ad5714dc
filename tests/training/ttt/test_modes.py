"""What holds for every mode of test-time training; the modes are those of the folder."""

import hashlib

import pytest
import torch

from training.run import Run
from training.scorer import score
from training.scorer.adaptive import chunk_windows
from training.scorer.windows import OVERLAP, ids_of, inputs, targets
from training.ttt import ttt
from training.windows import as_tensor

STRIDE = 32


@pytest.fixture(params=ttt)
def mode(request):
    return request.param


@pytest.fixture
def trained(mode, small, texts):
    """A run of that mode after some training: trained(inner_steps=2)."""

    def train(steps=12, **options):
        fields = {f"ttt.{key}": value for key, value in {"stride": STRIDE, **options}.items()}
        run = Run(small(ttt=mode, context=128, **fields), 1, 60)
        for _ in range(steps):
            run.train(as_tensor(texts.split("train")))
        return run

    return train


def read(run, text):
    """Losses of all bytes, and what was learned, chunk by chunk."""
    reader, ids, losses = run.adaptation.reader(), ids_of(text)[1:], []
    reading = reader.start()
    for chunk in chunk_windows(len(text), reader.stride):
        nll, reading = reader.step_one_chunk(reading, ids[chunk.first : chunk.end])
        losses.append(nll)
    return torch.cat(losses), reading


def sha(tensors):
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in tensors)).hexdigest()


def test_it_lowers_the_loss_on_text_that_repeats(trained):
    run = trained(inner_steps=4)
    text = b"the cat sat on the mat, and " * 30
    adapted, _ = read(run, text)
    plain, _ = read(trained(inner_steps=0), text)
    assert adapted[: OVERLAP + STRIDE].equal(plain[: OVERLAP + STRIDE])
    assert adapted[OVERLAP + STRIDE :].mean() < plain[OVERLAP + STRIDE :].mean()


def test_with_no_inner_step_the_log_probabilities_are_the_plain_scorer_s_to_the_byte(trained, texts):
    run, text = trained(inner_steps=0), texts.split("validation")[:1000]
    losses, _ = read(run, text)
    ids, plain = ids_of(text), []
    with torch.inference_mode():
        for window in chunk_windows(len(text), STRIDE):
            logp = run.predict(inputs(ids, [window]))
            gathered = logp.gather(-1, targets(ids, [window])[..., None])[0, window.first - window.start :, 0]
            plain.append(-gathered)
    assert sha([losses.float()]) == sha([torch.cat(plain)])
    assert run.measure(text, [len(text)]) == score(run.predict, text, probe_seed=run.seed + run.step)


def test_scoring_leaves_the_weights_as_they_were(trained, texts):
    run = trained(inner_steps=2)
    before = sha(run.tensors().values())
    run.measure(texts.split("validation")[:1000], [1000])
    assert sha(run.tensors().values()) == before
    assert all(not parameter.grad.isnan().any() for parameter in run.model.parameters() if parameter.grad is not None)


def test_permuting_later_bytes_changes_no_scored_value(trained, texts):
    run, text = trained(), texts.split("validation")[:900]
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0)).tolist()
    other = text[:600] + bytes(text[600:][at] for at in order)
    one, two = read(run, text)[0], read(run, other)[0]
    assert torch.equal(one[:600], two[:600])
    assert not torch.equal(one[600:], two[600:])


def test_two_equal_readings_give_equal_bits(trained, texts):
    text = texts.split("validation")[:600]
    assert trained().measure(text, [600]) == trained().measure(text, [600])


def test_what_is_carried_does_not_grow(trained):
    run = trained()
    sizes = set()
    for length in (OVERLAP + STRIDE, 700, 1500):
        _, reading = read(run, bytes(length))
        carried = [*reading.learned.fast.values(), *reading.learned.moments.values()]
        sizes.add((len(reading.past) * 8, sum(tensor.numel() for tensor in carried)))
    assert len(sizes) == 1


def test_a_document_starts_from_the_trained_weights(trained, texts):
    text = texts.split("validation")[:400]
    run = trained(inner_steps=2)
    both, one = run.measure(text + text, [400, 400]), run.measure(text, [400])
    assert both.nll_sum == pytest.approx(2 * one.nll_sum, rel=1e-12)
    kept = trained(inner_steps=2, reset="none").measure(text + text, [400, 400])
    assert kept.nll_sum < both.nll_sum


def test_the_run_says_what_it_was_built_with(trained):
    run = trained(steps=1, inner_steps=3, inner_lr=0.05, clip=2.0, reset="none")
    assert run.effective() == run.recipe
    assert run.effective().digest != trained(steps=1).effective().digest


def test_adapting_touches_the_fast_weights_alone(trained, texts):
    run = trained()
    _, reading = read(run, texts.split("validation")[:600])
    started = run.adaptation.start()
    assert any(not torch.equal(reading.learned.fast[name], started.fast[name]) for name in started.fast)
    weights = run.adaptation.mode.weights(run.model, started.fast, run.adaptation.options)
    own = dict(run.model.named_parameters())
    assert all(torch.equal(weight, own[name]) for name, weight in weights.items())
