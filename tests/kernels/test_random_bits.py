import itertools

import pytest
import torch

from kernels.random_bits import draw, philox


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_known_answers_of_its_authors(counter, key, words):
    assert philox(counter, key) == words


def test_the_bits_of_a_tensor_are_those_of_the_definition():
    for seed, step, offset in ((0, 0, 0), (1597, 3, 5), (2**63 + 7, 2**40 + 1, 2**33 + 2), (-1, 1, 4)):
        found = draw(torch.empty(3, 5), seed, step, offset)
        key, counted = (seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF), (step & 0xFFFFFFFF, step >> 32)
        wanted = [
            philox((index // 4 & 0xFFFFFFFF, index // 4 >> 32, *counted), key)[index % 4] >> 8
            for index in range(offset, offset + 15)
        ]
        assert found.flatten().tolist() == wanted


def test_an_element_keeps_its_bits_in_any_shape_and_any_piece():
    whole = draw(torch.empty(1000), 7, 3)
    assert torch.equal(draw(torch.empty(10, 100), 7, 3).flatten(), whole)
    for start, end in itertools.pairwise((0, 1, 6, 7, 400, 1000)):
        assert torch.equal(draw(torch.empty(end - start), 7, 3, start), whole[start:end])


def test_seeds_and_steps_give_other_bits():
    draws = {tuple(draw(torch.empty(64), seed, step).tolist()) for seed in range(8) for step in range(8)}
    assert len(draws) == 64
