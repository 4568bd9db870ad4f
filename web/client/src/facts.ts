import { isAfter, latest } from "./ids.js";
import type { Store } from "./store.js";
import type { Conversation, Marks, Message, ParleyEvent, Thread, User } from "./types.js";

/** "100" stands for 100 or more. */
const UNREAD_COUNTED = 100;
/** The conversation of the messages to everybody. */
const EVERYBODY_ID = "1";

type FactOf<Name extends ParleyEvent["__typename"]> = Extract<ParleyEvent, { __typename: Name }>;

/** What the store cannot tell from a fact alone, and has to be queried. */
export interface Unknown {
  /** These conversations are to be queried again. */
  readonly conversations: readonly string[];
  /** So are the newest messages of these. */
  readonly threads?: readonly string[];
  /** And all conversations. */
  readonly everything?: boolean;
}

const NOTHING: Unknown = { conversations: [] };

/**
 * Change the store as a fact says. Applying a fact again, or to a store that is newer than it, changes
 * nothing. Where the same facts lead to what a new query gives, the store's answers are those of a query.
 */
export function applyFact(store: Store, fact: ParleyEvent): Unknown {
  switch (fact.__typename) {
    case "MessageSent":
      return applySent(store, fact.message);
    case "MessageEdited":
    case "ReactionChanged":
      replaceMessage(store, fact.message);
      return NOTHING;
    case "MessageDeleted":
      return applyDeleted(store, fact.message);
    case "MarksMoved":
      return applyMarks(store, fact);
    case "MembersChanged":
      return applyMembers(store, fact);
    case "ConversationChanged":
      return ofConversation(fact);
    case "UserChanged":
      replaceUser(store, fact.user);
      return NOTHING;
    case "SettingsChanged":
      return applySettings(store, fact);
    case "ReceiptsChanged":
      return fact.conversationId === null ? directWith(store, fact.userId) : ofConversation(fact);
    case "BlockChanged":
      return applyBlock(store, fact.userId);
    default:
      return ofConversation(fact); // a kind that is newer than this client
  }
}

function directWith(store: Store, userId: string): Unknown {
  const conversation = store.conversation({ with: userId });
  return { conversations: conversation ? [conversation.id] : [] };
}

/** A block hides a person's messages to everybody, and their marks; its end shows them again. */
function applyBlock(store: Store, userId: string): Unknown {
  const threads = store.thread(EVERYBODY_ID).loaded ? [EVERYBODY_ID] : [];
  return { conversations: [EVERYBODY_ID, ...directWith(store, userId).conversations], threads };
}

function ofConversation({ conversationId }: Pick<ParleyEvent, "conversationId">): Unknown {
  return conversationId === null ? NOTHING : { conversations: [conversationId] };
}

function applySent(store: Store, message: Message): Unknown {
  insertMessage(store, message);
  const conversation = store.conversation({ conversationId: message.conversationId });
  if (!conversation) return { conversations: [message.conversationId] };
  const { lastMessage, readUpTo, unreadCount } = conversation;
  const told = store.toldUpTo.get(conversation.id) ?? lastMessage?.id;
  if (told === message.id && queried.has(conversation) && isAfter(message.id, store.countedUpTo)) {
    // The conversation was queried while this message was on its way: it may be counted, or not.
    return { conversations: [conversation.id] };
  }
  if (!isAfter(message.id, told)) return NOTHING;
  const isLast = isAfter(message.id, lastMessage?.id);
  if (isLast || message.id === lastMessage?.id) store.toldUpTo.delete(conversation.id);
  else store.toldUpTo.set(conversation.id, message.id);
  const isUnread = message.senderId !== store.me?.id && !message.deletedAt && isAfter(message.id, readUpTo);
  store.putConversation({
    ...conversation,
    lastMessage: isLast ? message : lastMessage,
    unreadCount: isUnread ? Math.min(unreadCount + 1, UNREAD_COUNTED) : unreadCount,
  });
  return NOTHING;
}

/** Put one's own message, as the answer to its sending has it: messages of others may still be on their way. */
export function applyAnswered(store: Store, message: Message): Unknown {
  insertMessage(store, message);
  const conversation = store.conversation({ conversationId: message.conversationId });
  if (!conversation) return { conversations: [message.conversationId] };
  const last = conversation.lastMessage?.id;
  if (!isAfter(message.id, last)) return NOTHING;
  if (!store.toldUpTo.has(conversation.id)) store.toldUpTo.set(conversation.id, last ?? "0");
  const answered = { ...conversation, lastMessage: message };
  if (queried.has(conversation)) queried.add(answered);
  store.putConversation(answered);
  return NOTHING;
}

/** Conversations as a query gave them, with no fact applied since. */
const queried = new WeakSet<Conversation>();

/** Put what a query gave. */
export function putQueried(store: Store, conversation: Conversation): void {
  queried.add(conversation);
  store.toldUpTo.delete(conversation.id);
  store.putConversation(conversation);
}

function applyDeleted(store: Store, message: Message): Unknown {
  replaceMessage(store, message);
  const conversation = store.conversation({ conversationId: message.conversationId });
  const wasUnread = conversation && message.senderId !== store.me?.id && isAfter(message.id, conversation.readUpTo);
  return wasUnread ? { conversations: [conversation.id] } : NOTHING;
}

function applyMarks(store: Store, fact: FactOf<"MarksMoved">): Unknown {
  const moved =
    fact.conversationId === null
      ? store.allConversations
      : store.allConversations.filter(({ id }) => id === fact.conversationId);
  const isMine = fact.userId === store.me?.id;
  const unclear = moved.filter((each) => !(isMine ? moveOwn(store, each, fact) : moveOthers(store, each, fact)));
  return { conversations: unclear.map(({ id }) => id) };
}

/** Move one's own read mark; false if what is unread now has to be queried. */
function moveOwn(store: Store, conversation: Conversation, { readUpTo }: FactOf<"MarksMoved">): boolean {
  if (readUpTo === null || !isAfter(readUpTo, conversation.readUpTo)) return true;
  const isAll = !isAfter(conversation.lastMessage?.id ?? "0", readUpTo);
  const unreadCount = isAll ? 0 : conversation.unreadCount;
  store.putConversation({ ...conversation, readUpTo, unreadCount });
  return isAll;
}

/** Move somebody's marks; false if how far they reach in this conversation has to be queried. */
function moveOthers(store: Store, conversation: Conversation, fact: FactOf<"MarksMoved">): boolean {
  const last = conversation.lastMessage?.id;
  const found = conversation.marks.find(({ user }) => user.id === fact.userId);
  if (!found || !last) return true;
  const { readUpTo } = fact;
  let { deliveredUpTo } = fact;
  // A mark of the whole stream is shown as the last message here that it has reached.
  const isClear = deliveredUpTo === null || !isAfter(last, deliveredUpTo);
  if (deliveredUpTo !== null && isClear) deliveredUpTo = last;
  const marks: Marks = {
    ...found,
    readUpTo: readUpTo === null ? found.readUpTo : latest(readUpTo, found.readUpTo),
    deliveredUpTo: isClear ? latestOf(deliveredUpTo, readUpTo, found.deliveredUpTo) : found.deliveredUpTo,
  };
  const isSame = marks.readUpTo === found.readUpTo && marks.deliveredUpTo === found.deliveredUpTo;
  if (!isSame) {
    const all = conversation.marks.map((each) => (each === found ? marks : each));
    store.putConversation({ ...conversation, marks: all });
  }
  return isClear || !isAfter(fact.deliveredUpTo!, found.deliveredUpTo);
}

function latestOf(...ids: readonly (string | null)[]): string | null {
  return ids.reduce(latest, null);
}

function applyMembers(store: Store, fact: FactOf<"MembersChanged">): Unknown {
  const { conversations } = ofConversation(fact);
  // Who joins may see what was written before; the thread begins anew.
  const isJoining = fact.joinedIds.includes(store.me?.id ?? "");
  const threads = conversations.filter((id) => isJoining && store.thread(id).loaded);
  return { conversations, threads };
}

function applySettings(store: Store, fact: FactOf<"SettingsChanged">): Unknown {
  const { settings } = fact;
  const before = store.settings;
  store.putSettings(settings);
  if (fact.conversationId !== null) return ofConversation(fact);
  // Without receipts of one's own one sees nobody else's.
  return { conversations: [], everything: before?.readReceipts !== settings.readReceipts };
}

/** Add a message in its place to a thread that has the newest messages, once. */
export function insertMessage(store: Store, message: Message): void {
  const thread = store.thread(message.conversationId);
  if (!thread.loaded) return;
  const { messages } = thread;
  const [oldest] = messages;
  if (oldest && thread.hasOlder && isAfter(oldest.id, message.id)) return;
  store.putThread(message.conversationId, { ...thread, messages: withMessages(messages, [message]) });
}

/** Messages in order, each once; of those with one id the later given one. */
export function withMessages(messages: readonly Message[], more: readonly Message[]): readonly Message[] {
  const last = messages.at(-1);
  const [first] = more;
  if (more.length === 1 && (!last || isAfter(first!.id, last.id))) return [...messages, first!];
  const all = new Map(messages.map((each) => [each.id, each]));
  for (const each of more) all.set(each.id, each);
  return [...all.values()].sort((a, b) => (isAfter(a.id, b.id) ? 1 : -1));
}

/** Put a message in the place of its older self, wherever that is shown. */
export function replaceMessage(store: Store, message: Message): void {
  const { id, conversationId } = message;
  const renewed = (each: Message): Message => {
    if (each.id === id) return message;
    return each.replyToId === id && each.replyTo ? { ...each, replyTo: asReply(message) } : each;
  };
  replaceIn(store, conversationId, renewed);
}

function asReply({ id, kind, content, deletedAt, sender, attachment }: Message): NonNullable<Message["replyTo"]> {
  return {
    id,
    kind,
    content,
    deletedAt,
    sender: { id: sender.id, displayName: sender.displayName },
    attachment: attachment && {
      id: attachment.id,
      kind: attachment.kind,
      filename: attachment.filename,
      thumbnailUrl: attachment.thumbnailUrl,
    },
  };
}

function replaceIn(store: Store, conversationId: string, renewed: (message: Message) => Message): void {
  const thread = store.thread(conversationId);
  const messages = mapped(thread.messages, renewed);
  if (messages !== thread.messages) store.putThread(conversationId, { ...thread, messages } satisfies Thread);
  const conversation = store.conversation({ conversationId });
  if (!conversation?.lastMessage) return;
  const lastMessage = renewed(conversation.lastMessage);
  if (lastMessage !== conversation.lastMessage) store.putConversation({ ...conversation, lastMessage });
}

/** The same array where nothing changes. */
function mapped<Item>(items: readonly Item[], change: (item: Item) => Item): readonly Item[] {
  const changed = items.map(change);
  return changed.some((item, at) => item !== items[at]) ? changed : items;
}

/** Put a user's new name and picture wherever they are shown. */
export function replaceUser(store: Store, user: User): void {
  const { id, displayName } = user;
  const short = <U extends { readonly id: string; readonly displayName: string }>(each: U): U =>
    each.id === id && each.displayName !== displayName ? { ...each, displayName } : each;
  const inMessage = (message: Message): Message => {
    const sender = message.senderId === id ? user : message.sender;
    const replied = message.replyTo && short(message.replyTo.sender);
    const replyTo =
      message.replyTo && replied !== message.replyTo.sender
        ? { ...message.replyTo, sender: replied! }
        : message.replyTo;
    const reactions = mapped(message.reactions, (reaction) => {
      const users = mapped(reaction.users, short);
      return users === reaction.users ? reaction : { ...reaction, users };
    });
    const isSame = sender === message.sender && replyTo === message.replyTo && reactions === message.reactions;
    return isSame ? message : { ...message, sender, replyTo, reactions };
  };
  if (store.me?.id === id) store.putMe({ ...store.me, ...user });
  for (const conversationId of store.threadIds) replaceIn(store, conversationId, inMessage);
  for (const conversation of store.allConversations) {
    const peer = conversation.peer?.id === id ? user : conversation.peer;
    const lastMessage = conversation.lastMessage && inMessage(conversation.lastMessage);
    const marks = mapped(conversation.marks, (each) => {
      const shown = short(each.user);
      return shown === each.user ? each : { ...each, user: shown };
    });
    const isSame =
      peer === conversation.peer && lastMessage === conversation.lastMessage && marks === conversation.marks;
    if (!isSame) store.putConversation({ ...conversation, peer, lastMessage, marks });
  }
}
