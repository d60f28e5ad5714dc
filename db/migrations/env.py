"""Alembic's entry: run the scripts on the connection, and in the transaction, that `db.migrate` hands over."""

from alembic import context

from db import tables_observing
from db.tables import Base

assert tables_observing.METER is not None  # its tables belong to the catalogue too

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
