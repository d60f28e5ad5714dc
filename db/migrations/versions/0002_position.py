"""Jobs have a position: those submitted at one moment are claimed in the order of their submission. Counting is cheap.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

QUEUED, RUNNING = sa.text("state = 'queued'"), sa.text("state = 'running'")
ENDED = sa.text("state = 'pruned' OR state = 'errored' OR state = 'cancelled'")

NUMBERED = """
UPDATE job SET position = numbered.place
FROM (SELECT id, row_number() OVER (ORDER BY created_at, id) AS place FROM job) AS numbered WHERE numbered.id = job.id
"""


def upgrade() -> None:
    """0001 -> 0002."""
    op.add_column("job", sa.Column("position", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(NUMBERED)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE job_position")
        op.execute("SELECT setval('job_position', (SELECT coalesce(max(position), 0) + 1 FROM job), false)")
    replace_indexes([sa.text("priority DESC"), "position"], running=["race_id", sa.text("priority DESC"), "position"])
    partial_index("ix_job_running_next", [sa.text("priority DESC"), "position"], RUNNING)
    partial_index("ix_job_ended", ["race_id", "state"], ENDED)


def downgrade() -> None:
    """0002 -> 0001."""
    op.drop_index("ix_job_ended", "job")
    op.drop_index("ix_job_running_next", "job")
    replace_indexes([sa.text("priority DESC"), "created_at", "id"], running=["race_id", "lease_expires_at"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SEQUENCE job_position")
    op.drop_column("job", "position")


def replace_indexes(order: list[str | sa.TextClause], running: list[str | sa.TextClause]) -> None:
    """Make the indexes that claims walk anew."""
    for name, columns, where in (
        ("ix_job_queued", order, QUEUED),
        ("ix_job_queued_race", ["race_id", *order], QUEUED),
        ("ix_job_running_race", running, RUNNING),
    ):
        op.drop_index(name, "job")
        partial_index(name, columns, where)


def partial_index(name: str, columns: list[str | sa.TextClause], where: sa.TextClause) -> None:
    """An index of jobs over the rows in one state only, on both engines."""
    op.create_index(name, "job", columns, sqlite_where=where, postgresql_where=where)
