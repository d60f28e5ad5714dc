import base64
import bz2
import gzip
import lzma
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.arena.leaks import GRAM, STRIDE, grams, leaks, met
from training.arena.unpack import TooMuch, forms

SECRET = " ".join(random.Random(3).choices(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"], k=200)).encode()
OTHER = random.Random(4).randbytes(5000)
RUN = GRAM + STRIDE

HIDINGS = {
    "verbatim": lambda text: text,
    "zlib": zlib.compress,
    "best zlib": lambda text: zlib.compress(text, 9),
    "raw deflate": lambda text: zlib.compress(text, 9)[2:-4],
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "lzma": lambda text: lzma.compress(text, format=lzma.FORMAT_ALONE),
    "bz2": bz2.compress,
    "xor": lambda text: bytes(byte ^ 0xA7 for byte in text),
    "base64": base64.b64encode,
    "base64 in lines": base64.encodebytes,
    "base64 for addresses": base64.urlsafe_b64encode,
    "hexadecimal": lambda text: text.hex().encode(),
    "base64 of zlib": lambda text: base64.b64encode(zlib.compress(text)),
    "zlib of base64": lambda text: zlib.compress(base64.b64encode(text)),
    "xor of zlib": lambda text: bytes(byte ^ 0x33 for byte in zlib.compress(text)),
    "hexadecimal of xz of xor": lambda text: lzma.compress(bytes(byte ^ 1 for byte in text)).hex().encode(),
    "cut zlib": lambda text: zlib.compress(text)[:-40],
}


@pytest.mark.parametrize("hiding", HIDINGS)
def test_held_out_text_is_found_however_it_is_hidden(hiding):
    hidden = HIDINGS[hiding](SECRET)
    assert leaks(grams([SECRET]), hidden, b"")
    assert not leaks(grams([OTHER]), hidden, b"")


@pytest.mark.parametrize("hiding", ["verbatim", "zlib", "gzip", "xz", "bz2", "xor"])
def test_it_is_found_between_other_bytes(hiding):
    assert leaks(grams([SECRET]), OTHER + HIDINGS[hiding](SECRET) + OTHER, b"")


@given(st.integers(0, len(SECRET) - RUN), st.binary(max_size=50), st.binary(max_size=50), st.integers(0, 255))
def test_any_run_of_48_bytes_is_found_wherever_it_stands(at, before, behind, turn):
    run = bytes(byte ^ turn for byte in SECRET[at : at + RUN])
    assert leaks(grams([SECRET]), before + run + behind, b"")


def test_what_the_train_text_has_too_may_be_stored():
    assert not leaks(grams([SECRET]), SECRET, b"more of it: " + SECRET)
    assert leaks(grams([SECRET + OTHER]), SECRET + OTHER, SECRET)


def test_text_without_variety_says_nothing():
    assert not leaks(grams([b" " * 1000 + b"-" * 1000]), b" " * 500, b"")


@settings(max_examples=50)
@given(st.binary(max_size=3000))
def test_random_bytes_are_no_leak_and_no_error(data):
    assert not leaks(grams([SECRET, OTHER]), data, b"")


def test_a_leak_across_the_pieces_of_a_large_file_is_found(monkeypatch):
    monkeypatch.setattr("training.arena.leaks.PIECE", 1000)
    wanted = grams([SECRET])
    for before in range(900, 1100, 7):
        assert list(met(wanted, bytes(before) + SECRET[100 : 100 + RUN] + bytes(2000)))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_refused_before_it_is_unpacked(layers, monkeypatch):
    monkeypatch.setattr("training.arena.unpack.MOST", 1 << 20)
    bomb = bytes(1 << 22)
    for _ in range(layers):
        bomb = zlib.compress(bomb, 9)
    with pytest.raises(TooMuch):
        list(forms(bomb))


def test_a_text_cannot_hide_behind_a_bomb(monkeypatch):
    monkeypatch.setattr("training.arena.unpack.MOST", 1 << 20)
    with pytest.raises(TooMuch):
        leaks(grams([SECRET]), zlib.compress(bytes(1 << 22)) + zlib.compress(SECRET), b"")


def test_texts_too_short_to_tell_are_not_looked_for():
    assert not leaks(grams([b"short", b""]), b"short" * 20, b"")
    assert not leaks(grams([]), SECRET, b"")
