"""The forms in which a text may hide in data: compressed, in base64 or hexadecimal, turned by one byte. Pure."""

import base64
import binascii
import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator

MOST = 1 << 28
"""Bytes that all forms of one artifact may have together; beyond, nothing more is unpacked."""

ONE = 1 << 26
DEEPEST = 4
SHORTEST = 32
TRIES = 4096
"""Places in one form where a compressed stream is looked for."""

ZLIB = re.compile(rb"[\x08\x18\x28\x38\x48\x58\x68\x78][\x00-\xff]")
STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|\xfd7zXZ\x00|\x5d\x00\x00|BZh[1-9]1AY&SY")
BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{8}[A-Za-z0-9+/_\-\s]{24,}={0,2}")
HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}\s*){32,}")
BASE85 = re.compile(rb"[!-~]{40,}")


def forms(data: bytes) -> Iterator[bytes]:
    """The data itself and everything that is found in it, each once."""
    waiting, seen, left = [(data, 0)], set(), MOST
    while waiting:
        form, depth = waiting.pop()
        key = hash(form)
        if key in seen or left < 0:
            continue
        seen.add(key)
        left -= len(form)
        yield form
        if depth < DEEPEST:
            waiting.extend((inner, depth + 1) for inner in inside(form) if len(inner) >= SHORTEST)


def inside(data: bytes) -> Iterator[bytes]:
    """One layer taken off, in every way that works."""
    yield from streams(data)
    for pattern, decode in ((HEXADECIMAL, from_hexadecimal), (BASE64, from_base64), (BASE85, from_base85)):
        for match in pattern.finditer(data):
            yield from decode(match.group())
    yield from turned(data)


def streams(data: bytes) -> Iterator[bytes]:
    """Compressed streams at the start, with or without a header, and wherever one seems to begin."""
    yield unpacked(lambda: zlib.decompressobj(-15), data)
    for tries, match in enumerate(STREAM.finditer(data)):
        if tries == TRIES:
            return
        rest = data[match.start() :]
        if match.group().startswith((b"\x78", b"\x1f\x8b")):
            yield unpacked(lambda: zlib.decompressobj(47), rest)
        elif match.group().startswith(b"BZh"):
            yield unpacked(bz2.BZ2Decompressor, rest)
        else:
            yield unpacked(lzma.LZMADecompressor, rest)


def unpacked(make: Callable[[], object], data: bytes) -> bytes:
    """As much as a decompressor gives, also where the stream is cut; nothing where it is none."""
    machine, found = make(), bytearray()
    try:
        for at in range(0, len(data), 4096):
            found += machine.decompress(data[at : at + 4096], ONE - len(found))  # type: ignore[attr-defined]
            if getattr(machine, "eof", False) or len(found) >= ONE:
                break
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


def from_base85(text: bytes) -> Iterator[bytes]:
    """Ascii85 and base85; the run may begin with a sign that does not belong to it."""
    for decode in (base64.a85decode, base64.b85decode):
        for at in range(2):
            whole = text[at : at + (len(text) - at) // 5 * 5]
            try:
                yield decode(whole)
            except ValueError:
                continue
