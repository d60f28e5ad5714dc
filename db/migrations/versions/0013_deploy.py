"""Deploys: what keeps them off, and who carries one out.

Revision: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """0012 -> 0013."""
    op.create_table(
        "deploy",
        sa.Column("account", sa.String, nullable=False),
        sa.Column("off_since", MOMENT, nullable=True),
        sa.Column("off_by", sa.String, nullable=True),
        sa.Column("busy_until", MOMENT, nullable=True),
        sa.Column("busy_with", sa.String, nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_deploy")),
    )


def downgrade() -> None:
    """0013 -> 0012."""
    op.drop_table("deploy")
