"""GraphQL operations of any kind over one WebSocket that expects to be cut."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from tests.faults.wire import ANSWER_SECONDS, Cut, GraphQLClient, Refused

# The server may have done it, or may do it yet: only a second try tells.
UNCERTAIN = "INTERNAL"


class Caller(GraphQLClient):
    """Asks anything, and answers with its data."""

    async def call(self, document: str, variables: dict[str, Any]) -> Any:
        """Run an operation; return its data. Raises Cut, Refused."""
        id_ = str(next(self.ids))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.answers[id_] = answer
        await self.ask(id_, document, variables)
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        except TimeoutError as error:
            raise Cut from error

    async def watch_events(
        self, document: str, take: Callable[[dict[str, Any]], None], after: str
    ) -> None:
        """Follow `events` from a cursor on."""
        id_ = str(next(self.ids))
        self.streams[id_] = take
        await self.ask(id_, document, {"after": after})

    def _settle(self, answer: "asyncio.Future[Any]", message: dict[str, Any]) -> None:
        payload = message["payload"]
        errors = payload if message["type"] == "error" else payload.get("errors")
        if answer.done():
            return
        if errors:
            error = Refused(errors[0]["extensions"]["code"], errors[0]["message"])
            answer.set_exception(error)
            answer.exception()
        else:
            answer.set_result(payload["data"])


async def query(port: int, token: str, document: str, **variables: Any) -> Any:
    """Run a query over HTTP; return its data. Raises Cut, Refused."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"http://127.0.0.1:{port}/graphql"
    try:
        async with httpx.AsyncClient(headers=headers, timeout=ANSWER_SECONDS) as http:
            answer = await http.post(url, json={"query": document, "variables": variables})
            said = answer.json()
    except (httpx.TransportError, ValueError) as error:
        raise Cut from error
    if errors := said.get("errors"):
        raise Refused(errors[0]["extensions"]["code"], errors[0]["message"])
    return said["data"]
