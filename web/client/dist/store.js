import { isAfter } from "./ids.js";
const EMPTY_THREAD = { messages: [], hasOlder: false, loaded: false };
const NOTHING = [];
/**
 * Everything the client knows, as immutable snapshots: a getter answers the same object until what it
 * shows has changed. Only the client itself calls the methods below the getters.
 */
export class Store {
    #listeners = new Set();
    #conversations = new Map();
    #threads = new Map();
    #typing = new Map();
    #presence = new Map();
    #outgoing = new Map();
    #outbox = NOTHING;
    #lists = null;
    #me = null;
    #settings = null;
    #loaded = false;
    #nextPage = null;
    /** What was queried last counts every message up to this one. */
    countedUpTo = null;
    /** The last message that events have told of, by conversations whose last one is an answer ahead of them. */
    toldUpTo = new Map();
    #version = 0;
    #isTelling = false;
    /** Called once after each burst of changes; returns how to stop. Fits React's useSyncExternalStore. */
    subscribe = (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
    };
    /** A number that grows with every change. */
    get version() {
        return this.#version;
    }
    get me() {
        return this.#me;
    }
    get settings() {
        return this.#settings;
    }
    /** Whether the first page of conversations has been loaded. */
    get loaded() {
        return this.#loaded;
    }
    /** Those that are not archived: pinned first, then by their latest message. */
    get conversations() {
        return this.#sorted().listed;
    }
    get archived() {
        return this.#sorted().archived;
    }
    get hasMoreConversations() {
        return this.#nextPage !== null;
    }
    conversation(target) {
        if ("conversationId" in target)
            return this.#conversations.get(target.conversationId);
        for (const each of this.#conversations.values()) {
            if ("with" in target ? each.peer?.id === target.with : each.kind === "EVERYBODY")
                return each;
        }
        return undefined;
    }
    thread(conversationId) {
        return this.#threads.get(conversationId) ?? EMPTY_THREAD;
    }
    /** The messages of the outbox for this conversation, in the order of sending. */
    outgoing(target) {
        return this.#outgoing.get(this.#keyOf(target)) ?? NOTHING;
    }
    get outbox() {
        return this.#outbox;
    }
    /** How far a message of one's own has got. In a group: with all members of `marks`. */
    tick(message) {
        if ("state" in message)
            return message.state === "FAILED" ? "FAILED" : "WAITING";
        const marks = this.#conversations.get(message.conversationId)?.marks ?? NOTHING;
        const reached = (mark) => mark !== null && !isAfter(message.id, mark);
        if (!marks.length)
            return "SENT";
        if (marks.every(({ readUpTo }) => reached(readUpTo)))
            return "READ";
        const hasCome = ({ readUpTo, deliveredUpTo }) => reached(deliveredUpTo) || reached(readUpTo);
        return marks.every(hasCome) ? "DELIVERED" : "SENT";
    }
    typing(target) {
        return this.#typing.get(this.#keyOf(target)) ?? NOTHING;
    }
    presence(userId) {
        return this.#presence.get(userId);
    }
    // What follows changes the store.
    /** Tell the listeners, once for all changes until then. */
    touch() {
        this.#version += 1;
        if (this.#isTelling)
            return;
        this.#isTelling = true;
        queueMicrotask(() => {
            this.#isTelling = false;
            for (const listener of [...this.#listeners])
                listener();
        });
    }
    putMe(me) {
        this.#me = me;
        this.touch();
    }
    putSettings(settings) {
        this.#settings = settings;
        this.touch();
    }
    /** Where the next page of the list begins; null after the last one. */
    putNextPage(next) {
        this.#nextPage = next;
        this.touch();
    }
    get nextPage() {
        return this.#nextPage;
    }
    putLoaded() {
        this.#loaded = true;
        this.touch();
    }
    putConversation(conversation) {
        const isNew = !this.#conversations.has(conversation.id);
        this.#conversations.set(conversation.id, conversation);
        if (isNew && this.#outbox.length)
            this.putOutbox(this.#outbox); // it is named otherwise now
        this.#lists = null;
        this.touch();
    }
    dropConversation(id) {
        this.#conversations.delete(id);
        this.toldUpTo.delete(id);
        this.#threads.delete(id);
        this.#lists = null;
        this.touch();
    }
    get allConversations() {
        return [...this.#conversations.values()];
    }
    get threadIds() {
        return [...this.#threads.keys()];
    }
    putThread(conversationId, thread) {
        this.#threads.set(conversationId, thread);
        this.touch();
    }
    putOutbox(outbox) {
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
            if (isSame)
                this.#outgoing.set(key, old);
        }
        this.touch();
    }
    putTyping(target, typists) {
        const key = this.#keyOf(target);
        if (typists.length)
            this.#typing.set(key, typists);
        else
            this.#typing.delete(key);
        this.touch();
    }
    putPresence(userId, presence) {
        this.#presence.set(userId, presence);
        this.touch();
    }
    /** Nobody tells of anybody's presence while there is no connection. */
    forgetPassing() {
        this.#presence.clear();
        this.#typing.clear();
        this.touch();
    }
    /** Forget the conversations, and the messages; which threads were open is kept. */
    forgetLists() {
        this.countedUpTo = null;
        this.toldUpTo.clear();
        this.#conversations.clear();
        this.#lists = null;
        this.#nextPage = null;
        this.touch();
    }
    forgetAll() {
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
    #keyOf(target) {
        const found = this.conversation(target);
        if (found?.peer)
            return `with ${found.peer.id}`;
        if (found)
            return found.id;
        if ("with" in target)
            return `with ${target.with}`;
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
function byActivity(a, b) {
    if (a.pinned !== b.pinned)
        return a.pinned ? -1 : 1;
    if (a.lastMessage && b.lastMessage)
        return isAfter(a.lastMessage.id, b.lastMessage.id) ? -1 : 1;
    const [left, right] = [a, b].map(({ lastMessage, createdAt }) => lastMessage?.createdAt ?? createdAt);
    return left > right ? -1 : 1;
}
