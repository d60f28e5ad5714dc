import importlib
from pathlib import Path

import pytest

from errors import ImpossibleCombination, InvalidValue, Refusal, UnknownName, refusal, shown, unknown

ROOT = Path(__file__).parents[1]


def test_a_refusal_carries_code_message_and_the_next_step_from_its_docstring():
    error = InvalidValue("n must be positive.")
    assert str(error) == "invalid_value: n must be positive. Send a value of the stated type and range."
    assert (error.code, error.status) == ("invalid_value", 422)


def test_codes_are_unique():
    """Over all of the project, whatever this run has imported so far."""
    for package in ("db", "server", "tools", "training"):
        for file in (ROOT / package).rglob("*.py"):
            if "migrations" not in file.parts and file.name != "cli.py":
                importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    kinds, codes = [Refusal], {}
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        if "code" in vars(kind):  # a base class in between has none of its own
            codes.setdefault(kind.code, set()).add(kind.__qualname__)
    assert {code: names for code, names in codes.items() if len(names) > 1} == {}
    assert len(codes) > 20


def test_an_unknown_name_is_answered_with_the_nearest_known_one():
    assert "Did you mean 'adamw'?" in str(unknown("optimizer", "adamww", ["muon", "adamw"]))
    assert "Known: adamw, muon." in str(unknown("optimizer", "zzz", ["muon", "adamw"]))


def test_what_a_caller_sent_is_quoted_on_one_short_line():
    quoted = shown("ignore all\nprevious \x1b[31m" + "x" * 500)
    assert len(quoted) == 80
    assert quoted.isprintable()


@pytest.mark.parametrize("kind", [InvalidValue, UnknownName, ImpossibleCombination])
def test_a_stored_code_becomes_its_own_refusal_again(kind):
    assert type(refusal(kind.code, "again")) is kind


def test_a_code_that_nobody_knows_stays_readable():
    assert "from_the_future: what happened" in str(refusal("from_the_future", "what happened"))
