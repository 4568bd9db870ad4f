"""The schema: every noun's queries, mutations and subscriptions put together."""

import strawberry

from schema.attachments import AttachmentMutations, AttachmentQueries
from schema.conversations import ConversationMutations, ConversationQueries
from schema.events import EVENT_TYPES, EventSubscriptions
from schema.groups import GroupMutations
from schema.messages import MessageMutations, MessageQueries, MessageSubscriptions
from schema.nodes import NodeQueries
from schema.of_messages.edits import EditMutations
from schema.of_messages.reactions import ReactionMutations
from schema.of_messages.search import SearchQueries
from schema.people.blocks import BlockMutations, BlockQueries
from schema.people.presence import PresenceSubscriptions
from schema.people.sessions import SessionMutations, SessionQueries
from schema.people.settings import SettingsMutations, SettingsQueries
from schema.people.users import UserMutations, UserQueries
from schema.scalars import CONFIG
from schema.server_info import ServerQueries
from schema.typing import TypingMutations, TypingSubscriptions


@strawberry.type(description="What can be read. Everything but serverInfo needs a token.")
class Query(
    UserQueries,
    SessionQueries,
    MessageQueries,
    ConversationQueries,
    AttachmentQueries,
    BlockQueries,
    NodeQueries,
    SearchQueries,
    ServerQueries,
    SettingsQueries,
):
    pass


@strawberry.type(
    description="What can be changed. Everything but register and login needs a token."
)
class Mutation(
    UserMutations,
    SessionMutations,
    MessageMutations,
    ConversationMutations,
    GroupMutations,
    EditMutations,
    ReactionMutations,
    AttachmentMutations,
    BlockMutations,
    TypingMutations,
    SettingsMutations,
):
    pass


@strawberry.type(
    description="What can be followed, over WebSocket or as server-sent events. Everything needs a"
    " token."
)
class Subscription(
    EventSubscriptions, MessageSubscriptions, PresenceSubscriptions, TypingSubscriptions
):
    pass


schema = strawberry.Schema(
    query=Query, mutation=Mutation, subscription=Subscription, types=EVENT_TYPES, config=CONFIG
)
