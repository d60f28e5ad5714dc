from datetime import UTC, datetime
from html.parser import HTMLParser

from db.leaderboard import Row
from db.queue import JobView
from db.races import RaceView
from db.samples import DecisionView, SampleView
from server.report import HEATS, Facts, heats, render, step_bytes
from training.matrix import Matrix, MatrixCell, MatrixRow

NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVIL = "<img src=x onerror=alert(1)>"
RACE = RaceView(
    id="r", name="cup", corpus="c" * 64, corpus_name="stdlib", budget_bytes=9000, seeds=(1, 2), created_at=NOW
)
NOBODY = {"worker": None, "lease_expires_at": None, "environment": None, "checkpoint": None, "priority": 50}


def job(number, state, name=EVIL, **changes):
    values = {
        "id": f"job-{number}", "race": "cup", "race_id": "r", "name": name, "recipe_digest": "d" * 64, "seed": 1,
        "rung": 0, "state": state, "total_steps": 10, "last_step": 10, "final_bpb": None, "provenance": "measured",
        "fence": 1, "attempt": 1, "reason": None, "created_by": "me", "created_at": NOW, "started_at": NOW,
        "finished_at": NOW,
    }  # fmt: skip
    return JobView(**{**values, **NOBODY, **changes})


def sample(step, bpb):
    numbers = {"step": step, "bpb": bpb, "nll_sum": 1.0, "byte_count": 1, "ema": bpb}
    return SampleView(**numbers, provenance="measured", checkpoint=None, environment=None, created_at=NOW)


def facts(**changes):
    jobs = [job(1, "done", final_bpb=2.5), job(2, "pruned", reason="far_above_median", seed=2)]
    row = Row(rank=1, name=EVIL, recipe="d" * 64, rung=0, rungs=3, seeds=(1, 2), mean=2.5, sd=0.1, n=2, bpb=2.5,
              values=(2.4, 2.6), provenance="measured", corpus="c" * 64)  # fmt: skip
    decision = DecisionView(job_id="job-2", recipe_digest="d" * 64, rung=0, action="prune", reason="far_above_median",
                            numbers={"median": 2.5, "limit": 2.875}, created_at=NOW)  # fmt: skip
    curves = {"job-1": [sample(5, 3.0), sample(10, 2.5)], "job-2": [sample(5, 4.0)]}
    values = {"race": RACE, "rows": [row], "jobs": jobs, "curves": curves, "decisions": [decision],
              "counts": {"done": 1, "pruned": 1}, "step_bytes": step_bytes(jobs, RACE), "baseline": 3.1}  # fmt: skip
    return Facts(**{**values, **changes})


class Page(HTMLParser):
    """What a browser would see: tags, the addresses they name, and text."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_report_names_nothing_outside_itself():
    page = Page(render(facts()))
    assert page.addresses == []
    assert "script" not in page.tags


def test_text_from_outside_stays_text():
    page = Page(render(facts()))
    assert "img" not in page.tags
    assert EVIL in page.text


def test_every_row_shows_mean_sd_n_rung_and_provenance():
    text = Page(render(facts())).text
    for shown in ("2.5000", "0.1000", "1 of 3", "measured", "2.4000 2.6000", "3.1000"):
        assert shown in text


def test_a_decision_shows_the_numbers_it_rests_on():
    text = Page(render(facts())).text
    assert "far_above_median" in text
    assert "median 2.5 · limit 2.875" in text


def test_a_race_without_samples_says_so():
    text = Page(render(facts(rows=[], curves={}, decisions=[], baseline=None))).text
    assert "No recipe has finished a rung" in text
    assert "No sample has been stored yet" in text
    assert "Nothing was stopped or promoted" in text


def test_a_step_trains_on_its_share_of_the_budget():
    assert step_bytes([job(1, "done"), job(2, "done", rung=2, total_steps=90)], RACE) == {"job-1": 100, "job-2": 100}


def cell(recipe, state, mean=None, **more):
    return MatrixCell(recipe=recipe, state=state, mean=mean, sd=0.01 if mean else None, n=3 if mean else 0, **more)


def table(*rows):
    rows = [MatrixRow(label=label, format=label, bits=8, phi_distance=0.5, cells=cells) for label, cells in rows]
    return Matrix(columns=["adamw", EVIL], rows=rows, shared="width=32")


def test_formats_and_optimizers_are_a_table_with_the_numbers_in_its_cells_and_a_word_where_there_is_none():
    shown = table(
        ("fp32", [cell("a", "identity", 2.0), cell("b", "measured", 2.25, share=0.5, zero=0.25, equal_to=["fp32"])]),
        (EVIL, [cell("c", "identity"), None]),
        ("gf8", [cell("d", "lost", note="diverged"), cell("e", "open")]),
    )
    page = Page(render(facts(matrix=shown)))
    for text in (
        "2.0000 ± 0.0100 (3)identity", "2.2500 ± 0.0100 (3)50 % changed, 25 % to zero; to the last bit",
        "numbers of fp32", "no such recipe", "lostdiverged", "open", "0.500", EVIL, "All recipes: width=32",
    ):  # fmt: skip
        assert text in page.text
    assert "img" not in page.tags
    assert page.addresses == []
    assert "φ-distance" not in Page(render(facts())).text


def test_the_shades_follow_the_numbers_and_far_ones_do_not_hide_the_others():
    means = [1.0 + 0.03 * i for i in range(20)] + [8.0]
    heat = heats(table(*((str(i), [cell(str(i), "measured", mean), None]) for i, mean in enumerate(means))))
    shades = [heat[str(i)] for i in range(len(means))]
    assert shades == sorted(shades)
    assert set(shades) == set(range(HEATS))
    assert heats(table(("a", [cell("a", "open"), None]))) == {}
    assert heats(table(("a", [cell("a", "measured", 2.0), cell("b", "measured", 2.0)]))) == {"a": 0, "b": 0}
