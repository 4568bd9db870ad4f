import { Client } from "./client.js";
import type * as T from "./types.js";
/**
 * A chat client: one connection that comes back by itself, one store that is in step with the server, one
 * outbox whose messages are sent once. Errors are `ParleyError`s, with the codes of docs/protocol.md.
 */
export declare class Parley extends Client {
    #private;
    /** Any query of your own, over the connection; tried again while there is none. */
    query<Data = unknown>(text: string, variables?: Record<string, unknown>): Promise<Data>;
    /** Any mutation of your own, tried once. */
    mutate<Data = unknown>(text: string, variables?: Record<string, unknown>): Promise<Data>;
    /**
     * Put a message into the outbox: it is sent now, or when there is a connection again. `stored` rejects
     * when it is refused for good.
     */
    send(target: T.Target, draft: T.Draft | string): {
        readonly clientMessageId: string;
        readonly stored: Promise<T.Message>;
    };
    /** Send a refused message of the outbox again. */
    retry(clientMessageId: string): void;
    /** Take a message out of the outbox that is not stored. */
    discard(clientMessageId: string): Promise<void>;
    /** The file of a message in the outbox, to show it. */
    fileOf(clientMessageId: string): Promise<Blob | null>;
    /** Change the text; without `metadata` the message keeps its own, null removes it. */
    edit(id: string, content: string, metadata?: object | null): Promise<T.Message>;
    delete(id: string): Promise<T.Message>;
    react(messageId: string, emoji: string): Promise<T.Message>;
    unreact(messageId: string, emoji: string): Promise<T.Message>;
    /** What a message of one's own said before it was edited, oldest first. */
    edits(id: string): Promise<readonly {
        readonly content: string;
        readonly editedAt: string;
    }[]>;
    message(id: string): Promise<T.Message | null>;
    /**
     * Load the conversation and its newest messages, unless they are loaded. Where nobody has written yet the
     * answer is null, and the messages come into the store by themselves once somebody does.
     */
    open(target: T.Target): Promise<T.Conversation | null>;
    /** Load one more page of older messages; false when there are no more. */
    loadOlder(conversationId: string): Promise<boolean>;
    /** Messages around one of them, oldest first; they are not put into the thread. */
    around(conversation: string, around: string): Promise<T.MessagesAround>;
    /** Load one more page of the list; false when there are no more. */
    loadMoreConversations(): Promise<boolean>;
    loadArchived(): Promise<void>;
    /** Mark as read up to this message; by default up to the newest one. */
    markRead(conversationId: string, upTo?: string): Promise<void>;
    /** Call it at each key: the server hears of it every three seconds. "NONE" when the user stops. */
    typing(target: T.Target, activity?: T.Activity): void;
    updateConversation(conversationId: string, changes: T.ConversationChanges): Promise<T.Conversation>;
    search(query: string, options?: T.SearchOptions): Promise<T.Page<T.Found> & {
        readonly complete: boolean;
    }>;
    createGroup(title: string, memberIds: readonly string[], options?: {
        showsEarlier?: boolean;
        avatarId?: string;
    }): Promise<T.Conversation>;
    updateGroup(conversationId: string, changes: T.GroupChanges): Promise<T.Conversation>;
    addMembers(conversationId: string, userIds: readonly string[]): Promise<T.Conversation>;
    removeMember(conversationId: string, userId: string): Promise<T.Conversation>;
    leaveGroup(conversationId: string): Promise<T.Conversation>;
    setRole(conversationId: string, userId: string, role: T.MemberRole): Promise<T.Conversation>;
    members(conversation: string, after?: string): Promise<T.Page<T.Member>>;
    /** Upload a file, for an avatar or to be sent later; `send(target, {file})` does both. */
    upload(file: Blob, options?: T.UploadOptions): Promise<T.Attachment>;
    /** The attachment with a fresh address. */
    attachment(id: string): Promise<T.Attachment | null>;
    updateProfile(changes: T.ProfileChanges): Promise<T.Me>;
    updateSettings(changes: {
        presence?: T.PresenceSetting;
        readReceipts?: boolean;
    }): Promise<T.Settings>;
    users(search?: string, after?: string): Promise<T.Page<T.User>>;
    user(id: string): Promise<T.Profile | null>;
    userByEmail(email: string): Promise<T.User | null>;
    block(id: string): Promise<void>;
    unblock(id: string): Promise<void>;
    blockedUsers(): Promise<readonly T.User[]>;
    /** Follow whether these users are online, beside the peers of one's direct conversations; returns how to stop. */
    watchPresence(userIds: readonly string[]): () => void;
    serverInfo(): Promise<T.ServerInfo>;
}
