"""Remote workers: whose an artifact is, who measured a sample, keys of enrolled workers, scores asked for.

Revision: 0003
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
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
    """0002 -> 0003."""
    op.add_column("artifact", column("created_by", sa.String, null=True))
    op.add_column("artifact", column("offered_at", MOMENT, null=True))
    op.create_index(
        "ix_artifact_held", "artifact", ["created_by"], **only("created_by IS NOT NULL AND removed_at IS NULL")
    )
    for table in ("sample", "superseded_sample"):
        op.add_column(table, column("measured_by", sa.String, null=True))
    op.create_table(
        "enrolled",
        column("key_id", sa.String),
        column("name", sa.String),
        column("public_key", sa.String),
        column("created_at", MOMENT),
        column("revoked_at", MOMENT, null=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_enrolled")),
    )
    op.create_index("uq_enrolled_name", "enrolled", ["name"], unique=True, **only("revoked_at IS NULL"))
    op.create_table(
        "score_request",
        column("id", sa.String),
        column("job_id", sa.String),
        column("step", sa.BigInteger),
        column("checkpoint", sa.String),
        column("state", sa.String),
        column("fence", sa.BigInteger),
        column("scorer", sa.String, null=True),
        column("lease_expires_at", MOMENT, null=True),
        column("error_code", sa.String, null=True),
        column("error", sa.Text, null=True),
        column("created_at", MOMENT),
        column("finished_at", MOMENT, null=True),
        sa.CheckConstraint("(state = 'leased') = (lease_expires_at IS NOT NULL)", name=op.f("ck_score_request_lease")),
        sa.CheckConstraint("state IN ('queued', 'leased', 'done', 'failed')", name=op.f("ck_score_request_state")),
        sa.ForeignKeyConstraint(["checkpoint"], ["artifact.digest"], name=op.f("fk_score_request_checkpoint")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_score_request_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_score_request")),
    )
    is_open = only("state = 'queued' OR state = 'leased'")
    op.create_index("ix_score_request_open", "score_request", ["created_at", "id"], **is_open)
    op.create_index("ix_score_request_checkpoint", "score_request", ["checkpoint"], **is_open)


def downgrade() -> None:
    """0003 -> 0002."""
    for index in ("ix_score_request_checkpoint", "ix_score_request_open"):
        op.drop_index(index, "score_request")
    op.drop_table("score_request")
    op.drop_table("enrolled")
    for table in ("sample", "superseded_sample"):
        op.drop_column(table, "measured_by")
    op.drop_index("ix_artifact_held", "artifact")
    for name in ("offered_at", "created_by"):
        op.drop_column("artifact", name)
