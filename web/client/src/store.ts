import { isAfter } from "./ids.js";
import type * as T from "./types.js";

const EMPTY_THREAD: T.Thread = { messages: [], hasOlder: false, loaded: false };
const NOTHING: readonly never[] = [];

/**
 * Everything the client knows, as immutable snapshots: a getter answers the same object until what it
 * shows has changed. Only the client itself calls the methods below the getters.
 */
export class Store {
  readonly #listeners = new Set<() => void>();
  readonly #conversations = new Map<string, T.Conversation>();
  readonly #threads = new Map<string, T.Thread>();
  readonly #typing = new Map<string, readonly T.Typist[]>();
  readonly #presence = new Map<string, T.Presence>();
  readonly #outgoing = new Map<string, readonly T.Outgoing[]>();
  #outbox: readonly T.Outgoing[] = NOTHING;
  #lists: { listed: readonly T.Conversation[]; archived: readonly T.Conversation[] } | null = null;
  #me: T.Me | null = null;
  #settings: T.Settings | null = null;
  #loaded = false;
  #nextPage: string | null = null;
  /** What was queried last counts every message up to this one. */
  countedUpTo: string | null = null;
  /** The last message that events have told of, by conversations whose last one is an answer ahead of them. */
  readonly toldUpTo = new Map<string, string>();
  #version = 0;
  #isTelling = false;

  /** Called once after each burst of changes; returns how to stop. Fits React's useSyncExternalStore. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** A number that grows with every change. */
  get version(): number {
    return this.#version;
  }

  get me(): T.Me | null {
    return this.#me;
  }

  get settings(): T.Settings | null {
    return this.#settings;
  }

  /** Whether the first page of conversations has been loaded. */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** Those that are not archived: pinned first, then by their latest message. */
  get conversations(): readonly T.Conversation[] {
    return this.#sorted().listed;
  }

  get archived(): readonly T.Conversation[] {
    return this.#sorted().archived;
  }

  get hasMoreConversations(): boolean {
    return this.#nextPage !== null;
  }

  conversation(target: T.Target): T.Conversation | undefined {
    if ("conversationId" in target) return this.#conversations.get(target.conversationId);
    for (const each of this.#conversations.values()) {
      if ("with" in target ? each.peer?.id === target.with : each.kind === "EVERYBODY") return each;
    }
    return undefined;
  }

  thread(conversationId: string): T.Thread {
    return this.#threads.get(conversationId) ?? EMPTY_THREAD;
  }

  /** The messages of the outbox for this conversation, in the order of sending. */
  outgoing(target: T.Target): readonly T.Outgoing[] {
    return this.#outgoing.get(this.#keyOf(target)) ?? NOTHING;
  }

  get outbox(): readonly T.Outgoing[] {
    return this.#outbox;
  }

  /** How far a message of one's own has got. In a group: with all members of `marks`. */
  tick(message: T.Message | T.Outgoing): T.Tick {
    if ("state" in message) return message.state === "FAILED" ? "FAILED" : "WAITING";
    const marks = this.#conversations.get(message.conversationId)?.marks ?? NOTHING;
    const reached = (mark: string | null) => mark !== null && !isAfter(message.id, mark);
    if (!marks.length) return "SENT";
    if (marks.every(({ readUpTo }) => reached(readUpTo))) return "READ";
    const hasCome = ({ readUpTo, deliveredUpTo }: T.Marks) => reached(deliveredUpTo) || reached(readUpTo);
    return marks.every(hasCome) ? "DELIVERED" : "SENT";
  }

  typing(target: T.Target): readonly T.Typist[] {
    return this.#typing.get(this.#keyOf(target)) ?? NOTHING;
  }

  presence(userId: string): T.Presence | undefined {
    return this.#presence.get(userId);
  }

  // What follows changes the store.

  /** Tell the listeners, once for all changes until then. */
  touch(): void {
    this.#version += 1;
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  putMe(me: T.Me | null): void {
    this.#me = me;
    this.touch();
  }

  putSettings(settings: T.Settings): void {
    this.#settings = settings;
    this.touch();
  }

  /** Where the next page of the list begins; null after the last one. */
  putNextPage(next: string | null): void {
    this.#nextPage = next;
    this.touch();
  }

  get nextPage(): string | null {
    return this.#nextPage;
  }

  putLoaded(): void {
    this.#loaded = true;
    this.touch();
  }

  putConversation(conversation: T.Conversation): void {
    const isNew = !this.#conversations.has(conversation.id);
    this.#conversations.set(conversation.id, conversation);
    if (isNew && this.#outbox.length) this.putOutbox(this.#outbox); // it is named otherwise now
    this.#lists = null;
    this.touch();
  }

  dropConversation(id: string): void {
    this.#conversations.delete(id);
    this.toldUpTo.delete(id);
    this.#threads.delete(id);
    this.#lists = null;
    this.touch();
  }

  get allConversations(): readonly T.Conversation[] {
    return [...this.#conversations.values()];
  }

  get threadIds(): readonly string[] {
    return [...this.#threads.keys()];
  }

  putThread(conversationId: string, thread: T.Thread): void {
    this.#threads.set(conversationId, thread);
    this.touch();
  }

  putOutbox(outbox: readonly T.Outgoing[]): void {
    const before = new Map(this.#outgoing);
    this.#outbox = outbox;
    this.#outgoing.clear();
    for (const item of outbox) {
      const key = this.#keyOf(item.target);
      this.#outgoing.set(key, [...(this.#outgoing.get(key) ?? NOTHING), item]);
    }
    for (const [key, items] of this.#outgoing) {
      const old = before.get(key);
      const isSame = old?.length === items.length && items.every((item, at) => item === old[at]);
      if (isSame) this.#outgoing.set(key, old);
    }
    this.touch();
  }

  putTyping(target: T.Target, typists: readonly T.Typist[]): void {
    const key = this.#keyOf(target);
    if (typists.length) this.#typing.set(key, typists);
    else this.#typing.delete(key);
    this.touch();
  }

  putPresence(userId: string, presence: T.Presence): void {
    this.#presence.set(userId, presence);
    this.touch();
  }

  /** Nobody tells of anybody's presence while there is no connection. */
  forgetPassing(): void {
    this.#presence.clear();
    this.#typing.clear();
    this.touch();
  }

  /** Forget the conversations, and the messages; which threads were open is kept. */
  forgetLists(): void {
    this.countedUpTo = null;
    this.toldUpTo.clear();
    this.#conversations.clear();
    this.#lists = null;
    this.#nextPage = null;
    this.touch();
  }

  forgetAll(): void {
    this.forgetLists();
    this.forgetPassing();
    this.#threads.clear();
    this.#outgoing.clear();
    this.#outbox = NOTHING;
    this.#me = null;
    this.#settings = null;
    this.#loaded = false;
  }

  /** One key for a conversation however it is named, once it is known. */
  #keyOf(target: T.Target): string {
    const found = this.conversation(target);
    if (found?.peer) return `with ${found.peer.id}`;
    if (found) return found.id;
    if ("with" in target) return `with ${target.with}`;
    return "conversationId" in target ? target.conversationId : "everybody";
  }

  #sorted() {
    if (!this.#lists) {
      const all = [...this.#conversations.values()].sort(byActivity);
      this.#lists = {
        listed: all.filter(({ archived }) => !archived),
        archived: all.filter(({ archived }) => archived),
      };
    }
    return this.#lists;
  }
}

/** Pinned first, then those with the latest message, or the latest beginning where there is none. */
function byActivity(a: T.Conversation, b: T.Conversation): number {
  if (a.pinned !== b.pinned) return a.pinned ? -1 : 1;
  if (a.lastMessage && b.lastMessage) return isAfter(a.lastMessage.id, b.lastMessage.id) ? -1 : 1;
  const [left, right] = [a, b].map(({ lastMessage, createdAt }) => lastMessage?.createdAt ?? createdAt);
  return left! > right! ? -1 : 1;
}
