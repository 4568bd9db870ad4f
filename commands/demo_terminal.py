"""Carol in a terminal: the older server's REST login and Socket.IO events, as its documents show.

Alice: hello      writes to Alice (`message:private`)
hello             writes to everybody (`message:send`)
"""

import json
import sys
import threading
from contextlib import suppress
from http.client import HTTPConnection
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from commands import command_line

EMAIL = "carol@example.com"


def run(port: int, password: str) -> None:
    """Log in, print what is written to Carol, and send what is typed, until the input ends."""
    try:
        login = _post(port, "/api/auth/login", {"email": EMAIL, "password": password})
    except OSError as error:
        raise SystemExit(
            f"No demo answers on port {port}: start `{command_line()} demo` first"
        ) from error
    if "token" not in login:
        raise SystemExit(f"Carol cannot log in: {login.get('message')}")
    token, me = str(login["token"]), int(login["user"]["id"])
    names = _names(port, token)
    # Engine.IO 4 over a WebSocket: each text begins with the type of its packet.
    with connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket") as socket:
        ready = threading.Event()
        listening = (socket, token, me, names, ready)
        reader = threading.Thread(target=_listen, args=listening, daemon=True)
        reader.start()
        ready.wait()
        with suppress(ConnectionClosed):
            for line in sys.stdin:
                if line.strip():
                    _say(socket, line.strip(), names)
        socket.close()
        reader.join()


def _listen(
    socket: ClientConnection,
    token: str,
    me: int,
    names: dict[int, str],
    ready: threading.Event,
) -> None:
    """Answer the server's packets and print its events; `ready` says that Carol is logged in."""
    with suppress(ConnectionClosed):
        for text in socket:
            packet = str(text)
            if packet.startswith("0"):  # the connection is open: connect to the namespace
                socket.send("40")
            elif packet == "2":  # ping
                socket.send("3")
            elif packet.startswith("40"):
                _emit(socket, "auth:login", {"token": token})
            elif packet.startswith("42"):
                event, *values = json.loads(packet[2:])
                _show(event, values, me, names)
                if event == "auth:ok":
                    ready.set()
    ready.set()
    print("The connection has ended.")


def _show(event: str, values: list[Any], me: int, names: dict[int, str]) -> None:
    if event == "auth:ok":
        print("You are Carol. Write `Alice: hello`, or a line to everybody; Ctrl+D ends it.")
    elif event == "message:new":
        [message] = values
        sender = "you" if message["senderId"] == me else _name(message["senderId"], names)
        receiver = message["receiverId"]
        to = (
            "everybody" if receiver is None else "you" if receiver == me else _name(receiver, names)
        )
        print(f"{sender} to {to}: {message['content']}")
    elif event == "user:online":
        [ids] = values
        print("online:", ", ".join(_name(id_, names) for id_ in ids if id_ != me) or "nobody else")
    elif event in {"auth:error", "message:error"}:
        print(f"{event}: {values}")


def _say(socket: ClientConnection, line: str, names: dict[int, str]) -> None:
    name, separator, content = line.partition(":")
    ids = [id_ for id_, known in names.items() if known.lower() == name.strip().lower()]
    if separator and ids:
        _emit(socket, "message:private", {"toUserId": ids[0], "content": content.strip()})
    elif content.startswith(" ") and " " not in name.strip():
        # Most likely a mistyped name: what was meant for one person must not go to everybody.
        print(f"Nobody is called {name.strip()}. There are: {', '.join(names.values())}")
    else:
        _emit(socket, "message:send", {"content": line})


def _emit(socket: ClientConnection, event: str, value: object) -> None:
    socket.send("42" + json.dumps([event, value]))


def _name(id_: int, names: dict[int, str]) -> str:
    return names.get(id_, f"user {id_}")


def _names(port: int, token: str) -> dict[int, str]:
    """Return everybody's name. The older wire has ids alone, so its documents ask beside it."""
    answer = _post(port, "/graphql", {"query": "{ users { nodes { id displayName } } }"}, token)
    return {int(node["id"]): node["displayName"] for node in answer["data"]["users"]["nodes"]}


def _post(port: int, path: str, body: object, token: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), headers)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()
