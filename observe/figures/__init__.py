"""What this process reports, read from what its parts hold when it is asked for."""

from observe.families import Report
from observe.figures.callers import callers
from observe.figures.connections import connections
from observe.figures.log import log
from observe.figures.process import process
from observe.figures.stores import stores
from resolvers.context import Context


def figures(ctx: Context) -> Report:
    """Return the figures of this process."""
    return [*process(), *connections(ctx), *log(ctx), *callers(ctx), *stores(ctx)]
