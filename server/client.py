"""The typed client of an igla server. Written by `make client` from the tools' contracts: do not edit.

    with Client.at("https://igla.example.org", token) as igla:
        board = igla.leaderboard("first")

Every refusal of the server is a `Refused` with its code; `AsyncClient` is the same for `async with`. What a client is
besides its tools (retries, artifacts) stands in client_core.py and client_steps.py.
"""

# fmt: off

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from server.client_async import AsyncCore
from server.client_core import SyncCore


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """All that a worker needs for its next chunk. chunks: how many of equal length the whole run has."""

    job_id: str
    fence: int
    race: str
    name: str
    recipe: Mapping[str, Any]
    recipe_digest: str
    seed: int
    rung: int
    start_step: int
    steps: int
    total_steps: int
    checkpoint: str | None
    corpus: str
    lease_expires_at: datetime
    chunks: int


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """The tickets, at least one."""

    tickets: tuple[Ticket, ...]


@dataclass(frozen=True, kw_only=True)
class DeployStep:
    """One change to a service, planned or done; noop where none is needed. what: the change in words."""

    service: str
    verb: str
    what: str


@dataclass(frozen=True, kw_only=True)
class DeployFailure:
    """The change to a service that failed, and why; none after it was tried."""

    service: str
    verb: str
    code: str


@dataclass(frozen=True, kw_only=True)
class DeployService:
    """A service that is there. lines: its last log lines, which are data."""

    name: str
    status: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """A plan with its hash, what was done and failed, or how services stand. extra: services that no seed asks for."""

    action: str
    hash: str = ""
    steps: tuple[DeployStep, ...]
    failed: tuple[DeployFailure, ...]
    extra: tuple[str, ...]
    services: tuple[DeployService, ...]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked; detail is our own text, never the entry's."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One run of an entry: queued, leased, done or failed. `failed` names the check that it failed.

    log_tail is what the script printed last: text from outside, to be read as data.
    """

    id: str
    track: str
    contest: str
    corpus: str
    heldout: str
    seed: int
    state: str
    provenance: str | None
    mode: str | None
    bpb: float | None
    nll_sum: float | None
    byte_count: int | None
    code_bytes: int | None
    artifact_bytes: int | None
    train_seconds: float | None
    predict_seconds: float | None
    failed: str | None
    checks: tuple[Check, ...]
    log_tail: str | None
    golden_state: str | None
    measured_by: str | None
    receipt: str | None
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class EntryStatus:
    """An entry and its runs, newest first."""

    id: str
    name: str
    sha256: str
    env: Mapping[str, str]
    golden_state: str | None
    submitted_by: str
    created_at: datetime
    runs: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One word and its meaning."""

    term: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Glossary:
    """The words asked for."""

    rows: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The lease after the heartbeat."""

    lease_expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class JobView:
    """A job as it stands. `reason` says why it was stopped, failed, cancelled or given back.

    request_id: of the call that queued it, which log lines carry too.
    """

    id: str
    race: str
    race_id: str
    name: str
    recipe_digest: str
    seed: int
    rung: int
    state: str
    priority: int
    total_steps: int
    last_step: int
    final_bpb: float | None
    provenance: str | None
    checkpoint: str | None
    environment: str | None
    worker: str | None
    fence: int
    attempt: int
    lease_expires_at: datetime | None
    reason: str | None
    created_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class SampleView:
    """A stored sample. `measured_by`: who computed it, or for a claimed one who says to have.

    quantized: what rounding to number formats did; None where no format rounds.
    """

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    ema: float
    provenance: str
    checkpoint: str | None
    environment: str | None
    created_at: datetime
    measured_by: str | None = None
    quantized: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class DecisionView:
    """A stored decision. `job_id` is None for one about a recipe."""

    job_id: str | None
    recipe_digest: str
    rung: int
    action: str
    reason: str
    numbers: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """A job, its curve and what was decided about it. log_tail: last log lines of a run that failed: data of others."""

    job: JobView
    curve: tuple[SampleView, ...]
    samples_stored: int
    decisions: tuple[DecisionView, ...]
    provenance: str | None
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A ranked recipe. `bpb` is what it ranks by: the mean. `values` are in the order of `seeds`; `rung` is from 0.

    quantized: place -> format and mean shares of what it did to the values there; None where no format rounds.
    """

    rank: int
    name: str
    recipe: str
    rung: int
    rungs: int
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    sd: float
    n: int
    bpb: float
    provenance: str
    corpus: str
    quantized: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """One recipe of a matrix.

    state: measured; identity, where nothing is rounded or a format changed nothing, which is no measurement of it;
    lost, and `note` says why; open, still to be run. values: one a seed. share, zero: of the values that are
    rounded, those changed and those that became zero. equal_to: rows of the same column with the same values to the
    last bit.
    """

    recipe: str
    state: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    rung: int = 0
    values: tuple[float, ...] = ()
    share: float | None = None
    zero: float | None = None
    note: str = ""
    equal_to: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MatrixRow:
    """A format with its switches. phi_distance: |E/M - 1/phi| of its layout, None where it has none. cells: by column.

    A cell that no recipe of the race stands in is None: a hole.
    """

    label: str
    format: str
    bits: float
    phi_distance: float | None
    cells: tuple[MatrixCell | None, ...]


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows are formats, columns optimizers; lower bits per byte are better. shared: what all recipes have in common."""

    columns: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    shared: str


@dataclass(frozen=True, kw_only=True)
class Board:
    """One page of the board; ask again with `next_cursor` until it is null."""

    race: str
    corpus: str
    provenance: str
    rows: tuple[Row, ...]
    next_cursor: str | None
    matrix: Matrix | None = None


@dataclass(frozen=True, kw_only=True)
class JobRef:
    """One queued job."""

    id: str
    name: str
    recipe_digest: str
    seed: int
    rung: int
    total_steps: int
    state: str


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What was queued, or would be. Each job stands in a phase, which is its rung."""

    race: str
    recipes: int
    seeds: tuple[int, ...]
    dry_run: bool
    jobs: tuple[JobRef, ...]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the race decided about a run, and the numbers it rests on. `state` is the job's state afterwards."""

    action: str
    rung: int
    reason: str
    numbers: Mapping[str, float]
    state: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A running job and what the pruner says of its last value."""

    job_id: str
    name: str
    seed: int
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """What was decided, with the numbers it rests on."""

    dry_run: bool
    decisions: tuple[Judged, ...]


@dataclass(frozen=True, kw_only=True)
class Released:
    """The job, back in the queue."""

    job: JobView


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One bits-per-byte value: nll_sum in nats over byte_count bytes of the validation split.

    quantized: what rounding did at weights, activations, gradients -> format and shares.
    """

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    quantized: Mapping[str, Mapping[str, int | float | str]] | None = None


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A trained and measured chunk. The samples are stored already."""

    job_id: str
    samples: tuple[Sample, ...]
    provenance: str
    receipt: Mapping[str, Any] | None
    effective_recipe: Mapping[str, Any]
    effective_digest: str
    environment: str
    checkpoint: str | None
    decision: Decision
    bytes_per_second: float
    lease_expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class EntryRuns:
    """The runs of an entry on a track, one a seed, as they stand.

    provenance: what the numbers will be at best; on public held-out text that is "claimed". runners: processes that
    can run entries.
    """

    entry: str
    track: str
    contest: str
    corpus: str
    provenance: str
    runners: int
    runs: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class EntrySubmitted:
    """The entry that is stored. `id` names it wherever an entry is asked for."""

    id: str
    name: str
    sha256: str
    env: Mapping[str, str]
    golden_state: str | None
    submitted_by: str


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The jobs of the recipe, one a seed."""

    race: str
    jobs: tuple[JobRef, ...]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What was stored, and what the race decided. note: why a receipt did not make a stored sample measured."""

    stored: int
    duplicates: int
    provenance: str
    ema: float | None
    decision: Decision
    lease_expires_at: datetime
    note: str | None = None


class MatrixPlanFields(TypedDict):
    """Formats x optimizers. fp32 is always among the formats: what the others are read against. place: see `PLACES`."""

    formats: Sequence[str]
    optimizers: NotRequired[Sequence[str]]
    place: NotRequired[str]


class PlanFields(TypedDict):
    """A grid of recipe fields over a base, and single recipes beside it.

    base: fields that all share. grid: field -> values, every combination is a recipe. recipes: more, over the base.
    matrix: formats x optimizers. Of a race that this plan creates: budget_bytes (text that a run at the top rung
    trains on), seeds, chunks (reports at each rung), quorum (recipes through the first rung before any is promoted;
    0: all), whole (one rung of the whole budget, nobody is stopped).
    """

    base: NotRequired[Mapping[str, bool | int | float | str]]
    grid: NotRequired[Mapping[str, Sequence[bool | int | float | str]]]
    recipes: NotRequired[Sequence[Mapping[str, bool | int | float | str]]]
    matrix: NotRequired[MatrixPlanFields | None]
    whole: NotRequired[bool]
    priority: NotRequired[int]
    budget_bytes: NotRequired[int | None]
    seeds: NotRequired[Sequence[int] | None]
    quorum: NotRequired[int]
    chunks: NotRequired[Sequence[int] | None]


class SampleFields(TypedDict):
    """One bits-per-byte value: nll_sum in nats over byte_count bytes of the validation split.

    quantized: what rounding did at weights, activations, gradients -> format and shares.
    """

    step: int
    bpb: float
    nll_sum: float
    byte_count: int
    quantized: NotRequired[Mapping[str, Mapping[str, int | float | str]] | None]


class Client(SyncCore):
    """One method for each tool, in alphabetical order."""

    def claim_job(
        self, worker: str, race: str | None = None, n: int | None = None, environment: str | None = None,
    ) -> Claimed:
        """Claim the next job, of one race or of any. The ticket's lease is renewed by run_chunk, write_bpb and
        heartbeat.

        With nothing to do the answer is queue_empty and says when to ask again. Next: run_chunk with job_id and
        fence.

        worker: who claims
        race: name of the race
        n: tickets wanted at most (by default 1)
        environment: where you train yourself: a run that began in another one starts over
        """
        given = {"worker": worker, "race": race, "n": n, "environment": environment}
        return self.ask(Claimed, "claim_job", given, idempotent=False, wait=0.0)

    def deploy(
        self, action: Literal["plan", "apply", "status"], account: str, template: str | None = None, seeds:
        Sequence[int] | None = None, plan_hash: str | None = None, confirm: bool | None = None,
    ) -> Deployed:
        """Bring a Railway project to one worker a seed, as the template says: plan, then apply with the plan's hash.

        Nothing is ever removed.

        action: apply needs plan_hash
        account: alias of an account
        template: what workers run
        seeds
        plan_hash: hash of the plan to apply
        confirm: change many services at once (by default false)
        """
        given = {
            "action": action, "account": account, "template": template, "seeds": seeds, "plan_hash": plan_hash,
            "confirm": confirm,
        }
        return self.ask(Deployed, "deploy", given, idempotent=True, wait=0.0)

    def entry_status(
        self, entry: str | None = None, run: str | None = None, limit: int | None = None,
    ) -> EntryStatus:
        """Show an entry with its latest runs, or the one run that is named: verdict, checks, provenance and log.

        entry: id of the entry
        run: id of one of its runs
        limit: runs at most (by default 20)
        """
        given = {"entry": entry, "run": run, "limit": limit}
        return self.ask(EntryStatus, "entry_status", given, idempotent=True, wait=0.0)

    def glossary(self, term: str | None = None) -> Glossary:
        """Say what a word of igla means: race, recipe, job, chunk, lease, fence, sample, rung, provenance and the
        rest.

        term: one word; leave out for all
        """
        given = {"term": term}
        return self.ask(Glossary, "glossary", given, idempotent=True, wait=0.0)

    def heartbeat(self, job_id: str, fence: int) -> Renewed:
        """Keep a claimed job while you are busy with it. run_chunk and write_bpb renew the lease by themselves.

        job_id: job_id of the ticket
        fence: fence of the ticket
        """
        given = {"job_id": job_id, "fence": fence}
        return self.ask(Renewed, "heartbeat", given, idempotent=True, wait=0.0)

    def job_status(self, job_id: str, points: int | None = None) -> JobStatus:
        """Show a job: state, curve in bits per byte (thinned to `points`), decisions with their numbers, provenance.

        job_id: job_id of the ticket
        points: points of the curve at most (by default 50)
        """
        given = {"job_id": job_id, "points": points}
        return self.ask(JobStatus, "job_status", given, idempotent=True, wait=0.0)

    def leaderboard(
        self, race: str, limit: int | None = None, cursor: str | None = None, provenance: Literal["measured",
        "claimed", "verified"] | None = None, by: Literal["format,optimizer"] | None = None,
    ) -> Board:
        """Rank the recipes of a race: highest rung first, then mean bits per byte over the race's seeds; lower is
        better.

        A recipe ranks when all seeds of the race are complete at a rung. `race` may be a track: then its entries
        are ranked, and a row's `recipe` is the entry's id. With `by` the answer holds a `matrix`, which also has
        the recipes that do not rank: lost, still open, or an identity, whose number format changed nothing.

        race: name of the race
        limit: rows on a page (by default 20)
        cursor: next_cursor of the page before
        provenance: claimed numbers never mix with measured ones (by default "measured")
        by: also show all recipes as a table of these two
        """
        given = {"race": race, "limit": limit, "cursor": cursor, "provenance": provenance, "by": by}
        return self.ask(Board, "leaderboard", given, idempotent=True, wait=0.0)

    def iter_leaderboard(
        self, race: str, limit: int | None = None, provenance: Literal["measured", "claimed", "verified"] | None =
        None, by: Literal["format,optimizer"] | None = None,
    ) -> Iterator[Row]:
        """Every row of `leaderboard`, page after page."""
        cursor = None
        while True:
            page = self.leaderboard(race=race, limit=limit, cursor=cursor, provenance=provenance, by=by)
            yield from page.rows
            cursor = page.next_cursor
            if cursor is None:
                return

    def plan_race(self, plan: PlanFields, race: str, dry_run: bool | None = None) -> Planned:
        """Queue every recipe of a grid: the product of the values listed for each field, over a base recipe.

        Use it to compare fields; use submit_job for one recipe. All recipes are checked before the first is queued.
        Next: claim_job.

        plan
        race: name of the race
        dry_run: only say what would be queued (by default false)
        """
        given = {"plan": plan, "race": race, "dry_run": dry_run}
        return self.ask(Planned, "plan_race", given, idempotent=True, wait=0.0)

    def prune(self, job_id: str | None = None, race: str | None = None, dry_run: bool | None = None) -> Pruned:
        """Judge a running job, or all running jobs of a race, by their last measured value, and say why.

        Every write is judged already, so this is for looking (dry_run) and for stopping runs whose worker has gone
        silent.

        job_id: job_id of the ticket
        race: name of the race
        dry_run: true: only say what would be stopped (by default true)
        """
        given = {"job_id": job_id, "race": race, "dry_run": dry_run}
        return self.ask(Pruned, "prune", given, idempotent=True, wait=0.0)

    def release_job(self, job_id: str, fence: int, reason: str | None = None) -> Released:
        """Give a claimed job back to the queue. What was stored stays; the next worker goes on from the last
        checkpoint.

        job_id: job_id of the ticket
        fence: fence of the ticket
        reason: why, for the log (by default "")
        """
        given = {"job_id": job_id, "fence": fence, "reason": reason}
        return self.ask(Released, "release_job", given, idempotent=False, wait=0.0)

    def run_chunk(
        self, job_id: str, fence: int, steps: int | None = None, wait_seconds: float | None = None,
    ) -> Ran:
        """Train the next chunk of a claimed job on the server's engine, score it, store the sample, then answer.

        Call it again while the decision's action is "continue". If the answer got lost, call it again: a chunk that
        still runs is waited for, not started twice. Long chunks: a call that waited wait_seconds is answered
        chunk_running.

        job_id: job_id of the ticket
        fence: fence of the ticket
        steps: optimizer steps; leave out for the ticket's chunk
        wait_seconds: longest wait for the answer (by default 600.0)
        """
        given = {"job_id": job_id, "fence": fence, "steps": steps, "wait_seconds": wait_seconds}
        return self.ask(
            Ran, "run_chunk", given, idempotent=False, wait=600.0 if wait_seconds is None else wait_seconds,
        )

    def wait_run_chunk(self, job_id: str, fence: int, steps: int | None = None, seconds: float = 3600.0) -> Ran:
        """`run_chunk` in calls that no proxy cuts short. Raises Refused (chunk_running) after so many seconds."""
        return self.until_done(
            seconds, lambda left: self.run_chunk(job_id=job_id, fence=fence, steps=steps, wait_seconds=left),
        )

    def run_entry(
        self, entry: str, track: str, seeds: Sequence[int] | None = None, wait_seconds: float | None = None,
    ) -> EntryRuns:
        """Train an entry and let it predict held-out text, once a seed, in the sandbox of a runner.

        A run that is still open is answered, not started twice; the first verdict on each seed is the one that
        ranks. Ask again, or entry_status, until no run is queued or leased.

        entry: id of the entry
        track: name of the race
        seeds: leave out for the track's seeds, the only ones that rank
        wait_seconds: longest wait for the verdicts (by default 0.0)
        """
        given = {"entry": entry, "track": track, "seeds": seeds, "wait_seconds": wait_seconds}
        return self.ask(
            EntryRuns, "run_entry", given, idempotent=False, wait=0.0 if wait_seconds is None else wait_seconds,
        )

    def submit_entry(
        self, name: str, script: str, sha256: str, env: Mapping[str, str] | None = None, golden_state: str | None =
        None,
    ) -> EntrySubmitted:
        """Store a script that is to train and predict in the sandbox. sha256 is that of the script's UTF-8 bytes.

        The same name, script and environment are one entry: submitting it again changes nothing. Next: run_entry.

        name: name of the entry on the board
        script: the whole Python script
        sha256: SHA-256, 64 hexadecimal characters
        env: environment variables that the script is given
        golden_state: hash of the tensors that it writes at a fixed seed; a trial compares
        """
        given = {"name": name, "script": script, "sha256": sha256, "env": env, "golden_state": golden_state}
        return self.ask(EntrySubmitted, "submit_entry", given, idempotent=True, wait=0.0)

    def submit_job(self, race: str, recipe: Mapping[str, Any], priority: int | None = None) -> Submitted:
        """Queue a recipe: one job for each seed of the race, at its first rung. Submitting it again changes nothing.

        An unknown race name creates the race with the default corpus, budget and seeds. Next: claim_job.

        race: name of the race
        recipe: flat object of recipe fields; {} is the default recipe
        priority: 0 to 100; higher is claimed first (by default 50)
        """
        given = {"race": race, "recipe": recipe, "priority": priority}
        return self.ask(Submitted, "submit_job", given, idempotent=True, wait=0.0)

    def write_bpb(
        self, job_id: str, fence: int, samples: Sequence[SampleFields | Sample], effective_digest: str, receipt:
        Mapping[str, Any] | None = None, checkpoint: str | None = None, environment: str | None = None,
    ) -> Written:
        """Report samples of a claimed job; it renews the lease and answers whether the run goes on.

        After run_chunk the samples are stored already and this call confirms them (duplicates). Numbers that igla
        did not measure are stored as claimed: they are shown apart and never enter a rank, a gate or a payout. A
        claimed sample with an uploaded checkpoint is measured by the server's scorer soon after; a sample that an
        enrolled worker signed, sent with a token of scope measure, is measured at once.

        job_id: job_id of the ticket
        fence: fence of the ticket
        samples
        effective_digest: recipe digest that the engine echoed
        receipt: receipt of run_chunk, or one that an enrolled worker signed
        checkpoint: artifact that the last sample was taken on
        environment: where a worker elsewhere trained
        """
        given = {
            "job_id": job_id, "fence": fence, "samples": samples, "effective_digest": effective_digest, "receipt":
            receipt, "checkpoint": checkpoint, "environment": environment,
        }
        return self.ask(Written, "write_bpb", given, idempotent=True, wait=0.0)


class AsyncClient(AsyncCore):
    """One method for each tool, in alphabetical order."""

    async def claim_job(
        self, worker: str, race: str | None = None, n: int | None = None, environment: str | None = None,
    ) -> Claimed:
        """See `Client.claim_job`."""
        given = {"worker": worker, "race": race, "n": n, "environment": environment}
        return await self.ask(Claimed, "claim_job", given, idempotent=False, wait=0.0)

    async def deploy(
        self, action: Literal["plan", "apply", "status"], account: str, template: str | None = None, seeds:
        Sequence[int] | None = None, plan_hash: str | None = None, confirm: bool | None = None,
    ) -> Deployed:
        """See `Client.deploy`."""
        given = {
            "action": action, "account": account, "template": template, "seeds": seeds, "plan_hash": plan_hash,
            "confirm": confirm,
        }
        return await self.ask(Deployed, "deploy", given, idempotent=True, wait=0.0)

    async def entry_status(
        self, entry: str | None = None, run: str | None = None, limit: int | None = None,
    ) -> EntryStatus:
        """See `Client.entry_status`."""
        given = {"entry": entry, "run": run, "limit": limit}
        return await self.ask(EntryStatus, "entry_status", given, idempotent=True, wait=0.0)

    async def glossary(self, term: str | None = None) -> Glossary:
        """See `Client.glossary`."""
        given = {"term": term}
        return await self.ask(Glossary, "glossary", given, idempotent=True, wait=0.0)

    async def heartbeat(self, job_id: str, fence: int) -> Renewed:
        """See `Client.heartbeat`."""
        given = {"job_id": job_id, "fence": fence}
        return await self.ask(Renewed, "heartbeat", given, idempotent=True, wait=0.0)

    async def job_status(self, job_id: str, points: int | None = None) -> JobStatus:
        """See `Client.job_status`."""
        given = {"job_id": job_id, "points": points}
        return await self.ask(JobStatus, "job_status", given, idempotent=True, wait=0.0)

    async def leaderboard(
        self, race: str, limit: int | None = None, cursor: str | None = None, provenance: Literal["measured",
        "claimed", "verified"] | None = None, by: Literal["format,optimizer"] | None = None,
    ) -> Board:
        """See `Client.leaderboard`."""
        given = {"race": race, "limit": limit, "cursor": cursor, "provenance": provenance, "by": by}
        return await self.ask(Board, "leaderboard", given, idempotent=True, wait=0.0)

    async def iter_leaderboard(
        self, race: str, limit: int | None = None, provenance: Literal["measured", "claimed", "verified"] | None =
        None, by: Literal["format,optimizer"] | None = None,
    ) -> AsyncIterator[Row]:
        """Every row of `leaderboard`, page after page."""
        cursor = None
        while True:
            page = await self.leaderboard(race=race, limit=limit, cursor=cursor, provenance=provenance, by=by)
            for row in page.rows:
                yield row
            cursor = page.next_cursor
            if cursor is None:
                return

    async def plan_race(self, plan: PlanFields, race: str, dry_run: bool | None = None) -> Planned:
        """See `Client.plan_race`."""
        given = {"plan": plan, "race": race, "dry_run": dry_run}
        return await self.ask(Planned, "plan_race", given, idempotent=True, wait=0.0)

    async def prune(
        self, job_id: str | None = None, race: str | None = None, dry_run: bool | None = None,
    ) -> Pruned:
        """See `Client.prune`."""
        given = {"job_id": job_id, "race": race, "dry_run": dry_run}
        return await self.ask(Pruned, "prune", given, idempotent=True, wait=0.0)

    async def release_job(self, job_id: str, fence: int, reason: str | None = None) -> Released:
        """See `Client.release_job`."""
        given = {"job_id": job_id, "fence": fence, "reason": reason}
        return await self.ask(Released, "release_job", given, idempotent=False, wait=0.0)

    async def run_chunk(
        self, job_id: str, fence: int, steps: int | None = None, wait_seconds: float | None = None,
    ) -> Ran:
        """See `Client.run_chunk`."""
        given = {"job_id": job_id, "fence": fence, "steps": steps, "wait_seconds": wait_seconds}
        return await self.ask(
            Ran, "run_chunk", given, idempotent=False, wait=600.0 if wait_seconds is None else wait_seconds,
        )

    async def wait_run_chunk(
        self, job_id: str, fence: int, steps: int | None = None, seconds: float = 3600.0,
    ) -> Ran:
        """`run_chunk` in calls that no proxy cuts short. Raises Refused (chunk_running) after so many seconds."""
        return await self.until_done(
            seconds, lambda left: self.run_chunk(job_id=job_id, fence=fence, steps=steps, wait_seconds=left),
        )

    async def run_entry(
        self, entry: str, track: str, seeds: Sequence[int] | None = None, wait_seconds: float | None = None,
    ) -> EntryRuns:
        """See `Client.run_entry`."""
        given = {"entry": entry, "track": track, "seeds": seeds, "wait_seconds": wait_seconds}
        return await self.ask(
            EntryRuns, "run_entry", given, idempotent=False, wait=0.0 if wait_seconds is None else wait_seconds,
        )

    async def submit_entry(
        self, name: str, script: str, sha256: str, env: Mapping[str, str] | None = None, golden_state: str | None =
        None,
    ) -> EntrySubmitted:
        """See `Client.submit_entry`."""
        given = {"name": name, "script": script, "sha256": sha256, "env": env, "golden_state": golden_state}
        return await self.ask(EntrySubmitted, "submit_entry", given, idempotent=True, wait=0.0)

    async def submit_job(self, race: str, recipe: Mapping[str, Any], priority: int | None = None) -> Submitted:
        """See `Client.submit_job`."""
        given = {"race": race, "recipe": recipe, "priority": priority}
        return await self.ask(Submitted, "submit_job", given, idempotent=True, wait=0.0)

    async def write_bpb(
        self, job_id: str, fence: int, samples: Sequence[SampleFields | Sample], effective_digest: str, receipt:
        Mapping[str, Any] | None = None, checkpoint: str | None = None, environment: str | None = None,
    ) -> Written:
        """See `Client.write_bpb`."""
        given = {
            "job_id": job_id, "fence": fence, "samples": samples, "effective_digest": effective_digest, "receipt":
            receipt, "checkpoint": checkpoint, "environment": environment,
        }
        return await self.ask(Written, "write_bpb", given, idempotent=True, wait=0.0)
