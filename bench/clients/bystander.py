"""Two people who write to each other while something goes on, in a process of their own.

The load generator's loop is late when it does much; theirs is not, so that what they wait is the
server's doing. `python -m bench.clients.bystander HOST PORT FROM TO` writes until its input ends,
and prints what each message took, in seconds, as JSON.
"""

import asyncio
import os
import sys
from time import perf_counter

import msgspec
import uvloop

from bench.clients.chat_clients import ChatClient, GraphQLClient
from bench.servers.served import HERE, Served

PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 60.0


async def _write(host: str, port: int, one: int, other: int) -> list[float]:
    arrived = asyncio.Event()

    def heard(content: str, receiver_id: int | None, client: ChatClient) -> None:
        if receiver_id == other and content.startswith("by the way"):
            arrived.set()

    sender = await GraphQLClient(one).connect(host, port)
    reader = await GraphQLClient(other, heard).connect(host, port)
    taken: list[float] = []
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    print("ready", flush=True)  # noqa: T201  # whoever began this waits for it
    while not over.done():
        begun = perf_counter()
        arrived.clear()
        sender.say(other, f"by the way {len(taken)}")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await arrived.wait()
        taken.append(perf_counter() - begun)
        await asyncio.sleep(PAUSE_SECONDS)
    sender.abort()
    reader.abort()
    return taken


class Bystanders:
    """The two, from the entering of the block on; `taken` is there after it."""

    def __init__(self, served: Served, one: int, other: int) -> None:
        self._arguments = [served.host, str(served.port), str(one), str(other)]
        self.taken: list[float] = []

    async def __aenter__(self) -> "Bystanders":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.clients.bystander",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=HERE,
            env={**os.environ, "PYTHONPATH": str(HERE)},
        )
        assert self._process.stdout is not None  # noqa: S101  # asked for above
        await self._process.stdout.readline()
        return self

    async def __aexit__(self, *_: object) -> None:
        printed, _errors = await self._process.communicate(b"\n")  # without input it stays open
        self.taken = msgspec.json.decode(printed or b"[]", type=list[float])


if __name__ == "__main__":
    place, port, writer_id, reader_id = sys.argv[1:]
    found = uvloop.run(_write(place, int(port), int(writer_id), int(reader_id)))
    print(msgspec.json.encode(found).decode())  # noqa: T201  # a command line prints
