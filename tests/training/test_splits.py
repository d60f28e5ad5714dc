import random

from hypothesis import given, settings
from hypothesis import strategies as st

from training.overlap import NGRAM, shared_positions_slowly
from training.splits import LARGEST_SHARE, PARTS, SMALLEST, SPLITS, choose, joined

WANTED = {"validation": 1500, "test": 3000}


def fresh(seed, length=300):
    return random.Random(seed).randbytes(length)


@st.composite
def documents(draw):
    """Texts of fresh bytes and of passages that others have too, with the parts that their source allows."""
    seed = draw(st.integers(0, 2**32))
    passages = [fresh(f"{seed} {each}", draw(st.integers(20, 200))) for each in range(3)]
    kinds = draw(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 900), st.sampled_from(PARTS)), max_size=25))
    texts = [
        (passages[kind] if kind < 3 else b"") + fresh(f"{seed} fresh {index}", length)
        for index, (kind, length, _) in enumerate(kinds)
    ]
    return texts, [part for _, _, part in kinds]


@settings(max_examples=40)
@given(documents())
def test_no_ngram_of_a_held_out_split_occurs_in_another(drawn):
    splits, _ = choose(*drawn, WANTED)
    texts = {name: joined(drawn[0], splits[name]) for name in SPLITS}
    for heldout in ("validation", "test"):
        for other in set(SPLITS) - {heldout}:
            assert shared_positions_slowly(texts[other], texts[heldout]) == []


@given(documents())
def test_every_document_has_one_place_that_its_source_and_size_allow(drawn):
    texts, parts = drawn
    splits, passed = choose(texts, parts, WANTED)
    placed = [index for name in SPLITS for index in splits[name]]
    assert len(placed) == len(set(placed))
    assert all(parts[index] == "heldout" for index in set(range(len(texts))) - set(placed))
    assert all(parts[index] != "heldout" for index in splits["train"])
    for name, size in WANTED.items():
        assert all(parts[index] != "train" for index in splits[name])
        assert all(SMALLEST <= len(texts[index]) <= size // LARGEST_SHARE for index in splits[name])
        assert sum(len(texts[index]) for index in splits[name]) < size + size / LARGEST_SHARE
        assert passed.isdisjoint(splits[name])


def test_documents_are_held_out_in_their_order_validation_first():
    texts = [fresh(each) for each in range(40)]
    splits, passed = choose(texts, ["any"] * 40, WANTED)
    assert splits == {"validation": list(range(5)), "test": list(range(5, 15)), "train": list(range(15, 40))}
    assert passed == set()


def test_a_document_too_large_for_one_split_waits_for_the_other():
    texts = [fresh("large", 600), *(fresh(each) for each in range(40))]
    splits, _ = choose(texts, ["any"] * 41, WANTED)
    assert splits["test"][0] == 0
    assert splits["validation"] == [1, 2, 3, 4, 5]


def test_documents_that_share_sixty_four_bytes_are_passed_over_and_those_that_share_sixty_three_are_not():
    shared, almost = fresh("shared", NGRAM), fresh("almost", NGRAM - 1)
    texts = [fresh(each) for each in range(40)]
    texts[0], texts[30] = b"<" + shared + texts[0], b"[" + shared + texts[30]
    texts[1], texts[31] = b"<" + almost + b"<" + texts[1], b"[" + almost + b"[" + texts[31]
    splits, passed = choose(texts, ["any"] * 40, WANTED)
    assert splits["validation"] == [1, 2, 3, 4, 5]
    assert 0 in passed
    assert 1 not in passed


def test_one_ngram_in_common_keeps_a_document_out_of_test_while_the_other_is_in_validation():
    texts = [fresh(each) for each in range(40)]
    for one in range(5):
        passage = fresh(f"passage {one}", NGRAM)
        texts[one], texts[one + 5] = b"<" + passage + texts[one], b"[" + passage + texts[one + 5]
    splits, passed = choose(texts, ["any"] * 40, WANTED)
    assert passed & set(range(5, 10))
    assert shared_positions_slowly(joined(texts, splits["validation"]), joined(texts, splits["test"])) == []


def test_an_ngram_that_two_documents_make_only_side_by_side_counts():
    passage = fresh("passage", 100)
    texts = [fresh(each) for each in range(40)]
    texts[0] += passage
    texts[20], texts[21] = texts[20] + passage[:50], passage[50:] + texts[21]
    splits, passed = choose(texts, ["any"] * 40, WANTED)
    assert passed == {0}
    assert 0 in splits["train"]


def test_a_document_that_could_not_be_held_out_anyway_is_not_counted_as_passed_over():
    texts = [fresh(each) for each in range(40)]
    texts[0], texts[1] = fresh("tiny", 200), fresh("tiny", 200) + b"tail"
    texts[2] = fresh("huge", 5000)
    texts[3] = fresh("huge", 5000)[:400]
    splits, passed = choose(texts, ["any"] * 40, WANTED)
    assert passed == {3}
    assert {0, 1, 2, 3} < set(splits["train"])
