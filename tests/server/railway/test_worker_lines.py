"""The audit reads the lines that a worker prints: held to the printer itself."""

import io
from types import SimpleNamespace

from rich.console import Console

from server.railway.audit import Spoken, spoken
from server.work_command import Screen


def test_the_line_of_a_chunk_is_read_back():
    out = io.StringIO()
    ticket = SimpleNamespace(race="cup", rung=0, seed=1597, name="attention, 2 blocks", total_steps=90)
    numbers = {"step": 30, "bpb": 2.34567, "provenance": "claimed", "note": "", "action": "continue"}
    Screen(Console(file=out)).told("chunk", SimpleNamespace(ticket=ticket, step=30), numbers)
    assert spoken(out.getvalue().splitlines()) == [Spoken(race="cup", rung=1, seed=1597, step=30, bpb=2.3457)]
