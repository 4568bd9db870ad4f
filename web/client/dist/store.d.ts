import type * as T from "./types.js";
/**
 * Everything the client knows, as immutable snapshots: a getter answers the same object until what it
 * shows has changed. Only the client itself calls the methods below the getters.
 */
export declare class Store {
    #private;
    /** What was queried last counts every message up to this one. */
    countedUpTo: string | null;
    /** The last message that events have told of, by conversations whose last one is an answer ahead of them. */
    readonly toldUpTo: Map<string, string>;
    /** Called once after each burst of changes; returns how to stop. Fits React's useSyncExternalStore. */
    subscribe: (listener: () => void) => (() => void);
    /** A number that grows with every change. */
    get version(): number;
    get me(): T.Me | null;
    get settings(): T.Settings | null;
    /** Whether the first page of conversations has been loaded. */
    get loaded(): boolean;
    /** Those that are not archived: pinned first, then by their latest message. */
    get conversations(): readonly T.Conversation[];
    get archived(): readonly T.Conversation[];
    get hasMoreConversations(): boolean;
    conversation(target: T.Target): T.Conversation | undefined;
    thread(conversationId: string): T.Thread;
    /** The messages of the outbox for this conversation, in the order of sending. */
    outgoing(target: T.Target): readonly T.Outgoing[];
    get outbox(): readonly T.Outgoing[];
    /** How far a message of one's own has got. In a group: with all members of `marks`. */
    tick(message: T.Message | T.Outgoing): T.Tick;
    typing(target: T.Target): readonly T.Typist[];
    presence(userId: string): T.Presence | undefined;
    /** Tell the listeners, once for all changes until then. */
    touch(): void;
    putMe(me: T.Me | null): void;
    putSettings(settings: T.Settings): void;
    /** Where the next page of the list begins; null after the last one. */
    putNextPage(next: string | null): void;
    get nextPage(): string | null;
    putLoaded(): void;
    putConversation(conversation: T.Conversation): void;
    dropConversation(id: string): void;
    get allConversations(): readonly T.Conversation[];
    get threadIds(): readonly string[];
    putThread(conversationId: string, thread: T.Thread): void;
    putOutbox(outbox: readonly T.Outgoing[]): void;
    putTyping(target: T.Target, typists: readonly T.Typist[]): void;
    putPresence(userId: string, presence: T.Presence): void;
    /** Nobody tells of anybody's presence while there is no connection. */
    forgetPassing(): void;
    /** Forget the conversations, and the messages; which threads were open is kept. */
    forgetLists(): void;
    forgetAll(): void;
}
