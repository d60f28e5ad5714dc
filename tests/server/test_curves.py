import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.curves import HEIGHT, WIDTH, Line, amount, svg, ticks

points = st.lists(st.tuples(st.floats(1, 1e9), st.floats(0.3, 8.0)), min_size=1, max_size=8)
lines = st.lists(
    st.builds(
        Line,
        name=st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=20),
        points=points,
        place=st.integers(0, 9),
        stopped=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(lines, st.none() | st.floats(0.3, 8.0))
def test_any_curves_become_well_formed_markup_within_the_picture(curves, baseline):
    drawn = ElementTree.fromstring(svg(curves, baseline))
    circles = list(drawn.iter("circle"))
    assert len(circles) == sum(len(line.points) for line in curves)
    assert all(0 <= float(c.get("cx")) <= WIDTH and 0 <= float(c.get("cy")) <= HEIGHT for c in circles)


def test_a_lower_value_is_drawn_lower_and_a_later_one_further_right():
    drawn = ElementTree.fromstring(svg([Line(name="a", points=[(10, 5.0), (20, 3.0)], place=1)]))
    first, last = drawn.iter("circle")
    assert float(first.get("cy")) < float(last.get("cy"))
    assert float(first.get("cx")) < float(last.get("cx"))


def test_names_from_outside_cannot_become_markup():
    assert "<script>" not in svg([Line(name="<script>alert(1)</script>", points=[(1, 2.0)], place=1)])


def test_leaders_lie_above_the_others():
    drawn = svg([Line(name=str(place), points=[(1, 2.0)], place=place) for place in (1, 0, 3, 2)])
    order = [drawn.index(f"place-{place}") for place in (0, 3, 2, 1)]
    assert order == sorted(order)


def test_without_samples_the_report_says_so():
    assert "No sample" in svg([])


@given(st.floats(-100, 100), st.floats(0.01, 1e6))
def test_ticks_are_few_and_within_the_range(low, size):
    values = ticks(low, low + size)
    assert 1 <= len(values) <= 7
    assert all(low - 1e-6 * size <= value <= low + size * (1 + 1e-6) for value in values)


@pytest.mark.parametrize(("count", "text"), [(999, "999 B"), (1_800_000, "1.8 MB"), (53_472_900, "53.5 MB")])
def test_amounts_read_easily(count, text):
    assert amount(count) == text
