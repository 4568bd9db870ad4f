"""GraphQL requests with files: the GraphQL multipart request specification (Jayden Seric, v2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.requests import Request

from resolvers.attachments.forms import Form, ReceivedFile, field_instead, receive_form
from resolvers.context import Context
from resolvers.errors import BadInput
from schema.execution.requests import GraphQLRequest
from server.json_input import read_json_as
from server.multipart import MultipartBody

# A form on any web page can send a multipart body, but none of these headers: before a script may
# send one to another site, its browser asks that site (CORS preflight).
PREFLIGHT_HEADERS = (
    "graphql-preflight",
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
)
MAX_FILES = 4

Paths = dict[str, list[str]]


def check_preflight(request: Request) -> None:
    """Raise BadInput for a request that a form on any web page could send."""
    if not any(request.headers.get(name) for name in PREFLIGHT_HEADERS):
        raise BadInput(
            "A multipart request must have the header GraphQL-Preflight: 1"
            " (or Apollo-Require-Preflight), so that no form of another site can send it"
        )


def not_a_request(error: msgspec.ValidationError) -> BadInput:
    """Return the error of JSON that is no GraphQL request."""
    if str(error) == "Expected `object`, got `array`":  # deeper in the JSON, the text has a path
        return BadInput("Batches are not served: send one operation in each request")
    return BadInput(f"Not a GraphQL request: {error}")


def require_document(request: GraphQLRequest) -> GraphQLRequest:
    """Return the request if it says what to execute. Raises msgspec.ValidationError."""
    if not request.has_document:
        raise msgspec.ValidationError("Object missing required field `query`")
    return request


@asynccontextmanager
async def read_multipart(ctx: Context, request: Request) -> AsyncIterator[GraphQLRequest]:
    """Read the request in a multipart body. Its files are removed when the context ends.

    Raises BadInput, and what `receive_form` raises.
    """
    body = request.scope.get("extensions", {}).get("parley.body")
    if body is not None:  # another server than ours has none
        body["streams"]()  # the body goes to the disk, and is not held in memory
    form_body = MultipartBody(request.headers, request.stream())
    async with receive_form(ctx, form_body, max_files=MAX_FILES) as form:
        try:
            parameters = require_document(read_json_as(_field(form, "operations"), GraphQLRequest))
            paths = read_json_as(_field(form, "map"), Paths)
        except msgspec.ValidationError as error:
            raise not_a_request(error) from error
        except (ValueError, RecursionError) as error:
            raise BadInput(f"`operations` or `map` is not valid JSON: {error}") from error
        _place_files(parameters, paths, form)
        yield parameters


def _field(form: Form, name: str) -> str:
    if name not in form.fields:
        raise BadInput(f"The multipart request has no field `{name}`")
    return form.fields[name]


def _place_files(parameters: GraphQLRequest, paths: Paths, form: Form) -> None:
    files = form.files
    if unmapped := files.keys() - paths.keys():
        raise BadInput(f"`map` does not say where the file {min(unmapped)!r} belongs")
    for name, places in paths.items():
        if name not in files:
            why = field_instead(name) if name in form.fields else "it was not sent"
            raise BadInput(f"`map` names the file {name!r}, but {why}")
        for place in places:
            _place({"variables": parameters.variables}, place.split("."), files[name])


def _place(target: Any, path: list[str], file: ReceivedFile) -> None:
    *parents, last = path
    try:
        for key in parents:
            target = target[_key(target, key)]
        key_ = _key(target, last)
        empty = target[key_] is None and target is not None
    except (LookupError, TypeError, ValueError):
        empty = False
    if not empty or len(path) < 2:
        raise BadInput(f"`map` names {'.'.join(path)!r}, where `operations` has no null")
    target[key_] = file


def _key(target: Any, key: str) -> str | int:
    return int(key) if isinstance(target, list) else key
