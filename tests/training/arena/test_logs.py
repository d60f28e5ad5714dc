import json
import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.arena.logs import Log, read_log
from training.arena.submissions import Submission, disagreements, read_submission

SOURCE = """import torch
log(f"step:{step}/{iterations} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f}")
# a comment that shouts final_score val_loss:0.1 val_bpb:0.05
seed:666
"""
EARLY = """Running Python 3.12 on 8 GPUs
val_loader:shards pattern=/data/fineweb10B_sp1024/fineweb_val_*.bin tokens:62021632
train_loader:dataset:fineweb10B_sp1024 train_shards:80
model_params:17059912
seed:42
warmup_step:20/20
step:1/20000 train_loss:6.9 train_time:56ms step_avg:56.00ms
step:9000/20000 train_loss:2.04 train_time:400000ms step_avg:44.44ms
step:13235/20000 val_loss:2.0619 val_bpb:1.2212 train_time:599973ms step_avg:45.33ms
stopping_early: wallclock_cap train_time:599973ms step:13235/20000
Serialized model: 67224983 bytes
Code size: 50051 bytes
Total submission size: 67275034 bytes
Serialized model int8+zlib: 15737576 bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)
Total submission size int8+zlib: 15787627 bytes
final_int8_zlib_roundtrip val_loss:2.0537 val_bpb:1.2163 eval_time:67952ms
final_int8_zlib_roundtrip_exact val_loss:2.05372224 val_bpb:1.21632999
"""
LATE = """val_loader: data/fineweb_sp8192_caseops
val_tokens: 47,853,343
4500/20000 train_loss: 2.8412 train_time: 9.2m tok/s: 6566690
4703/20000 val_loss: 2.3211 val_bpb: 1.0607
stopping_early: wallclock_cap train_time: 596137ms step: 4703/20000
diagnostic pre-quantization post-ema val_loss:2.32112568 val_bpb:1.06066112 eval_time:18334ms
Serialized model quantized+pergroup: 15951365 bytes
Total submission size quantized+pergroup: 15989499 bytes
quantized_ttt_phased val_loss:2.31538446 val_bpb:1.05803761 eval_time:591446ms
total_eval_time:591.4s
"""
SUBMISSION = {
    "author": "A", "name": "tiny", "date": "2026-03-18", "val_bpb": 1.21633, "val_loss": 2.05372,
    "bytes_total": 15787627, "bytes_code": 50051, "seed_results": {"42": {"val_bpb": 1.21633}},
}  # fmt: skip


def whole(text):
    return (SOURCE + "=" * 100 + "\n" + text).encode()


def submission(**changes):
    return read_submission(json.dumps({**SUBMISSION, **changes}).encode())


def test_the_early_form_is_read_whole_and_is_a_claim():
    log = read_log(whole(EARLY))
    assert (log.provenance, log.score) == ("claimed", "final_int8_zlib_roundtrip_exact")
    assert (log.val_loss, log.val_bpb, log.seed, log.tokens) == (2.05372224, 1.21632999, 42, 62021632)
    assert (log.parameters, log.steps, log.train_seconds, log.eval_seconds) == (17059912, 13235, 599.973, 67.952)
    assert (log.bytes_code, log.bytes_model, log.bytes_total) == (50051, 15737576, 15787627)
    assert (log.missing, log.contradictions) == ((), ())
    assert [point.step for point in log.points] == [1, 9000, 13235]
    assert (log.points[1].train_loss, log.points[2].val_bpb) == (2.04, 1.2212)


def test_bytes_are_recomputed_from_loss_tokens_and_bpb():
    log = read_log(whole(EARLY))
    assert log.implied_bytes == pytest.approx(2.05372224 / math.log(2) * 62021632 / 1.21632999, rel=1e-15)
    assert log.implied_bytes == pytest.approx(151_080_000, rel=1e-3)


def test_the_late_form_is_read_and_a_diagnostic_is_not_the_score():
    log = read_log(LATE.encode())
    assert (log.score, log.val_bpb, log.tokenizer) == ("quantized_ttt_phased", 1.05803761, "caseops")
    assert (log.tokens, log.steps) == (47853343, 4703)
    assert (log.train_seconds, log.eval_seconds) == (pytest.approx(596.137), pytest.approx(591.4))
    assert log.points[0].seconds == pytest.approx(552)
    assert (log.missing, log.contradictions) == (("seed",), ())


def test_the_source_of_the_script_is_no_part_of_its_log():
    assert read_log(whole("seed:7\n")).val_bpb is None
    assert read_log(whole("seed:7\n")).seed == 7


def test_a_space_that_is_counted_twice_contradicts_the_tokenizer():
    wrong = EARLY.replace("1.21632999", f"{1.21632999 / 1.17:.8f}").replace("1.2163 ", f"{1.2163 / 1.17:.4f} ")
    wrong = wrong.replace("val_bpb:1.2212", f"val_bpb:{1.2212 / 1.17:.4f}")
    (told,) = read_log(whole(wrong)).contradictions
    assert "sp1024 has 2.44" in told


def test_another_count_than_the_curves_is_told():
    wrong = EARLY.replace("1.21632999", "1.16800000")
    assert any("counts" in one and "roundtrip_exact" in one for one in read_log(whole(wrong)).contradictions)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("train_time:400000ms", "train_time:600001ms", "time of training goes back"),
        ("step:9000/", "step:19000/", "steps go back"),
        ("int8+zlib: 15787627", "int8+zlib: 15000000", "are not 15000000"),
    ],
)
def test_what_does_not_fit_together_is_told(old, new, told):
    (found,) = read_log(whole(EARLY.replace(old, new))).contradictions
    assert told in found


@pytest.mark.parametrize("bpb", ["nan", "inf", "-1.2", "0", "1e-300"])
def test_a_score_that_is_no_number_is_missing(bpb):
    log = read_log(f"final val_loss:2.05 val_bpb:{bpb}\n".encode())
    assert (log.val_bpb, "val_bpb" in log.missing) == (None, True)


def test_of_bytes_that_are_no_log_everything_is_missing():
    empty = read_log(b"\xff\xfe\x00 val_loss: val_bpb:")
    assert empty == replace(Log(), missing=("val_loss", "val_bpb", "seed", "tokens", "train_seconds", "bytes_total"))


LINES = st.sampled_from([*EARLY.splitlines(), *LATE.splitlines(), "=" * 100, "step:9/0 ", "val_loss:", "\x00"])
DIGITS = st.text("0123456789.e-+naif:, /", max_size=40)


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.lists(LINES | DIGITS | st.tuples(LINES, DIGITS).map("".join)).map("\n".join).map(str.encode))
def test_no_bytes_make_it_raise_and_all_numbers_are_finite(data):
    log = read_log(data)
    assert log.provenance == "claimed"
    numbers = [value for value in asdict(log).values() if isinstance(value, int | float)]
    assert all(math.isfinite(value) for value in numbers)
    assert all(getattr(log, name) is None for name in log.missing)


def test_a_submission_is_read_under_the_names_in_use():
    found = submission()
    assert (found.provenance, found.val_bpb, found.bytes_total, found.seeds) == (
        "claimed",
        1.21633,
        15787627,
        {42: 1.21633},
    )
    assert (found.missing, found.contradictions) == ((), ())
    other = {"mean_val_bpb": "1.1", "authors": "B", "artifact_bytes": 5, "per_seed": [{"seed": 7, "bpb": 1.1}]}
    read = read_submission(json.dumps(other).encode())
    assert (read.val_bpb, read.author, read.bytes_total, read.seeds) == (1.1, "B", 5, {7: 1.1})
    assert set(read.missing) == {"name", "date", "val_loss", "bytes_code"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bytes_total": 16_000_001}, "more than the 16000000"),
        ({"bytes_total": 50_000}, "more than 50000 in all"),
        ({"seed_results": {"1": 1.3, "2": 1.4}}, "mean of 1.35"),
    ],
)
def test_what_a_submission_contradicts_in_itself_is_told(changes, told):
    (found,) = submission(**changes).contradictions
    assert told in found


def test_a_submission_that_says_more_than_its_log_is_found_out():
    log = read_log(whole(EARLY))
    assert disagreements(submission(), [log]) == []
    better = disagreements(submission(val_bpb=1.20, seed_results={"42": 1.20}), [log])
    assert len(better) == 2


@settings(max_examples=200, deadline=None)
@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*SUBMISSION, "seeds", "seed", "bpb"]), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_submission_makes_it_raise(data):
    found = read_submission(data)
    assert isinstance(found, Submission)
    assert disagreements(found, [read_log(whole(EARLY)), Log()]) is not None
    assert all(math.isfinite(value) and value > 0 for value in found.seeds.values())
