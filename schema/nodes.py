"""Things in GraphQL by their global ids, whatever their types."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Annotated

import strawberry
from strawberry import ID, argument, field

from resolvers import messages
from resolvers.attachments import files
from resolvers.errors import BadInput, NotFound
from resolvers.people import sessions, users
from schema.attachments import Attachment
from schema.context import Info
from schema.conversations import Conversation
from schema.global_ids import Node, reference_of
from schema.messages import Message
from schema.people.sessions import Session
from schema.people.users import User

MAX_NODES = 100

Found = Mapping[int, Node]


@strawberry.type
class NodeQueries:
    @field(description="The thing with this `globalId`; null when you may see none.")
    async def node(self, info: Info, id: Annotated[ID, argument("Its `globalId`.")]) -> Node | None:
        [found] = await _find(info, [id])
        return found

    @field(
        description="The things with these `globalId`s, at most 100, in this order; null for each"
        " that you may not see."
    )
    async def nodes(
        self, info: Info, ids: Annotated[list[ID], argument("Their `globalId`s.")]
    ) -> list[Node | None]:
        if len(ids) > MAX_NODES:
            raise BadInput(f"nodes finds {MAX_NODES} things at most")
        return await _find(info, ids)


async def _find(info: Info, ids: Sequence[str]) -> list[Node | None]:
    info.context.ctx.user  # noqa: B018  # the door: strangers are told so, whatever the ids
    references = [reference_of(id_) for id_ in ids]
    named: dict[str, set[int]] = {}
    for reference in references:
        if reference is not None:
            named.setdefault(reference.type_name, set()).add(reference.id)
    found: dict[str, Found] = {
        name: await _FINDERS[name](info, numbers)
        for name, numbers in named.items()
        if name in _FINDERS
    }
    return [
        None if reference is None else found.get(reference.type_name, {}).get(reference.id)
        for reference in references
    ]


async def _users(info: Info, ids: Collection[int]) -> Found:
    listed = await users.find_listed(info.context.ctx, ids)
    records = await info.context.loaders.users.load_many([*listed])
    return {record.id: User.of(record) for record in records if record is not None}


async def _messages(info: Info, ids: Collection[int]) -> Found:
    records = await messages.get_messages(info.context.ctx, ids)
    return {record.id: Message.of(record) for record in records}


async def _attachments(info: Info, ids: Collection[int]) -> Found:
    found: dict[int, Node] = {}
    for id_ in ids:
        with suppress(NotFound):
            found[id_] = Attachment.of(await files.get_attachment(info.context.ctx, id_))
    return found


async def _sessions(info: Info, ids: Collection[int]) -> Found:
    ctx = info.context.ctx
    current = ctx.user.session
    return {
        record.id: Session.of(record, current=record.id == current)
        for record in await sessions.list_sessions(ctx)
        if record.id in ids
    }


async def _conversations(info: Info, ids: Collection[int]) -> Found:
    records = await info.context.loaders.conversations.load_many([*ids])
    return {record.id: Conversation.of(record) for record in records if record is not None}


_FINDERS = {
    "User": _users,
    "Message": _messages,
    "Conversation": _conversations,
    "Attachment": _attachments,
    "Session": _sessions,
}
