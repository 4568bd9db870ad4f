"""Runs the migrations on the connection that `db.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

import db.models  # noqa: F401  # fills the metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
    # SQLite changes a table by copying it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
