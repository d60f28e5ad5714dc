"""The forms in which a text may hide in data: compressed, in base64 or hexadecimal, turned by one byte. Pure."""

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator

MOST = 1 << 27
"""Bytes that all forms of one file may have together."""

DEEPEST = 4
SHORTEST = 32
TRIES = 1 << 16
"""Places in one form where a compressed stream may seem to begin."""

STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|\xfd7zXZ\x00|\x5d\x00\x00|BZh[1-9]1AY&SY")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8}[A-Za-z0-9+/_\-\s]{24,}={0,2}")
HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}\s*){32,}")


class TooMuch(ValueError):
    """The data unpacks to more than can be looked at."""


def forms(data: bytes) -> Iterator[bytes]:
    """The data itself and everything that is found in it, each once. Raises TooMuch."""
    layers, seen, left = [iter([data])], set(), MOST
    while layers:
        form = next(layers[-1], None)
        if form is None:
            layers.pop()
        elif (key := hash(form)) not in seen and (len(form) >= SHORTEST or len(layers) == 1):
            seen.add(key)
            left -= len(form)
            if left < 0:
                raise TooMuch
            yield form
            if len(layers) <= DEEPEST:
                layers.append(inside(form))


def inside(data: bytes) -> Iterator[bytes]:
    """One layer taken off, in every way that works."""
    yield from streams(data)
    for pattern, decode in ((HEXADECIMAL, from_hexadecimal), (BASE64, from_base64)):
        for match in pattern.finditer(data):
            yield from decode(match.group())
    yield from turned(data)


def streams(data: bytes) -> Iterator[bytes]:
    """Compressed streams at the start, with or without a header, and wherever one seems to begin."""
    yield unpacked(lambda: zlib.decompressobj(-15), memoryview(data))
    for tries, match in enumerate(STREAM.finditer(data)):
        if tries == TRIES:
            raise TooMuch
        rest = memoryview(data)[match.start() :]
        if match.group().startswith((b"\x78", b"\x1f\x8b")):
            yield unpacked(lambda: zlib.decompressobj(47), rest)
        elif match.group().startswith(b"BZh"):
            yield unpacked(bz2.BZ2Decompressor, rest)
        else:
            yield unpacked(lzma.LZMADecompressor, rest)


def unpacked(make: Callable[[], object], data: memoryview) -> bytes:
    """As much as a decompressor gives, also where the stream is cut; nothing where it is none. Raises TooMuch."""
    machine, found = make(), bytearray()
    try:
        for at in range(0, len(data), 4096):
            found += machine.decompress(data[at : at + 4096], MOST)  # type: ignore[attr-defined]
            if len(found) >= MOST:
                raise TooMuch
            if machine.eof:  # type: ignore[attr-defined]
                break
    except TooMuch:
        raise
    except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
        pass
    return bytes(found)


def turned(data: bytes) -> Iterator[bytes]:
    """The start of a compressed stream whose every byte was xor-ed with one byte."""
    for head in (b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e", b"\x1f\x8b", b"\xfd7", b"BZ", b"\x5d\x00"):
        if len(data) > 2 and (key := data[0] ^ head[0]) and data[1] ^ head[1] == key:
            yield data.translate(bytes(byte ^ key for byte in range(256)))


def from_base64(text: bytes) -> Iterator[bytes]:
    """Both alphabets, beginning at each of four characters."""
    letters = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    for at in range(4):
        whole = letters[at : at + (len(letters) - at) // 4 * 4]
        try:
            yield base64.b64decode(whole)
        except binascii.Error:
            continue


def from_hexadecimal(text: bytes) -> Iterator[bytes]:
    """Two digits a byte."""
    yield bytes.fromhex(b"".join(text.split()).decode())
