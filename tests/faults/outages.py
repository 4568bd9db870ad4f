"""One user on all faces, who sends before, during and after an outage on the same connections."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import httpx

from resolvers.errors import Unavailable
from tests.faults.load import User, register
from tests.faults.processes import Parley
from tests.faults.waits import until
from tests.faults.wire import WATCH, GraphQLClient, Refused, RestClient, Sender, SocketIOClient

SETTLE_SECONDS = 40
AWAY = str(Unavailable())


class Draft(NamedTuple):
    """What is sent under which key."""

    key: str
    content: str


class Patient:
    """Notes what was acknowledged, what was refused, and what arrived; nothing may be missing."""

    def __init__(self, parley: Parley) -> None:
        self._parley = parley
        self._stack = AsyncExitStack()
        self._count = 0
        self.stored: dict[int, str] = {}
        self.refused: dict[str, list[Draft]] = {}
        self.heard: list[int] = []
        self.heard_socketio: list[int] = []

    async def __aenter__(self) -> "Patient":
        [self.user] = await register(self._parley.port, 1)
        self.watching = await GraphQLClient.open(self._parley.port, self.user.token)
        socketio = await SocketIOClient.open(self._parley.port, self.user.token, self._hear)
        self.faces: dict[str, Sender] = {
            "graphql": await GraphQLClient.open(self._parley.port, self.user.token),
            "socketio": socketio,
            "rest": RestClient(self._parley.port, self.user.token),
        }
        self.http = httpx.AsyncClient(
            base_url=self._parley.url, headers=bearer(self.user), timeout=SETTLE_SECONDS
        )
        self._stack.push_async_callback(self.http.aclose)
        for face in (self.watching, *self.faces.values()):
            self._stack.push_async_callback(face.close)
        await self.watching.watch(WATCH, self._take, 0)
        await self.sends_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    def _take(self, data: dict[str, Any]) -> None:
        self.heard.append(int(data["messageAdded"]["id"]))

    def _hear(self, event: str, data: Any) -> None:
        if event == "message:new":
            self.heard_socketio.append(data["id"])

    async def send(self, face: str, draft: Draft) -> bool:
        """Send; return whether it was stored. A refusal must say that it may be tried again."""
        try:
            answer = await self.faces[face].start(draft.key, draft.content, None)
            id_ = await asyncio.wait_for(answer, SETTLE_SECONDS)
        except Refused as error:
            if error.args != ("INTERNAL", AWAY):
                raise
            self.refused.setdefault(face, []).append(draft)
            return False
        assert id_ not in self.stored
        self.stored[id_] = draft.content
        return True

    def draft(self, size: int = 10) -> Draft:
        """Something new to say."""
        self._count += 1
        return Draft(f"key {self._count}", f"{self._count} ".ljust(size, "x"))

    async def sends_all(self) -> None:
        """Each face sends, and is heard."""
        for face in self.faces:
            assert await self.send(face, self.draft())

    async def is_refused(self, size: int = 10, tries: int = 1) -> None:
        """Each face is refused within so many tries, and told when to come back."""
        for face in self.faces:
            for _ in range(tries):
                if not await self.send(face, self.draft(size)):
                    break
            assert self.refused.get(face), f"{face} was never refused"
        body = {"content": "x" * size}
        answer = await self.http.post("/api/messages/send", json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (answer.json()["message"], answer.json()["retryAfterMs"]) == (AWAY, 1000)
        query = f'mutation {{ sendMessage(content: "{"x" * size}") {{ id }} }}'
        said = (await self.http.post("/graphql", json={"query": query})).json()["errors"][0]
        assert (said["message"], said["extensions"]["retryAfterMs"]) == (AWAY, 1000)

    async def recovers(self) -> None:
        """The same connections send what was refused, and everything is heard, once, in order."""
        for face, drafts in self.refused.items():
            for draft in drafts:
                for _ in range(50):  # it may not be back at once
                    if await self.send(face, draft):
                        break
                    self.refused[face].remove(draft)
                    await asyncio.sleep(0.2)
                else:
                    raise AssertionError(f"{face} never recovered")
        await self.sends_all()
        assert sorted(self.stored) == list(range(1, len(self.stored) + 1)), "ids are not dense"
        await until(lambda: len(self.heard) >= len(self.stored), 10)
        await until(lambda: len(self.heard_socketio) >= len(self.stored), 10)
        assert self.heard == self.heard_socketio == sorted(self.stored)
        for client in (self.watching, self.faces["graphql"], self.faces["socketio"]):
            assert isinstance(client, GraphQLClient | SocketIOClient)
            assert not client.over.is_set(), "a connection was ended"
        rows = (await self.http.get("/api/messages")).json()
        assert {row["id"]: row["content"] for row in rows} == self.stored
        assert (await self.http.get("/ready")).status_code == 200


def bearer(user: User) -> dict[str, str]:
    """The header of somebody who came in."""
    return {"Authorization": f"Bearer {user.token}"}


def names_in(directory: Path) -> list[str]:
    """The files under a directory."""
    return sorted(path.name for path in directory.rglob("*") if path.is_file())
