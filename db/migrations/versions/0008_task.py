"""Tasks: handles on long calls, bound to who made them.

Revision: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """0007 -> 0008."""
    op.create_table(
        "task",
        *(sa.Column(name, sa.String, nullable=False) for name in ("id", "principal", "tool")),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("answer", sa.Text, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("cancelled_at", MOMENT, nullable=True),
        sa.CheckConstraint("(answer IS NULL) = (finished_at IS NULL)", name=op.f("ck_task_answer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
    )


def downgrade() -> None:
    """0008 -> 0007."""
    op.drop_table("task")
