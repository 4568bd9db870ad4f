"""CORS, at no cost for what no page of another origin asks."""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send


class CORS(CORSMiddleware):
    """Starlette's; a request without `Origin` gets what Starlette gives it: a `Vary`, and no more.

    Starlette reads and writes each answer's headers through objects, which takes longer than the
    parsing of the request.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http" or any(name == b"origin" for name, _ in scope["headers"]):
            await super().__call__(scope, receive, send)
            return

        async def send_varying(message: Message) -> None:
            if message["type"] == "http.response.start":
                _vary(message)
            await send(message)

        await self.app(scope, receive, send_varying)


def _vary(message: Message) -> None:
    headers = [*message.get("headers", ())]
    varying = [value for name, value in headers if name == b"vary"]
    if varying:
        headers = [header for header in headers if header[0] != b"vary"]
    message["headers"] = [*headers, (b"vary", b", ".join([*varying, b"Origin"]))]
