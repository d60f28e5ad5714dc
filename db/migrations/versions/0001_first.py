"""The first tables.

Revision: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def column(
    name: str, kind: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]], *, null: bool = False
) -> sa.Column[Any]:
    """A column, NOT NULL unless it says so."""
    return sa.Column(name, kind, nullable=null)


def only(where: str) -> dict[str, Any]:
    """What makes an index partial, on both engines."""
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


def upgrade() -> None:
    """Nothing -> 0001."""
    op.create_table(
        "artifact",
        column("digest", sa.String),
        column("kind", sa.String),
        column("byte_count", sa.BigInteger),
        column("created_at", MOMENT),
        column("removed_at", MOMENT, null=True),
        sa.CheckConstraint("byte_count >= 0", name=op.f("ck_artifact_byte_count")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_artifact")),
    )
    op.create_table(
        "race",
        column("id", sa.String),
        column("name", sa.String),
        column("corpus", sa.String),
        column("corpus_name", sa.String),
        column("heldout", sa.String),
        column("budget_bytes", sa.BigInteger),
        column("seeds", sa.Text),
        column("warmup_fraction", sa.Float),
        column("rungs", sa.Text),
        column("chunks", sa.Text),
        column("eta", sa.Integer),
        column("quorum", sa.Integer),
        column("pruner", sa.String),
        column("sanity", sa.Text),
        column("created_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_race")),
        sa.UniqueConstraint("name", name=op.f("uq_race_name")),
    )
    op.create_table(
        "recipe",
        column("digest", sa.String),
        column("name", sa.String),
        column("canonical", sa.Text),
        column("created_by", sa.String),
        column("created_at", MOMENT),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_recipe")),
    )
    op.create_table(
        "token",
        column("prefix", sa.String),
        column("digest", sa.String),
        column("name", sa.String),
        column("scopes", sa.Text),
        column("created_at", MOMENT),
        column("expires_at", MOMENT, null=True),
        column("revoked_at", MOMENT, null=True),
        sa.PrimaryKeyConstraint("prefix", name=op.f("pk_token")),
    )
    op.create_table(
        "worker",
        column("kind", sa.String),
        column("name", sa.String),
        column("first_seen", MOMENT),
        column("last_seen", MOMENT),
        column("detail", sa.String),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_worker")),
    )
    op.create_index("ix_worker_last_seen", "worker", ["kind", "last_seen"])
    op.create_table(
        "lesson",
        column("id", sa.Integer),
        column("race_id", sa.String, null=True),
        column("title", sa.String),
        column("body", sa.Text),
        column("created_by", sa.String),
        column("created_at", MOMENT),
        sa.ForeignKeyConstraint(["race_id"], ["race.id"], name=op.f("fk_lesson_race_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lesson")),
    )
    op.create_table(
        "rung",
        column("race_id", sa.String),
        column("rung", sa.Integer),
        column("numerator", sa.Integer),
        column("denominator", sa.Integer),
        column("chunks", sa.Integer),
        column("recipes", sa.Integer),
        sa.CheckConstraint("numerator > 0 AND denominator > 0 AND chunks > 0", name=op.f("ck_rung_positive")),
        sa.ForeignKeyConstraint(["race_id"], ["race.id"], name=op.f("fk_rung_race_id")),
        sa.PrimaryKeyConstraint("race_id", "rung", name=op.f("pk_rung")),
    )
    op.create_table(
        "job",
        column("id", sa.String),
        column("race_id", sa.String),
        column("recipe_digest", sa.String),
        column("seed", sa.BigInteger),
        column("rung", sa.Integer),
        column("state", sa.String),
        column("priority", sa.Integer),
        column("total_steps", sa.BigInteger),
        column("last_step", sa.BigInteger),
        column("checkpoint_step", sa.BigInteger),
        column("checkpoint", sa.String, null=True),
        column("environment", sa.String, null=True),
        column("final_bpb", sa.Float, null=True),
        column("provenance", sa.String, null=True),
        column("fence", sa.BigInteger),
        column("worker", sa.String, null=True),
        column("lease_expires_at", MOMENT, null=True),
        column("attempt", sa.Integer),
        column("barren", sa.Integer),
        column("fruitful", sa.Boolean),
        column("reason", sa.String, null=True),
        column("created_by", sa.String),
        column("created_at", MOMENT),
        column("started_at", MOMENT, null=True),
        column("finished_at", MOMENT, null=True),
        sa.CheckConstraint("(state = 'done') = (final_bpb IS NOT NULL)", name=op.f("ck_job_final")),
        sa.CheckConstraint("(state = 'running') = (lease_expires_at IS NOT NULL)", name=op.f("ck_job_lease")),
        sa.CheckConstraint("provenance IN ('measured', 'claimed', 'verified')", name=op.f("ck_job_provenance")),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'pruned', 'errored', 'cancelled')", name=op.f("ck_job_state")
        ),
        sa.CheckConstraint("checkpoint_step <= last_step AND last_step <= total_steps", name=op.f("ck_job_steps")),
        sa.CheckConstraint("final_bpb >= 0 AND final_bpb < 1e308", name=op.f("ck_job_final_bpb_finite")),
        sa.CheckConstraint("priority BETWEEN 0 AND 100", name=op.f("ck_job_priority")),
        sa.ForeignKeyConstraint(["race_id", "rung"], ["rung.race_id", "rung.rung"], name="fk_job_rung"),
        sa.ForeignKeyConstraint(["recipe_digest"], ["recipe.digest"], name=op.f("fk_job_recipe_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("race_id", "rung", "recipe_digest", "seed", name=op.f("uq_job_race_id")),
    )
    op.create_index("ix_job_checkpoint", "job", ["checkpoint"], **only("checkpoint IS NOT NULL"))
    op.create_index("ix_job_done", "job", ["race_id", "rung", "finished_at"], **only("state = 'done'"))
    op.create_index("ix_job_queued", "job", [sa.text("priority DESC"), "created_at", "id"], **only("state = 'queued'"))
    op.create_index(
        "ix_job_queued_race",
        "job",
        ["race_id", sa.text("priority DESC"), "created_at", "id"],
        **only("state = 'queued'"),
    )
    op.create_index("ix_job_running", "job", ["lease_expires_at"], **only("state = 'running'"))
    op.create_index("ix_job_running_race", "job", ["race_id", "lease_expires_at"], **only("state = 'running'"))
    op.create_table(
        "standing",
        column("race_id", sa.String),
        column("rung", sa.Integer),
        column("recipe_digest", sa.String),
        column("provenance", sa.String),
        column("mean", sa.Float, null=True),
        column("sd", sa.Float, null=True),
        column("n", sa.Integer),
        column("bpbs", sa.Text),
        column("promoted", sa.Boolean),
        column("created_at", MOMENT),
        sa.CheckConstraint("provenance IN ('measured', 'claimed', 'verified')", name=op.f("ck_standing_provenance")),
        sa.CheckConstraint("(mean IS NULL) = (sd IS NULL)", name=op.f("ck_standing_whole")),
        sa.CheckConstraint("mean >= 0 AND mean < 1e308", name=op.f("ck_standing_mean_finite")),
        sa.ForeignKeyConstraint(["race_id", "rung"], ["rung.race_id", "rung.rung"], name="fk_standing_rung"),
        sa.ForeignKeyConstraint(["recipe_digest"], ["recipe.digest"], name=op.f("fk_standing_recipe_digest")),
        sa.PrimaryKeyConstraint("race_id", "rung", "recipe_digest", name=op.f("pk_standing")),
    )
    op.create_index(
        "ix_standing_rank", "standing", ["race_id", "provenance", sa.text("rung DESC"), "mean", "recipe_digest"]
    )
    op.create_table(
        "chunk_request",
        column("id", sa.String),
        column("job_id", sa.String),
        column("job_fence", sa.BigInteger),
        column("steps", sa.BigInteger, null=True),
        column("state", sa.String),
        column("fence", sa.BigInteger),
        column("engine", sa.String, null=True),
        column("lease_expires_at", MOMENT, null=True),
        column("result", sa.Text, null=True),
        column("error_code", sa.String, null=True),
        column("error", sa.Text, null=True),
        column("created_at", MOMENT),
        column("finished_at", MOMENT, null=True),
        sa.CheckConstraint("(state = 'leased') = (lease_expires_at IS NOT NULL)", name=op.f("ck_chunk_request_lease")),
        sa.CheckConstraint("state IN ('queued', 'leased', 'done', 'failed')", name=op.f("ck_chunk_request_state")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_chunk_request_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunk_request")),
    )
    op.create_index(
        "ix_chunk_request_open", "chunk_request", ["created_at", "id"], **only("state = 'queued' OR state = 'leased'")
    )
    op.create_index(
        "uq_chunk_request_open",
        "chunk_request",
        ["job_id", "job_fence"],
        unique=True,
        **only("state = 'queued' OR state = 'leased'"),
    )
    op.create_table(
        "decision",
        column("id", sa.Integer),
        column("race_id", sa.String),
        column("job_id", sa.String, null=True),
        column("recipe_digest", sa.String),
        column("rung", sa.Integer),
        column("action", sa.String),
        column("reason", sa.String),
        column("numbers", sa.Text),
        column("created_at", MOMENT),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_decision_job_id")),
        sa.ForeignKeyConstraint(["race_id"], ["race.id"], name=op.f("fk_decision_race_id")),
        sa.ForeignKeyConstraint(["recipe_digest"], ["recipe.digest"], name=op.f("fk_decision_recipe_digest")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decision")),
    )
    op.create_index("ix_decision_race", "decision", ["race_id", "id"])
    op.create_index("ix_decision_recipe", "decision", ["recipe_digest", "race_id", "rung"])
    op.create_table(
        "sample",
        column("job_id", sa.String),
        column("step", sa.BigInteger),
        column("bpb", sa.Float),
        column("nll_sum", sa.Float),
        column("byte_count", sa.BigInteger),
        column("ema", sa.Float),
        column("provenance", sa.String),
        column("checkpoint", sa.String, null=True),
        column("environment", sa.String, null=True),
        column("receipt", sa.Text, null=True),
        column("attempt", sa.Integer),
        column("created_at", MOMENT),
        sa.CheckConstraint("provenance IN ('measured', 'claimed', 'verified')", name=op.f("ck_sample_provenance")),
        sa.CheckConstraint("bpb >= 0 AND bpb < 1e308", name=op.f("ck_sample_bpb_finite")),
        sa.CheckConstraint("ema >= 0 AND ema < 1e308", name=op.f("ck_sample_ema_finite")),
        sa.CheckConstraint("nll_sum >= 0 AND nll_sum < 1e308", name=op.f("ck_sample_nll_sum_finite")),
        sa.CheckConstraint("step > 0 AND byte_count > 0", name=op.f("ck_sample_positive")),
        sa.ForeignKeyConstraint(["checkpoint"], ["artifact.digest"], name=op.f("fk_sample_checkpoint")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_sample_job_id")),
        sa.PrimaryKeyConstraint("job_id", "step", name=op.f("pk_sample")),
    )
    op.create_table(
        "superseded_sample",
        column("id", sa.Integer),
        column("job_id", sa.String),
        column("step", sa.BigInteger),
        column("bpb", sa.Float),
        column("nll_sum", sa.Float),
        column("byte_count", sa.BigInteger),
        column("ema", sa.Float),
        column("provenance", sa.String),
        column("checkpoint", sa.String, null=True),
        column("environment", sa.String, null=True),
        column("receipt", sa.Text, null=True),
        column("attempt", sa.Integer),
        column("created_at", MOMENT),
        column("reason", sa.String),
        column("superseded_at", MOMENT),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_superseded_sample_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_superseded_sample")),
    )
    op.create_index("ix_superseded_sample_job", "superseded_sample", ["job_id", "step"])


def downgrade() -> None:
    """0001 -> nothing."""
    for name in [
        "superseded_sample",
        "sample",
        "decision",
        "chunk_request",
        "standing",
        "job",
        "rung",
        "lesson",
        "worker",
        "token",
        "recipe",
        "race",
        "artifact",
    ]:
        op.drop_table(name)
