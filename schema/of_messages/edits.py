"""Edits and deletions in GraphQL."""

from typing import Annotated

import strawberry
from strawberry import ID, UNSET, argument

from resolvers.of_messages import edits
from resolvers.pending import Pending
from schema.context import Info
from schema.messages import Message
from schema.scalars import JSON, known_id


@strawberry.type
class EditMutations:
    @strawberry.mutation(
        description="Change the text of a message of yours; beside an attachment, its caption. The"
        " earlier text is kept for you alone. Refused with FORBIDDEN after EDIT_SECONDS (no limit"
        " by default), and with CONFLICT once the message is deleted.",
        graphql_type=Message,
    )
    def edit_message(
        self,
        info: Info,
        id: Annotated[ID, argument("The message's id.")],
        content: Annotated[
            str,
            argument("The new text, held to the rules of `sendMessage`; a caption may be empty."),
        ],
        metadata: Annotated[
            JSON | None,
            argument(
                "Custom data in place of the message's, as for `sendMessage`; null removes it, and"
                " without this argument it stays."
            ),
        ] = UNSET,
    ) -> Pending[Message]:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        id_ = known_id(id, "Message not found")
        given = edits.UNCHANGED if metadata is UNSET else metadata
        edited = edits.edit_message(ctx, message_id=id_, content=content, metadata=given)
        return edited.then(Message.of)

    @strawberry.mutation(
        description="Delete a message for everybody: one of yours, or in a group whose"
        " administrator you are any. Its place stays, without content, and nobody opens its file"
        " through it any more. Refused with FORBIDDEN after DELETE_SECONDS (no limit by default)."
        " Deleting again changes nothing.",
        graphql_type=Message,
    )
    def delete_message(
        self, info: Info, id: Annotated[ID, argument("The message's id.")]
    ) -> Pending[Message]:
        ctx = info.context.ctx
        ctx.user  # noqa: B018  # the door: strangers are told so, whatever the id
        id_ = known_id(id, "Message not found")
        return edits.delete_message(ctx, message_id=id_).then(Message.of)
