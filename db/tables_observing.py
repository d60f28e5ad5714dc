"""Tables of what is seen of the work: counters of the whole fleet, and the last log lines of failed runs."""

from datetime import datetime

from sqlmodel import Field

from db.tables import Base, Canonical, table


class Meter(Base, table=True):
    """What all processes have counted together. labels: JSON object as one text, names sorted."""

    __tablename__ = "meter"
    name: str = Field(primary_key=True)
    labels: str = Field(primary_key=True)
    value: float


class JobLog(Base, table=True):
    """The last log lines of a job that did not go well: text from outside, without secrets."""

    __tablename__ = "job_log"
    job_id: str = Field(primary_key=True, foreign_key="job.id")
    lines: list[str] = Field(sa_type=Canonical)
    updated_at: datetime


METER, JOB_LOG = table(Meter), table(JobLog)
