"""Observing: request ids of jobs and chunk requests, counters of all processes, last log lines of failed runs.

Revision: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ADDED = (("job", "request_id"), ("chunk_request", "request_id"), ("chunk_request", "traceparent"))


def upgrade() -> None:
    """0009 -> 0010."""
    for table, name in ADDED:
        op.add_column(table, sa.Column(name, sa.String, nullable=True))
    op.add_column("chunk_request", sa.Column("given_back", sa.Integer, nullable=False, server_default="0"))
    op.add_column("score_request", sa.Column("given_back", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "meter",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("labels", sa.String, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name=op.f("pk_meter")),
    )
    op.create_table(
        "job_log",
        sa.Column("job_id", sa.String, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_job_log_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_log")),
    )


def downgrade() -> None:
    """0010 -> 0009."""
    op.drop_table("job_log")
    op.drop_table("meter")
    for table in ("score_request", "chunk_request"):
        op.drop_column(table, "given_back")
    for table, name in reversed(ADDED):
        op.drop_column(table, name)
