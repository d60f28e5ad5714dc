"""Sessions of browsers that have signed in to the dashboard.

Revision: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """0011 -> 0012."""
    op.create_table(
        "web_session",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("parent", sa.String, nullable=True),
        sa.Column("parent_digest", sa.String, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["token.prefix"], name=op.f("fk_web_session_parent")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_web_session")),
    )


def downgrade() -> None:
    """0012 -> 0011."""
    op.drop_table("web_session")
