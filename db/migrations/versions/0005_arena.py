"""The arena: entries, and the runs that were asked for and what was found of them.

Revision: 0005
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def column(
    name: str, kind: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]], *, null: bool = False
) -> sa.Column[Any]:
    """A column, NOT NULL unless it says so."""
    return sa.Column(name, kind, nullable=null)


def rule(name: str, text: str) -> sa.CheckConstraint:
    """What must hold of a run."""
    return sa.CheckConstraint(text, name=op.f(f"ck_entry_run_{name}"))


def only(where: str) -> dict[str, Any]:
    """What makes an index partial, on both engines."""
    return {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}


RULES = {
    "state": "state IN ('queued', 'leased', 'done', 'failed')",
    "heldout": "heldout IN ('public', 'private')",
    "provenance": "provenance IN ('measured', 'claimed', 'verified')",
    "mode": "mode IN ('predict', 'block', 'log')",
    "bpb_finite": "bpb >= 0 AND bpb < 1e308",
    "nll_sum_finite": "nll_sum >= 0 AND nll_sum < 1e308",
    "byte_count": "byte_count > 0",
    "lease": "(state = 'leased') = (lease_expires_at IS NOT NULL)",
    "failed": "(state = 'failed') = (failed IS NOT NULL)",
    "provenance_known": "(state = 'done') = (provenance IS NOT NULL)",
    "measured_number": "state <> 'done' OR bpb IS NOT NULL",
    "measured": "provenance <> 'measured' OR (heldout = 'private' AND mode = 'predict')",
}


def upgrade() -> None:
    """0004 -> 0005."""
    op.create_table(
        "entry",
        column("id", sa.String),
        column("name", sa.String),
        column("script", sa.String),
        column("env", sa.Text),
        column("golden_state", sa.String, null=True),
        column("submitted_by", sa.String),
        column("created_at", MOMENT),
        sa.ForeignKeyConstraint(["script"], ["artifact.digest"], name=op.f("fk_entry_script")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
    )
    op.create_index("ix_entry_script", "entry", ["script"])
    op.create_table(
        "entry_run",
        *(column(name, sa.String) for name in ("id", "entry_id", "track", "contest", "corpus", "heldout")),
        column("limits", sa.Text),
        column("seed", sa.BigInteger),
        column("state", sa.String),
        column("fence", sa.BigInteger),
        column("deliveries", sa.Integer),
        column("runner", sa.String, null=True),
        column("lease_expires_at", MOMENT, null=True),
        column("requested_by", sa.String),
        column("created_at", MOMENT),
        column("finished_at", MOMENT, null=True),
        column("provenance", sa.String, null=True),
        column("mode", sa.String, null=True),
        column("bpb", sa.Float, null=True),
        column("nll_sum", sa.Float, null=True),
        *(column(name, sa.BigInteger, null=True) for name in ("byte_count", "code_bytes", "artifact_bytes")),
        *(column(name, sa.Float, null=True) for name in ("train_seconds", "predict_seconds")),
        column("failed", sa.String, null=True),
        *(column(name, sa.Text, null=True) for name in ("checks", "log_tail")),
        *(column(name, sa.String, null=True) for name in ("golden_state", "measured_by")),
        column("receipt", sa.Text, null=True),
        *(rule(name, text) for name, text in RULES.items()),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_entry_run_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry_run")),
    )
    is_open = only("state = 'queued' OR state = 'leased'")
    op.create_index("ix_entry_run_open", "entry_run", ["created_at", "seed", "id"], **is_open)
    op.create_index("uq_entry_run_open", "entry_run", ["entry_id", "contest", "seed"], unique=True, **is_open)
    op.create_index("ix_entry_run_entry", "entry_run", ["entry_id", "created_at"])
    op.create_index("ix_entry_run_contest", "entry_run", ["contest"], **only("state = 'done' OR state = 'failed'"))


def downgrade() -> None:
    """0005 -> 0004."""
    op.drop_table("entry_run")
    op.drop_table("entry")
