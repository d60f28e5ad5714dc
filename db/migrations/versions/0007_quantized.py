"""A sample, and a standing by its samples, say what rounding to number formats did.

Revision: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("sample", "superseded_sample", "standing")


def upgrade() -> None:
    """0006 -> 0007."""
    for table in TABLES:
        op.add_column(table, sa.Column("quantized", sa.Text, nullable=True))


def downgrade() -> None:
    """0007 -> 0006."""
    for table in TABLES:
        op.drop_column(table, "quantized")
