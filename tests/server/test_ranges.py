import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue
from server.ranges import Part, RangeNotSatisfiable, wanted
from server.ranges import given as brought

SIZES = st.integers(1, 10**6)


@given(total=SIZES, start=st.integers(0, 10**6), length=st.integers(1, 10**6))
def test_a_range_gives_the_bytes_that_it_names_and_the_file_has(total, start, length):
    header = f"bytes={start}-{start + length - 1}"
    if start >= total:
        with pytest.raises(RangeNotSatisfiable, match=str(total)):
            wanted(header, total)
    else:
        assert wanted(header, total) == Part(start=start, stop=min(start + length, total), total=total)


@given(total=SIZES, count=st.integers(1, 10**6))
def test_an_open_range_runs_to_the_end_and_a_suffix_from_it(total, count):
    assert wanted("bytes=0-", total) == Part(start=0, stop=total, total=total)
    assert wanted(f"bytes=-{count}", total) == Part(start=max(0, total - count), stop=total, total=total)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,3-4", "lines=0-1", "bytes=x-y"]
)
def test_what_is_no_single_range_gives_the_whole_file(header):
    assert wanted(header, 10) is None


def test_an_empty_file_and_an_empty_suffix_have_no_range():
    for header, total in (("bytes=0-", 0), ("bytes=-0", 10)):
        with pytest.raises(RangeNotSatisfiable):
            wanted(header, total)


@given(total=SIZES, data=st.data())
def test_a_part_that_was_written_as_a_header_is_read_back(total, data):
    start = data.draw(st.integers(0, total - 1))
    part = Part(start=start, stop=data.draw(st.integers(start + 1, total)), total=total)
    assert brought(part.header, str(part.stop - part.start)) == part
    assert brought(part.header, None) == part


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ("bytes 0-9/5", None), ("bytes 5-4/10", None), ("bytes 0-4/10", "4"), ("bytes 0-4/*", None),
        ("bytes */10", None), ("0-4/10", None),
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_is_refused(header, length):
    with pytest.raises(InvalidValue):
        brought(header, length)


def test_a_body_without_content_range_is_the_whole_file():
    assert brought(None, "7") == Part(start=0, stop=7, total=7)
    assert brought(None, None) is None
