"""The proxies of deploy/: TLS, HTTP/2, WebSockets, events as they come; at the root and a path."""

import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import httpx
import pytest

from tests.deploy.proxies import PROXIES, Certificate, Proxy
from tests.faults.processes import Parley
from tests.support.faces import Account, GraphQLFace, RestFace, SocketIOFace, new_account
from tests.support.files import image_file
from tests.support.server import RunningServer
from tests.support.tools import require

PREFIXES = ("", "/chat")
SUBSCRIPTION = "subscription { messageAdded { content } }"


@dataclass(frozen=True, slots=True)
class Front:
    """What a client sees of Parley behind a proxy."""

    proxy: Proxy
    prefix: str

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://localhost:{self.proxy.port}{self.prefix}"

    @property
    def ws_url(self) -> str:
        """The GraphQL WebSocket's URL."""
        return f"wss://localhost:{self.proxy.port}{self.prefix}/graphql"

    @property
    def server(self) -> RunningServer:
        """As the faces want it: they ask for nothing but the two addresses."""
        return cast(RunningServer, self)

    @asynccontextmanager
    async def older(self, account: Account, *transports: str) -> AsyncIterator[SocketIOFace]:
        """A client of Socket.IO; aiohttp has its trust from a connector alone."""
        trust = ssl.create_default_context(cafile=str(self.proxy.certificate.public))
        path = f"{self.prefix}/socket.io".strip("/")
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as http,
            SocketIOFace.open(self.server, account, transports, http, path) as face,
        ):
            yield face


@pytest.fixture(scope="module", params=PROXIES, ids=lambda kind: kind.program)
def proxy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """Each proxy in turn, in front of one instance; skips where it is not installed."""
    with ExitStack() as stack:
        # Unix sockets and users of the proxy's own: a short path that others may read.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-proxy-")))
        directory.chmod(0o755)
        proxy: Proxy = request.param(directory, Certificate.make(directory))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("SSL_CERT_FILE", str(proxy.certificate.public))
        # The tests' other clients share one context, which trusts no certificate of ours.
        patch.setattr("httpx._transports.default.create_ssl_context", httpx.create_ssl_context)
        public_url = f"https://localhost:{proxy.port}/chat"
        home = tmp_path_factory.mktemp("behind")
        parley = Parley(
            home, instance="a", trusted_proxies="127.0.0.1", public_url=public_url, chat_page="on"
        )
        stack.callback(parley.stop)
        parley.start()
        proxy.configure(parley.port)
        stack.callback(proxy.kill)  # Caddy would wait for its clients
        proxy.start()
        yield proxy
        assert parley.complaints() == []


@pytest.fixture(params=PREFIXES, ids=lambda prefix: prefix or "/")
def front(request: pytest.FixtureRequest, proxy: Proxy) -> Front:
    """The proxy's root, and the path that it takes away."""
    return Front(proxy, request.param)


async def test_the_three_faces_talk_through_it(front: Front) -> None:
    sender = await new_account(front.server, "sender")
    receiver = await new_account(front.server, "receiver")
    async with (
        front.older(receiver, "polling") as polling,
        front.older(receiver, "polling", "websocket") as upgraded,
        GraphQLFace.open(front.server, receiver) as heard,
        GraphQLFace.open(front.server, sender) as graphql,
        RestFace.open(front.server, sender) as rest,
        front.older(sender, "websocket") as older,
    ):
        for face in (graphql, rest, older):
            content = f"by {face.name}"
            sent = await face.send(content, receiver.id)
            for hearer in (polling, upgraded, heard):
                assert await hearer.hear(content) == sent


async def test_events_come_while_the_stream_stays_open(front: Front) -> None:
    account = await new_account(front.server)
    headers = {"Authorization": f"Bearer {account.token}", "Accept": "text/event-stream"}
    async with (
        RestFace.open(front.server, account) as rest,
        httpx.AsyncClient(timeout=20) as http,
        http.stream(
            "POST", f"{front.url}/graphql", json={"query": SUBSCRIPTION}, headers=headers
        ) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        for content in ("first", "second"):
            await rest.send(content)
            async for line in lines:
                if line.startswith("data:") and content in line:
                    break
            else:
                pytest.fail("the stream has ended")


async def test_a_file_goes_up_and_comes_down(front: Front) -> None:
    account = await new_account(front.server)
    headers = {"Authorization": f"Bearer {account.token}"}
    async with httpx.AsyncClient(timeout=30, headers=headers) as http:
        # More than the megabyte that nginx takes by default.
        file = b"a text " * 300_000
        files = {"file": ("text.txt", file)}
        uploaded = await http.post(f"{front.url}/api/uploads", files=files)
        assert uploaded.status_code == 201, uploaded.text
        url = uploaded.json()["url"]
        assert url.startswith(f"https://localhost:{front.proxy.port}/chat/files/")
        assert (await http.get(url)).content == file
        picture = {"file": ("picture.png", image_file("PNG"))}
        assert (await http.post(f"{front.url}/api/uploads", files=picture)).status_code == 201


async def test_pages_find_their_files(front: Front) -> None:
    async with httpx.AsyncClient(headers={"Accept": "text/html"}) as http:
        for page in ("/", "/graphql"):
            answer = await http.get(f"{front.url}{page}")
            found = [
                address
                for part in answer.text.split('"')
                if (address := part).endswith((".js", ".css")) and "://" not in address
            ]
            assert found
            for address in found:
                got = await http.get(answer.url.join(address))
                assert got.status_code == 200, got.url


def test_it_speaks_http_2(proxy: Proxy) -> None:
    node = require("Node.js", "node")
    program = """
      const [url, ca] = process.argv.slice(1);
      const session = require("http2").connect(url, { ca: require("fs").readFileSync(ca) });
      const request = session.request({ ":path": "/health" });
      request.on("response", (headers) => console.log(session.alpnProtocol, headers[":status"]));
      request.on("end", () => session.close());
      request.resume();
    """
    url = f"https://localhost:{proxy.port}"
    done = subprocess.run(
        [node, "-e", program, url, str(proxy.certificate.public)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.split() == ["h2", "200"], done.stderr
