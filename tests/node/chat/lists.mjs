// How events change the lists in a cache; plain functions of data, for every client library.

const OPTIMISTIC = "optimistic:";

/** The message as it is shown before the server has answered; its key becomes its id. */
export function optimisticMessage({ me, conversation, content, clientMessageId }) {
  const message = {
    __typename: "Message",
    id: OPTIMISTIC + clientMessageId,
    conversationId: conversation.id,
    senderId: me,
    receiverId: conversation.peer.id,
    kind: "TEXT",
    content,
    clientMessageId,
    createdAt: new Date().toISOString(),
    editedAt: null,
    deletedAt: null,
    sender: { __typename: "User", id: me, displayName: "me" },
    replyTo: null,
    reactions: [],
  };
  return { ...message, conversation: { ...conversation, lastMessage: message } };
}

export function isOptimistic({ id }) {
  return id.startsWith(OPTIMISTIC);
}

/** Newer messages have greater ids; what is not stored yet is the newest. */
function position(message) {
  if (!message) return -1;
  return isOptimistic(message) ? Infinity : Number(message.id);
}

/** The data of OPEN with this message among its messages, once. */
export function withMessage(data, message) {
  if (!data?.conversation?.messages) return data;
  const { messages } = data.conversation;
  const isSame = ({ node }) =>
    node.id === message.id ||
    (message.clientMessageId && node.senderId === message.senderId && node.clientMessageId === message.clientMessageId);
  // A message that is sent again may have come by an event.
  if (isOptimistic(message) && messages.edges.some(isSame)) return data;
  const edge = { __typename: "MessageEdge", cursor: message.id, node: message };
  const edges = [...messages.edges.filter((other) => !isSame(other)), edge];
  edges.sort((a, b) => position(a.node) - position(b.node));
  return { ...data, conversation: { ...data.conversation, messages: { ...messages, edges } } };
}

/** The data of CONVERSATIONS with this conversation in its place: pinned first, then the latest. */
export function withConversation(data, conversation) {
  if (!data?.conversations) return data;
  const { conversations } = data;
  const others = conversations.edges.filter(({ node }) => node.id !== conversation.id);
  const found = conversations.edges.find(({ node }) => node.id === conversation.id);
  const edge = { __typename: "ConversationEdge", cursor: found?.cursor ?? conversation.id, node: conversation };
  const edges = (conversation.archived ? others : [...others, edge]).sort(
    (a, b) => b.node.pinned - a.node.pinned || position(b.node.lastMessage) - position(a.node.lastMessage),
  );
  return { ...data, conversations: { ...conversations, edges } };
}
