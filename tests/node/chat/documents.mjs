// What a chat app asks for, whichever GraphQL client it uses.

const MESSAGE_PARTS = `
  fragment MessageParts on Message {
    id conversationId senderId receiverId kind content clientMessageId createdAt editedAt deletedAt
    sender { id displayName }
    replyTo { id content deletedAt }
    reactions { emoji count mine users { id displayName } }
  }`;

// __typename is asked for by name: urql gives an app no other, and what is written needs it.
const CONVERSATION_PARTS = `
  fragment ConversationParts on Conversation {
    __typename id kind title unreadCount readUpTo deliveredUpTo mutedUntil archived pinned
    peer { __typename id displayName statusText }
    lastMessage { ...MessageParts }
    members(first: 10) { __typename nodes { __typename role user { __typename id displayName } } }
    marks { __typename user { __typename id displayName } readUpTo deliveredUpTo }
  }`;

/** The first screen; its `cursor` is where `events` goes on. */
export const CONVERSATIONS = `
  query Conversations($first: Int!, $after: String) {
    conversations(first: $first, after: $after) {
      cursor
      edges { cursor node { ...ConversationParts } }
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  }
  ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`;

/** An open conversation, its latest messages first; `before` pages back. */
export const OPEN = `
  query Open($id: ID!, $last: Int!, $before: String) {
    conversation(id: $id) {
      ...ConversationParts
      messages(last: $last, before: $before) {
        edges { cursor node { ...MessageParts } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }
  }
  ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`;

/** The variables of the two screens, with pages of this size. */
export function screensOf(page = 30) {
  return { list: { first: page }, open: (id) => ({ id, last: page }) };
}

/** What the table of events in docs/protocol.md says to query. */
export const CONVERSATION = `
  query Conversation($id: ID, $with: ID) { conversation(id: $id, with: $with) { ...ConversationParts } }
  ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`;

export const EVENTS = `
  subscription Events($after: String) {
    events(after: $after) {
      cursor conversationId
      ... on MessageSent { message { ...MessageParts conversation { ...ConversationParts } } }
      ... on MessageEdited { message { ...MessageParts } }
      ... on MessageDeleted { message { ...MessageParts conversation { id unreadCount } } }
      ... on ReactionChanged { message { ...MessageParts } }
      ... on MarksMoved { userId readUpTo deliveredUpTo }
      ... on UserChanged { user { id displayName statusText } }
    }
  }
  ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`;

export const SEND = `
  mutation Send($to: ID, $content: String!, $clientMessageId: String!) {
    sendMessage(receiverId: $to, content: $content, clientMessageId: $clientMessageId) {
      ...MessageParts conversation { ...ConversationParts }
    }
  }
  ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`;

export const MUTATIONS = {
  edit: `mutation Edit($id: ID!, $content: String!) {
    editMessage(id: $id, content: $content) { ...MessageParts } } ${MESSAGE_PARTS}`,
  delete: `mutation Delete($id: ID!) { deleteMessage(id: $id) { ...MessageParts } } ${MESSAGE_PARTS}`,
  react: `mutation React($id: ID!, $emoji: String!) {
    addReaction(messageId: $id, emoji: $emoji) { ...MessageParts } } ${MESSAGE_PARTS}`,
  markRead: `mutation MarkRead($id: ID!, $upTo: ID!) {
    markRead(conversationId: $id, upTo: $upTo) { ...ConversationParts } }
    ${CONVERSATION_PARTS} ${MESSAGE_PARTS}`,
};
