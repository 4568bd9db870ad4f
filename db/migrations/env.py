"""Runs the migrations on the connection that `db.migrate` hands over."""

from alembic import context
from sqlmodel import SQLModel

import db.models  # fills the metadata
import db.resumable  # noqa: F401  # teaches alembic to go on from where it was ended
from db.engines.older import IMPORTS

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=SQLModel.metadata,
    compare_type=True,
    # SQLite changes a table by copying it.
    render_as_batch=True,
    # The import's own table is of no model.
    include_name=lambda name, kind, parents: kind != "table" or name != IMPORTS,
    before_statement=attributes["before_statement"],
)
with context.begin_transaction():
    context.run_migrations()
