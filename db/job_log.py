"""Job log: the last log lines of a job that did not go well. They come from outside: data, kept short, no secrets."""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from db.redaction import redactor
from db.session import Session
from db.statements import inserting
from db.store import run
from db.tables_observing import JOB_LOG

MOST_LINES = 50
MOST_CHARACTERS = 8_000
LONGEST_LINE = 2_000

UNPRINTED = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours of a terminal, and characters that are none."""

REDACT = redactor()


def add(session: Session, job_id: str, lines: Iterable[str], now: datetime) -> None:
    """Put lines behind those that are there; the oldest give way."""
    if not (new := shortened(lines)):
        return
    row = run(session, select(JOB_LOG).where(JOB_LOG.c.job_id == job_id).with_for_update()).one_or_none()
    values = {"lines": shortened([*(row.lines if row else ()), *new]), "updated_at": now}
    upsert = inserting(session.dialect, JOB_LOG).values(job_id=job_id, **values)
    run(session, upsert.on_conflict_do_update(index_elements=["job_id"], set_=values))


def tail(session: Session, job_id: str) -> str:
    """The lines as one text, empty where nothing is kept."""
    row = run(session, select(JOB_LOG.c.lines).where(JOB_LOG.c.job_id == job_id)).one_or_none()
    return "" if row is None else "\n".join(row.lines)


def shortened(lines: Iterable[str]) -> list[str]:
    """The last lines, each and all of them of limited length, printable and without what looks like a secret."""
    found: list[str] = []
    left = MOST_CHARACTERS
    clean = [one for line in lines for one in REDACT(UNPRINTED.sub("", line)).splitlines() if one.strip()]
    for line in reversed(clean[-MOST_LINES:]):
        cut = line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + " [cut]"
        left -= len(cut)
        if left < 0:
            break
        found.insert(0, cut)
    return found


def gist(lines: Sequence[str]) -> list[str]:
    """Of a native crash what came before, its reason and the innermost calls: they stand first in its report."""
    crash = next((place for place, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    return list(lines) if crash is None else list(lines[max(0, crash - 15) : crash + 30])


def about(lines: Sequence[str], job_id: str) -> list[str]:
    """Of a process's lines those that may be about this job: not those that say that they are about another."""
    return [line for line in lines if named(line) in (None, job_id)]


def named(line: str) -> str | None:
    """The job that a line names; None where it names none."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    job = said.get("job") if isinstance(said, dict) else None
    return job if isinstance(job, str) else None
