"""How much a request's variables may hold: graphql-core walks through all of it."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

MAX_DEPTH = 20
MAX_VALUES = 2_000


def find_excess(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """Return the error of a variable that is deeper, or holds more, than any argument needs."""
    for name, value in (variables or {}).items():
        waiting, depth, values = [value], 0, 0
        while waiting:
            lists = [item for item in waiting if isinstance(item, list)]
            objects = [item for item in waiting if isinstance(item, dict)]
            values += sum(map(len, lists)) + sum(map(len, objects))
            depth += 1
            if values > MAX_VALUES or depth > MAX_DEPTH:
                return GraphQLError(
                    f"The variable ${name[:100]} is too deep or has too many values"
                )
            waiting = [item for found in lists for item in found]
            waiting += [item for found in objects for item in found.values()]
    return None
