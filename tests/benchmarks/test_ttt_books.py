import math

import pytest

from benchmarks.ttt_books import SHORTEST, Costs, chapters, excerpt, gain


def book(title, lengths):
    sections = [f"## Chapter {at}\n\n".encode() + b"x" * length + b"\n\n" for at, length in enumerate(lengths)]
    return f"# Title: {title}\n\n".encode() + b"".join(sections)


def test_chapters_are_the_whole_books_and_short_sections_join_the_next():
    one, other = book("One", [3000, 50, 60, 5000, 10]), book("Other", [4000])
    assert chapters(one + other, ["Other"]) == [other]
    found = chapters(one + other, ["One"])
    assert b"".join(found) == one
    assert len(found) == 2
    assert all(len(each) >= SHORTEST for each in found)


def test_an_excerpt_takes_documents_from_everywhere():
    documents = [bytes([at]) * 100 for at in range(100)]
    assert excerpt(documents, 1000) == documents[::10]
    assert excerpt(documents, 10**6) == documents


def test_a_constant_gain_has_no_spread_and_noise_widens_the_interval():
    sizes = (1000, 2000, 3000, 1500)
    plain = Costs(tuple(2.0 * math.log(2) * size for size in sizes), sizes)
    better = Costs(tuple(1.9 * math.log(2) * size for size in sizes), sizes)
    mixed = Costs((1.0 * math.log(2) * 1000, *plain.nats[1:]), sizes)
    assert plain.bpb == pytest.approx(2.0)
    assert gain(plain, better) == pytest.approx((0.1, 0.1, 0.1))
    value, low, high = gain(plain, mixed)
    assert low == pytest.approx(0.0, abs=1e-12)
    assert value == pytest.approx(1000 / 7500)
    assert high > value
