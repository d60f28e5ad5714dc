import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValue
from training.stream import Dataset, Event, Stream, StreamChanged, StreamEnded, cursor_from

DOCUMENTS = st.lists(st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=4), min_size=1, max_size=3)


def stream_of(datasets):
    return Stream([Dataset(b"".join(each), tuple(map(len, each))) for each in datasets])


@given(DOCUMENTS, st.lists(st.integers(1, 15), min_size=1, max_size=8))
def test_any_cuts_with_the_cursor_stored_between_them_give_every_document_whole(datasets, sizes):
    stream, found, at = stream_of(datasets), [], 0
    cursor = stream.start()
    while cursor.dataset < len(datasets):
        chunk = stream_of(datasets).take(cursor, sizes[at % len(sizes)])
        assert chunk.start == cursor
        assert 1 <= len(chunk.data) <= sizes[at % len(sizes)]
        assert chunk.after.chunk_id == at + 1
        if chunk.opens:
            found.append(b"")
        found[-1] += chunk.data
        at += 1
        cursor = cursor_from(json.loads(json.dumps(chunk.after.as_json())))
    assert found == [document for each in datasets for document in each]
    assert chunk.event == Event.STREAM_END


@given(DOCUMENTS, st.integers(1, 15))
def test_events_stand_exactly_where_documents_end(datasets, size):
    every = [document for each in datasets for document in each]
    read, ends = 0, []
    for chunk in stream_of(datasets).chunks(size):
        read += len(chunk.data)
        if chunk.event != Event.CHUNK_BOUNDARY:
            ends.append(read)
        assert (chunk.event == Event.STREAM_END) is (read == sum(map(len, every)))
    assert ends == [sum(map(len, every[: index + 1])) for index in range(len(every))]


@given(DOCUMENTS, st.integers(1, 15), st.data())
def test_going_on_from_any_chunk_gives_the_rest_of_the_whole(datasets, size, data):
    stream = stream_of(datasets)
    whole = list(stream.chunks(size))
    cut = data.draw(st.integers(0, len(whole) - 1))
    assert list(stream.chunks(size, whole[cut].start)) == whole[cut:]
    assert list(stream.chunks(size, whole[-1].after)) == []


@pytest.mark.parametrize("other", [[[b"abd", b"e"]], [[b"ab", b"ce"]], [[b"abc"], [b"e"]]])
def test_a_cursor_of_other_bytes_or_other_documents_is_refused(other):
    cursor = stream_of([[b"abc", b"e"]]).take(stream_of([[b"abc", b"e"]]).start(), 2).after
    with pytest.raises(StreamChanged):
        stream_of(other).take(cursor, 2)


def test_after_the_end_there_is_nothing():
    stream = stream_of([[b"abc"]])
    with pytest.raises(StreamEnded):
        stream.take(stream.take(stream.start(), 3).after, 1)


@pytest.mark.parametrize("place", [{"dataset": -1}, {"dataset": 1, "offset": 1}, {"offset": 3}, {"chunk_id": -1}])
def test_a_cursor_that_is_nowhere_is_refused(place):
    stream = stream_of([[b"abc"]])
    with pytest.raises(InvalidValue):
        stream.take(replace(stream.start(), **place), 1)


@pytest.mark.parametrize("given_", [None, [], {}, {"content_hash": "a", "dataset": True, "offset": 0, "chunk_id": 0}])
def test_what_is_no_cursor_is_refused(given_):
    with pytest.raises(InvalidValue):
        cursor_from(given_)


@pytest.mark.parametrize("datasets", [[], [Dataset(b"", ())], [Dataset(b"ab", (1,))], [Dataset(b"a", (1, 0))]])
def test_a_stream_of_nothing_or_of_wrong_lengths_is_refused(datasets):
    with pytest.raises(InvalidValue):
        Stream(datasets)


def test_a_chunk_of_no_bytes_is_refused():
    stream = stream_of([[b"abc"]])
    with pytest.raises(InvalidValue):
        stream.take(stream.start(), 0)
