"""Finished jobs with a claimed number are found by an index: a rung asks for them whenever a recipe is through.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CLAIMED = sa.text("state = 'done' AND provenance = 'claimed'")


def upgrade() -> None:
    """0003 -> 0004."""
    columns = ["race_id", "rung", "recipe_digest"]
    op.create_index("ix_job_claimed", "job", columns, sqlite_where=CLAIMED, postgresql_where=CLAIMED)


def downgrade() -> None:
    """0004 -> 0003."""
    op.drop_index("ix_job_claimed", "job")
