"""The schema: every noun's queries, mutations and subscriptions put together."""

import strawberry

from schema.attachments import AttachmentMutations, AttachmentQueries
from schema.blocks import BlockMutations, BlockQueries
from schema.edits import EditMutations
from schema.messages import MessageMutations, MessageQueries, MessageSubscriptions
from schema.nodes import NodeQueries
from schema.presence import PresenceSubscriptions
from schema.scalars import CONFIG
from schema.server_info import ServerQueries
from schema.sessions import SessionMutations, SessionQueries
from schema.users import UserMutations, UserQueries


@strawberry.type(description="What can be read. Everything but serverInfo needs a token.")
class Query(
    UserQueries,
    SessionQueries,
    MessageQueries,
    AttachmentQueries,
    BlockQueries,
    NodeQueries,
    ServerQueries,
):
    pass


@strawberry.type(
    description="What can be changed. Everything but register and login needs a token."
)
class Mutation(
    UserMutations,
    SessionMutations,
    MessageMutations,
    EditMutations,
    AttachmentMutations,
    BlockMutations,
):
    pass


@strawberry.type(description="What can be followed, over WebSocket. Everything needs a token.")
class Subscription(MessageSubscriptions, PresenceSubscriptions):
    pass


schema = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, config=CONFIG)
