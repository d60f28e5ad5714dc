"""Tables: what is kept, with the constraints that hold whoever writes. One suite of statements runs on both engines.

Names of states reach the database, so a rename is a migration. A change here needs a new file in `migrations/versions`.
"""

import json
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Dialect,
    ForeignKeyConstraint,
    FromClause,
    Index,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    literal_column,
    or_,
)
from sqlmodel import Field, SQLModel


class Canonical(TypeDecorator[Any]):
    """JSON as one text: sorted keys, no spaces, no NaN. Equal values are equal bytes on every engine."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        """Python value -> text."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:
        """Text -> Python value; tuples come back as lists."""
        return None if value is None else json.loads(value)


class Base(SQLModel):
    """What all tables share: one catalogue, in which every constraint has a predictable name."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


def one_of(column: str, *values: str) -> CheckConstraint:
    """The column holds one of these words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


def finite(column: str) -> CheckConstraint:
    """The column is a number from 0 up; NaN and infinity are not (PostgreSQL sorts NaN above infinity)."""
    return CheckConstraint(f"{column} >= 0 AND {column} < 1e308", name=f"{column}_finite")


PROVENANCES = ("measured", "claimed", "verified")
JOB_STATES = ("queued", "running", "done", "pruned", "errored", "cancelled")


class Race(Base, table=True):
    """A contest."""

    __tablename__ = "race"
    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    corpus: str
    corpus_name: str
    heldout: str
    budget_bytes: int = Field(sa_type=BigInteger)
    seeds: list[int] = Field(sa_type=Canonical)
    warmup_fraction: float
    rungs: list[list[int]] = Field(sa_type=Canonical)
    chunks: list[int] = Field(sa_type=Canonical)
    eta: int
    quorum: int
    pruner: str
    sanity: list[float] = Field(sa_type=Canonical)
    created_at: datetime


class Rung(Base, table=True):
    """One rung of a race. Its row is locked while the rung is judged or gets jobs; `recipes` counts those with jobs."""

    __tablename__ = "rung"
    __table_args__ = (CheckConstraint("numerator > 0 AND denominator > 0 AND chunks > 0", name="positive"),)
    race_id: str = Field(primary_key=True, foreign_key="race.id")
    rung: int = Field(primary_key=True)
    numerator: int
    denominator: int
    chunks: int
    recipes: int = 0


class Recipe(Base, table=True):
    """The canonical text of a recipe, once."""

    __tablename__ = "recipe"
    digest: str = Field(primary_key=True)
    name: str
    canonical: str = Field(sa_type=Text)
    created_by: str
    created_at: datetime


class Job(Base, table=True):
    """Recipe x seed x rung in the queue.

    position: its place in the order of submission. On PostgreSQL the sequence `job_position` counts it.
    attempt: claims so far. barren: those that stored no sample. fruitful: whether the present one stored one.
    claimed_by: the principal whose claim it is; other principals cannot use it, whatever fence they send.
    checkpoint_step: step of the checkpoint that a new holder goes on from; last_step: step of the last sample.
    """

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("race_id", "rung", "recipe_digest", "seed"),
        ForeignKeyConstraint(["race_id", "rung"], ["rung.race_id", "rung.rung"], name="fk_job_rung"),
        one_of("state", *JOB_STATES),
        one_of("provenance", *PROVENANCES),
        finite("final_bpb"),
        CheckConstraint("priority BETWEEN 0 AND 100", name="priority"),
        CheckConstraint("(state = 'running') = (lease_expires_at IS NOT NULL)", name="lease"),
        CheckConstraint("(state = 'done') = (final_bpb IS NOT NULL)", name="final"),
        CheckConstraint("checkpoint_step <= last_step AND last_step <= total_steps", name="steps"),
    )
    id: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    race_id: str
    recipe_digest: str = Field(foreign_key="recipe.digest")
    seed: int = Field(sa_type=BigInteger)
    rung: int
    state: str
    priority: int
    total_steps: int = Field(sa_type=BigInteger)
    last_step: int = Field(sa_type=BigInteger, default=0)
    checkpoint_step: int = Field(sa_type=BigInteger, default=0)
    checkpoint: str | None
    environment: str | None
    final_bpb: float | None
    provenance: str | None
    fence: int = Field(sa_type=BigInteger, default=0)
    worker: str | None
    claimed_by: str | None
    lease_expires_at: datetime | None
    attempt: int = 0
    barren: int = 0
    fruitful: bool = False
    reason: str | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Sample(Base, table=True):
    """One bits-per-byte value of a run at a step. quantized: what rounding to formats did, place by place."""

    __tablename__ = "sample"
    __table_args__ = (
        finite("bpb"),
        finite("nll_sum"),
        finite("ema"),
        one_of("provenance", *PROVENANCES),
        CheckConstraint("step > 0 AND byte_count > 0", name="positive"),
    )
    job_id: str = Field(primary_key=True, foreign_key="job.id")
    step: int = Field(primary_key=True, sa_type=BigInteger)
    bpb: float
    nll_sum: float
    byte_count: int = Field(sa_type=BigInteger)
    ema: float
    provenance: str
    checkpoint: str | None = Field(foreign_key="artifact.digest")
    environment: str | None
    receipt: str | None = Field(sa_type=Text)
    attempt: int
    created_at: datetime
    measured_by: str | None
    quantized: dict[str, Any] | None = Field(sa_type=Canonical)


class SupersededSample(Base, table=True):
    """A sample that no longer counts, and why: its run started over, or a measured value took its place."""

    __tablename__ = "superseded_sample"
    __table_args__ = (Index("ix_superseded_sample_job", "job_id", "step"),)
    id: int | None = Field(primary_key=True, default=None)
    job_id: str = Field(foreign_key="job.id")
    step: int = Field(sa_type=BigInteger)
    bpb: float
    nll_sum: float
    byte_count: int = Field(sa_type=BigInteger)
    ema: float
    provenance: str
    checkpoint: str | None
    environment: str | None
    receipt: str | None = Field(sa_type=Text)
    attempt: int
    created_at: datetime
    measured_by: str | None
    quantized: dict[str, Any] | None = Field(sa_type=Canonical)
    reason: str
    superseded_at: datetime


class Standing(Base, table=True):
    """A recipe that is through with a rung. `mean` is NULL when a seed was stopped or failed: the recipe is lost."""

    __tablename__ = "standing"
    __table_args__ = (
        ForeignKeyConstraint(["race_id", "rung"], ["rung.race_id", "rung.rung"], name="fk_standing_rung"),
        one_of("provenance", *PROVENANCES),
        finite("mean"),
        CheckConstraint("(mean IS NULL) = (sd IS NULL)", name="whole"),
    )
    race_id: str = Field(primary_key=True)
    rung: int = Field(primary_key=True)
    recipe_digest: str = Field(primary_key=True, foreign_key="recipe.digest")
    provenance: str
    mean: float | None
    sd: float | None
    n: int
    bpbs: list[float] = Field(sa_type=Canonical)
    promoted: bool = False
    created_at: datetime
    quantized: dict[str, Any] | None = Field(sa_type=Canonical)


class Decision(Base, table=True):
    """What was decided and the numbers it rests on. Only ever added to."""

    __tablename__ = "decision"
    __table_args__ = (
        Index("ix_decision_race", "race_id", "id"),
        Index("ix_decision_recipe", "recipe_digest", "race_id", "rung"),
    )
    id: int | None = Field(primary_key=True, default=None)
    race_id: str = Field(foreign_key="race.id")
    job_id: str | None = Field(foreign_key="job.id")
    recipe_digest: str = Field(foreign_key="recipe.digest")
    rung: int
    action: str
    reason: str
    numbers: dict[str, Any] = Field(sa_type=Canonical)
    created_at: datetime


class Worker(Base, table=True):
    """Who gave a sign of life, and when."""

    __tablename__ = "worker"
    __table_args__ = (Index("ix_worker_last_seen", "kind", "last_seen"),)
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    first_seen: datetime
    last_seen: datetime
    detail: str


class Token(Base, table=True):
    """A bearer token: the SHA-256 of the secret, never the secret."""

    __tablename__ = "token"
    prefix: str = Field(primary_key=True)
    digest: str
    name: str
    scopes: list[str] = Field(sa_type=Canonical)
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class Artifact(Base, table=True):
    """A file named by its SHA-256 that the server holds or, after `removed_at`, held: rows go on naming it.

    created_by: who brought it, None for the server itself. offered_at: when somebody last did.
    """

    __tablename__ = "artifact"
    __table_args__ = (CheckConstraint("byte_count >= 0", name="byte_count"),)
    digest: str = Field(primary_key=True)
    kind: str
    byte_count: int = Field(sa_type=BigInteger)
    created_at: datetime
    removed_at: datetime | None
    created_by: str | None
    offered_at: datetime | None


class ChunkRequest(Base, table=True):
    """A chunk that the web process asks an engine to train. `fence` is the request's own, `job_fence` the job's."""

    __tablename__ = "chunk_request"
    __table_args__ = (
        one_of("state", "queued", "leased", "done", "failed"),
        CheckConstraint("(state = 'leased') = (lease_expires_at IS NOT NULL)", name="lease"),
    )
    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    job_fence: int = Field(sa_type=BigInteger)
    steps: int | None = Field(sa_type=BigInteger)
    state: str
    fence: int = Field(sa_type=BigInteger, default=0)
    engine: str | None
    lease_expires_at: datetime | None
    result: dict[str, Any] | None = Field(sa_type=Canonical)
    error_code: str | None
    error: str | None = Field(sa_type=Text)
    created_at: datetime
    finished_at: datetime | None


class ScoreRequest(Base, table=True):
    """A claimed sample whose checkpoint a scorer is asked to measure. `fence` is the request's own."""

    __tablename__ = "score_request"
    __table_args__ = (
        one_of("state", "queued", "leased", "done", "failed"),
        CheckConstraint("(state = 'leased') = (lease_expires_at IS NOT NULL)", name="lease"),
    )
    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="job.id")
    step: int = Field(sa_type=BigInteger)
    checkpoint: str = Field(foreign_key="artifact.digest")
    state: str
    fence: int = Field(sa_type=BigInteger, default=0)
    scorer: str | None
    lease_expires_at: datetime | None
    error_code: str | None
    error: str | None = Field(sa_type=Text)
    created_at: datetime
    finished_at: datetime | None


class Entry(Base, table=True):
    """A script of somebody outside, and the environment it asks for."""

    __tablename__ = "entry"
    id: str = Field(primary_key=True)
    name: str
    script: str = Field(foreign_key="artifact.digest")
    env: dict[str, str] = Field(sa_type=Canonical)
    golden_state: str | None
    submitted_by: str
    created_at: datetime


class EntryRun(Base, table=True):
    """One trial of an entry: asked for, leased by a runner, and what the runner found.

    contest: digest of what makes runs comparable. deliveries: runners that have had it and did not give it back.
    failed: name of the check that the entry failed. log_tail: text from outside.
    """

    __tablename__ = "entry_run"
    __table_args__ = (
        one_of("state", "queued", "leased", "done", "failed"),
        one_of("heldout", "public", "private"),
        one_of("provenance", *PROVENANCES),
        one_of("mode", "predict", "block", "log"),
        finite("bpb"),
        finite("nll_sum"),
        CheckConstraint("byte_count > 0", name="byte_count"),
        CheckConstraint("(state = 'leased') = (lease_expires_at IS NOT NULL)", name="lease"),
        CheckConstraint("(state = 'failed') = (failed IS NOT NULL)", name="failed"),
        CheckConstraint("(state = 'done') = (provenance IS NOT NULL)", name="provenance_known"),
        CheckConstraint("state <> 'done' OR bpb IS NOT NULL", name="measured_number"),
        CheckConstraint("provenance <> 'measured' OR (heldout = 'private' AND mode = 'predict')", name="measured"),
    )
    id: str = Field(primary_key=True)
    entry_id: str = Field(foreign_key="entry.id")
    track: str
    contest: str
    corpus: str
    heldout: str
    limits: dict[str, Any] = Field(sa_type=Canonical)
    seed: int = Field(sa_type=BigInteger)
    state: str
    fence: int = Field(sa_type=BigInteger, default=0)
    deliveries: int = 0
    runner: str | None
    lease_expires_at: datetime | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None
    provenance: str | None
    mode: str | None
    bpb: float | None
    nll_sum: float | None
    byte_count: int | None = Field(sa_type=BigInteger)
    code_bytes: int | None = Field(sa_type=BigInteger)
    artifact_bytes: int | None = Field(sa_type=BigInteger)
    train_seconds: float | None
    predict_seconds: float | None
    failed: str | None
    checks: list[dict[str, Any]] | None = Field(sa_type=Canonical)
    log_tail: str | None = Field(sa_type=Text)
    golden_state: str | None
    measured_by: str | None
    receipt: str | None = Field(sa_type=Text)


class Task(Base, table=True):
    """A handle on a long call. subject: the rows, or the arguments, that its state is read from.

    answer: what the call gave, where no other row keeps it; lease_expires_at: until when a process is at work on it.
    """

    __tablename__ = "task"
    __table_args__ = (CheckConstraint("(answer IS NULL) = (finished_at IS NULL)", name="answer"),)
    id: str = Field(primary_key=True)
    principal: str
    tool: str
    subject: dict[str, Any] = Field(sa_type=Canonical)
    created_at: datetime
    lease_expires_at: datetime | None
    answer: dict[str, Any] | None = Field(sa_type=Canonical)
    finished_at: datetime | None
    cancelled_at: datetime | None


class Enrolled(Base, table=True):
    """The public key of a worker whose receipts count until `revoked_at`."""

    __tablename__ = "enrolled"
    key_id: str = Field(primary_key=True)
    name: str
    public_key: str
    created_at: datetime
    revoked_at: datetime | None


class Lesson(Base, table=True):
    """What a race taught."""

    __tablename__ = "lesson"
    id: int | None = Field(primary_key=True, default=None)
    race_id: str | None = Field(foreign_key="race.id")
    title: str
    body: str = Field(sa_type=Text)
    created_by: str
    created_at: datetime


def table(model: type[Base]) -> Table:
    """The table that a class describes."""
    return Base.metadata.tables[str(model.__tablename__)]


RACE, RUNG, RECIPE, JOB = table(Race), table(Rung), table(Recipe), table(Job)
SAMPLE, SUPERSEDED, STANDING, DECISION = table(Sample), table(SupersededSample), table(Standing), table(Decision)
WORKER, TOKEN, ARTIFACT, REQUEST = table(Worker), table(Token), table(Artifact), table(ChunkRequest)
SCORE, ENROLLED = table(ScoreRequest), table(Enrolled)
ENTRY, ENTRY_RUN = table(Entry), table(EntryRun)
TASK = table(Task)


def state_is(of: FromClause, *states: str) -> ColumnElement[bool]:
    """The state is one of these words, written out: a bound parameter would keep the planner off a partial index."""
    return or_(*(of.c.state == literal_column(repr(state)) for state in states))


def is_claimed(of: FromClause) -> ColumnElement[bool]:
    """The number is somebody's claim, written out like a state."""
    return or_(of.c.provenance == literal_column("'claimed'"))


def partial_index(
    name: str, of: Table, *columns: ColumnElement[Any], states: tuple[str, ...], unique: bool = False
) -> Index:
    """An index over the rows in one of these states only."""
    where = state_is(of, *states)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


NEXT = (JOB.c.priority.desc(), JOB.c.position)
"""The order of claims: higher priority, then the order of submission."""
NEXT_ABANDONED = (JOB.c.priority.desc(), JOB.c.lease_expires_at, JOB.c.position)
"""The order in which abandoned jobs are taken over: higher priority, then the lease that ended first."""

partial_index("ix_job_queued", JOB, *NEXT, states=("queued",))
partial_index("ix_job_queued_race", JOB, JOB.c.race_id, *NEXT, states=("queued",))
partial_index("ix_job_running_next", JOB, *NEXT_ABANDONED, states=("running",))
partial_index("ix_job_running_race", JOB, JOB.c.race_id, *NEXT_ABANDONED, states=("running",))
partial_index("ix_job_running", JOB, JOB.c.lease_expires_at, states=("running",))
partial_index("ix_job_done", JOB, JOB.c.race_id, JOB.c.rung, JOB.c.finished_at, states=("done",))
Index(
    "ix_job_claimed",
    JOB.c.race_id,
    JOB.c.rung,
    JOB.c.recipe_digest,
    sqlite_where=state_is(JOB, "done") & is_claimed(JOB),
    postgresql_where=state_is(JOB, "done") & is_claimed(JOB),
)
partial_index("ix_job_ended", JOB, JOB.c.race_id, JOB.c.state, states=("pruned", "errored", "cancelled"))
partial_index("ix_chunk_request_open", REQUEST, REQUEST.c.created_at, REQUEST.c.id, states=("queued", "leased"))
partial_index(
    "uq_chunk_request_open", REQUEST, REQUEST.c.job_id, REQUEST.c.job_fence, states=("queued", "leased"), unique=True
)
partial_index("ix_score_request_open", SCORE, SCORE.c.created_at, SCORE.c.id, states=("queued", "leased"))
partial_index("ix_score_request_checkpoint", SCORE, SCORE.c.checkpoint, states=("queued", "leased"))
partial_index(
    "ix_entry_run_open",
    ENTRY_RUN,
    ENTRY_RUN.c.created_at,
    ENTRY_RUN.c.seed,
    ENTRY_RUN.c.id,
    states=("queued", "leased"),
)
partial_index(
    "uq_entry_run_open",
    ENTRY_RUN,
    ENTRY_RUN.c.entry_id,
    ENTRY_RUN.c.contest,
    ENTRY_RUN.c.seed,
    states=("queued", "leased"),
    unique=True,
)
Index("ix_entry_run_entry", ENTRY_RUN.c.entry_id, ENTRY_RUN.c.created_at)
partial_index("ix_entry_run_contest", ENTRY_RUN, ENTRY_RUN.c.contest, states=("done", "failed"))
Index("ix_entry_script", ENTRY.c.script)
Index(
    "ix_artifact_held",
    ARTIFACT.c.created_by,
    sqlite_where=ARTIFACT.c.created_by.is_not(None) & ARTIFACT.c.removed_at.is_(None),
    postgresql_where=ARTIFACT.c.created_by.is_not(None) & ARTIFACT.c.removed_at.is_(None),
)
Index(
    "uq_enrolled_name",
    ENROLLED.c.name,
    unique=True,
    sqlite_where=ENROLLED.c.revoked_at.is_(None),
    postgresql_where=ENROLLED.c.revoked_at.is_(None),
)
Index(
    "ix_job_checkpoint",
    JOB.c.checkpoint,
    sqlite_where=JOB.c.checkpoint.is_not(None),
    postgresql_where=JOB.c.checkpoint.is_not(None),
)
Index(
    "ix_standing_rank",
    STANDING.c.race_id,
    STANDING.c.provenance,
    STANDING.c.rung.desc(),
    STANDING.c.mean,
    STANDING.c.recipe_digest,
)
