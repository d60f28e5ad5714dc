"""Finding: the first ids that begin like something typed, for completions."""

import re

from sqlalchemy import select

from db.session import Session
from db.store import run
from db.tables import JOB

BEGINNING = re.compile(r"[0-9a-f][0-9a-f-]{0,35}")
"""How the id of a job can begin."""


def job_ids(session: Session, beginning: str, limit: int) -> list[str]:
    """At most `limit` ids of jobs that begin so, in their order. A range of the primary key: flat however many."""
    if BEGINNING.fullmatch(beginning) is None:
        return []
    within = (JOB.c.id >= beginning, JOB.c.id < beginning + "g")
    found = run(session, select(JOB.c.id).where(*within).order_by(JOB.c.id).limit(limit)).scalars()
    return [one for one in found if one.startswith(beginning)]
