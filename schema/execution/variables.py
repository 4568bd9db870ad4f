"""How much a request's variables may hold, where graphql-core has to walk through them."""

from typing import Any

from graphql import GraphQLError

from schema.execution.documents import RequestRefused

MAX_DEPTH = 20
MAX_VALUES = 2_000


def check_amounts(variables: dict[str, Any] | None) -> None:
    """Raise RequestRefused for a variable that is deeper, or holds more, than anything takes."""
    for name, value in (variables or {}).items():
        waiting, depth, values = [value], 0, 0
        while waiting:
            lists = [item for item in waiting if isinstance(item, list)]
            objects = [item for item in waiting if isinstance(item, dict)]
            values += sum(map(len, lists)) + sum(map(len, objects))
            depth += 1
            if values > MAX_VALUES or depth > MAX_DEPTH:
                raise RequestRefused.of(
                    GraphQLError(f"The variable ${name[:100]} is too deep or has too many values")
                )
            waiting = [item for found in lists for item in found]
            waiting += [item for found in objects for item in found.values()]
