"""Reactions in GraphQL."""

from typing import Annotated

import strawberry
from strawberry import ID, argument

from resolvers.of_messages import reactions
from resolvers.pending import Pending
from schema.context import Info
from schema.messages import Message
from schema.scalars import known_id

Emoji = Annotated[str, argument("One emoji of Unicode.")]
MessageId = Annotated[ID, argument("The message's id.")]


@strawberry.type
class ReactionMutations:
    @strawberry.mutation(
        description="React to a message with an emoji; each user reacts once with each. The same"
        " reaction again changes nothing. A message has reactions with at most"
        " MAX_REACTIONS_PER_MESSAGE (20) different emoji: another one is FORBIDDEN.",
        graphql_type=Message,
    )
    def add_reaction(self, info: Info, message_id: MessageId, emoji: Emoji) -> Pending[Message]:
        return _change(info, message_id, emoji, added=True)

    @strawberry.mutation(
        description="Take back a reaction of yours. Without one this changes nothing.",
        graphql_type=Message,
    )
    def remove_reaction(self, info: Info, message_id: MessageId, emoji: Emoji) -> Pending[Message]:
        return _change(info, message_id, emoji, added=False)


def _change(info: Info, message_id: ID, emoji: str, *, added: bool) -> Pending[Message]:
    ctx = info.context.ctx
    ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
    id_ = known_id(message_id, "Message not found")
    changed = reactions.change_reaction(ctx, message_id=id_, emoji=emoji, added=added)
    return changed.then(Message.of)
