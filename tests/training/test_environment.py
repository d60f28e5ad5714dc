import json

import torch

from training.environment import Environment, environment, processor


def test_the_same_process_has_one_environment():
    assert environment().digest == environment().digest
    assert json.loads(environment().canonical) == dict(environment().facts)


def test_another_number_of_threads_is_another_environment():
    threads = torch.get_num_threads()
    before = environment()
    torch.set_num_threads(threads + 1)
    try:
        assert environment().digest != before.digest
    finally:
        torch.set_num_threads(threads)
    assert environment() == before


def test_the_digest_does_not_depend_on_the_order_of_facts():
    assert Environment(facts={"a": 1, "b": "2"}).digest == Environment(facts={"b": "2", "a": 1}).digest


def test_processors_with_other_instruction_sets_differ(tmp_path):
    text = "model name\t: Some CPU\ncpu family\t: 6\nmodel\t: 7\nflags\t: {}\n\nmodel name\t: second core\n"
    names = []
    for flags in ("avx2", "avx2 avx512f"):
        file = tmp_path / flags
        file.write_text(text.format(flags))
        names.append(processor(file))
    assert names[0] != names[1]
    assert all(name.startswith("Some CPU 6 7 ") for name in names)
