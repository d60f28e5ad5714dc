"""Abandoned jobs are taken over in the order of priority and of the ends of their leases.

Revision: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

RUNNING = sa.text("state = 'running'")
OLD: list[str | sa.TextClause] = [sa.text("priority DESC"), "position"]
NEW: list[str | sa.TextClause] = [sa.text("priority DESC"), "lease_expires_at", "position"]


def upgrade() -> None:
    """0005 -> 0006."""
    replace_indexes(NEW)


def downgrade() -> None:
    """0006 -> 0005."""
    replace_indexes(OLD)


def replace_indexes(order: list[str | sa.TextClause]) -> None:
    """The two indexes of running jobs in another order."""
    for name, columns in (("ix_job_running_next", order), ("ix_job_running_race", ["race_id", *order])):
        op.drop_index(name, "job")
        op.create_index(name, "job", columns, sqlite_where=RUNNING, postgresql_where=RUNNING)
