"""The demo's people and what they have said, told over GraphQL as any client would."""

import json
from http.client import HTTPConnection
from typing import Any
from uuid import uuid4

from commands.demo_files import lake, portrait, tune

PASSWORD = "parley-demo"  # noqa: S105  # nosec B105  # the demo prints it
NAMES = ("Alice", "Bob", "Carol")

REGISTER = """
mutation($email: String!, $password: String!, $name: String!) {
  register(email: $email, password: $password, displayName: $name) { token user { id } } }"""
LOGIN = """
mutation($email: String!, $password: String!) {
  login(email: $email, password: $password) { token user { id } } }"""
UPLOAD = """
mutation($file: Upload!, $kind: MessageKind) {
  uploadAttachment(file: $file, kind: $kind) { id } }"""
SEND = """
mutation($to: ID, $in: ID, $text: String, $file: ID, $reply: ID) {
  sendMessage(
    receiverId: $to, conversationId: $in, content: $text, attachmentId: $file, replyToId: $reply
  ) { id } }"""
REACT = "mutation($id: ID!, $emoji: String!) { addReaction(messageId: $id, emoji: $emoji) { id } }"
READ = "mutation($with: ID!, $upTo: ID!) { markRead(with: $with, upTo: $upTo) { id } }"
GROUP = """
mutation($title: String!, $members: [ID!]!) {
  createGroup(title: $title, memberIds: $members) { id } }"""
PROFILE = """
mutation($status: String, $picture: ID) {
  updateProfile(statusText: $status, avatarId: $picture) { id } }"""


class Refused(Exception):
    """The server answered an error; its message says which."""


class Person:
    """Somebody who is logged in, and speaks GraphQL over HTTP."""

    def __init__(self, port: int, name: str) -> None:
        self.name = name
        self.email = f"{name.lower()}@example.com"
        self.id = ""
        self._port = port
        self._token: str | None = None

    def log_in(self) -> bool:
        """Log in; False where there is no such account yet."""
        try:
            self._enter(self.execute(LOGIN, email=self.email, password=PASSWORD))
        except Refused:
            return False
        return True

    def register(self) -> None:
        """Make the account. Raises Refused."""
        words = {"email": self.email, "password": PASSWORD, "name": self.name}
        self._enter(self.execute(REGISTER, **words))

    def send(self, text: str | None = None, **where: str) -> str:
        """Send a message; return its id."""
        return str(self.execute(SEND, text=text, **where)["id"])

    def upload(self, filename: str, content: bytes, kind: str) -> str:
        """Upload a file; return the attachment's id."""
        boundary = uuid4().hex
        operations = {"query": UPLOAD, "variables": {"file": None, "kind": kind}}
        fields = {"operations": json.dumps(operations), "map": '{"0": ["variables.file"]}'}
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'
            for name, text in fields.items()
        ]
        head = f'Content-Disposition: form-data; name="0"; filename="{filename}"'
        body = "".join(parts).encode() + f"--{boundary}\r\n{head}\r\n\r\n".encode()
        body += content + f"\r\n--{boundary}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "GraphQL-Preflight": "1",
        }
        return str(self._post(body, headers)["id"])

    def execute(self, query: str, **variables: object) -> Any:
        """Run an operation of one field; return what it answers. Raises Refused."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        return self._post(body, {"Content-Type": "application/json"})

    def _enter(self, answer: Any) -> None:
        self._token, self.id = answer["token"], answer["user"]["id"]

    def _post(self, body: bytes, headers: dict[str, str]) -> Any:
        if self._token:
            headers = {**headers, "Authorization": f"Bearer {self._token}"}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", "/graphql", body, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if errors := answer.get("errors"):
            raise Refused(errors[0]["message"])
        [field] = answer["data"].values()
        return field


def tell(port: int) -> list[Person]:
    """Make the people and let them talk, unless an earlier start has. Raises Refused."""
    people = [Person(port, name) for name in NAMES]
    if not people[0].log_in():
        for one in people:
            one.register()
        _talk(*people)
    return people


def _talk(alice: Person, bob: Person, carol: Person) -> None:
    _introduce(alice, "At the lake until Sunday", (69, 73, 201))
    _introduce(bob, "Usually rowing", (15, 118, 110))
    _introduce(carol, "", (168, 50, 110))

    bob.send("Hi Alice! Are we still on for Saturday?", to=alice.id)
    yes = alice.send("Yes! The boat is booked from ten 🚣", to=bob.id)
    picture = bob.upload("the-lake.jpg", lake(), "IMAGE")
    view = bob.send("This is where we start", to=alice.id, file=picture)
    alice.execute(REACT, id=view, emoji="😍")
    bob.send("Ten is perfect", to=alice.id, reply=yes)
    note = alice.upload("humming.wav", tune(), "VOICE")
    alice.send(to=bob.id, file=note)
    last = bob.send("🎵", to=alice.id)
    alice.execute(READ, upTo=last, **{"with": bob.id})

    members = [bob.id, carol.id]
    group = str(alice.execute(GROUP, title="Weekend at the lake", members=members)["id"])
    alice.send("Who brings what?", **{"in": group})
    food = carol.send("I bring food for everybody 🥗", **{"in": group})
    bob.execute(REACT, id=food, emoji="🎉")
    bob.send("And I bring the boat. See https://example.com/boats for the way", **{"in": group})

    carol.send("Alice, do you have a tent for me?", to=alice.id)
    carol.send("I still speak Socket.IO, by the way", to=alice.id)


def _introduce(person: Person, status: str, colour: tuple[int, int, int]) -> None:
    picture = person.upload("portrait.png", portrait(colour), "IMAGE")
    person.execute(PROFILE, status=status or None, picture=picture)
