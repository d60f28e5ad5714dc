"""Who did what: audit and traffic; whose a claim is; when a token was last used.

Revision: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def texts(*names: str) -> list[sa.Column[str]]:
    """Columns of text."""
    return [sa.Column(name, sa.String, nullable=False) for name in names]


def upgrade() -> None:
    """0008 -> 0009."""
    op.add_column("token", sa.Column("last_used_at", MOMENT, nullable=True))
    op.add_column("job", sa.Column("claimed_by", sa.String, nullable=True))
    op.create_table(
        "audit",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        *texts("principal", "credential", "doorway", "action", "request_id"),
        sa.Column("subject", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_at", "audit", ["at"])
    op.create_index("ix_audit_principal", "audit", ["principal", "id"])
    op.create_table(
        "traffic",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("tool", sa.String, nullable=False),
        sa.Column("read_only", sa.Boolean, nullable=False),
        *texts("principal", "credential", "doorway", "request_id"),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("code", sa.String, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traffic")),
    )
    op.create_index("ix_traffic_at", "traffic", ["at"])


def downgrade() -> None:
    """0009 -> 0008."""
    op.drop_table("traffic")
    op.drop_table("audit")
    op.drop_column("job", "claimed_by")
    op.drop_column("token", "last_used_at")
