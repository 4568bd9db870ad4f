import type { Document } from "./document.js";
import { Http } from "./http.js";
import { Outbox } from "./outbox.js";
import { Passing } from "./passing.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { Sync } from "./sync.js";
import type * as T from "./types.js";
/** What a client consists of, and its life: logging in, connecting, losing the connection, logging out. */
export declare abstract class Client {
    #private;
    /** What is known: conversations, threads, marks, presence, typing. Its listeners hear of `status` too. */
    readonly store: Store;
    protected readonly http: Http;
    protected readonly session: Session;
    protected readonly sync: Sync;
    protected readonly outbox: Outbox;
    protected readonly passing: Passing;
    protected readonly pageSize: number;
    constructor(options?: T.ParleyOptions);
    get status(): T.Status;
    /** The user who is logged in, once known; kept over a reload. */
    get me(): T.Me | null;
    on<Name extends keyof T.ParleyEvents>(name: Name, listener: (value: T.ParleyEvents[Name]) => void): () => void;
    /** Find the session that the storage keeps; true if there is one. Call it first. */
    restore(): Promise<boolean>;
    register({ email, password, displayName, }: {
        email: string;
        password: string;
        displayName: string;
    }): Promise<T.Me>;
    login({ email, password }: {
        email: string;
        password: string;
    }): Promise<T.Me>;
    /** End the session on the server, forget it here, and empty the outbox. */
    logout(): Promise<void>;
    /** End all sessions of the user, on all devices. */
    logoutEverywhere(): Promise<void>;
    /** All other sessions end; this one goes on with a new token. */
    changePassword(currentPassword: string, newPassword: string): Promise<void>;
    sessions(): Promise<readonly T.LoginSession[]>;
    revokeSession(id: string): Promise<void>;
    deleteAccount(password: string): Promise<void>;
    /**
     * Connect, and resolve once the store is loaded. From then on it goes on by itself after any cut. Rejects
     * where the token is no longer good; `loggedOut` tells of that too.
     */
    connect(): Promise<void>;
    disconnect(): void;
    /** Ask once, on the connection; it must not be made twice. */
    protected ask<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data>;
    /** Ask what may be asked twice: again when the connection goes before the answer. */
    protected retrying<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data>;
    protected patiently<Answer>(attempt: () => Promise<Answer>): Promise<Answer>;
    /** Change a message, and show the answer. */
    protected changing<Data, Variables>(document: Document<Data, Variables>, variables: Variables, messageOf: (answer: Data) => T.Message): Promise<Data>;
    /** Change a conversation, and show the answer. */
    protected inConversation<Data, Variables>(document: Document<Data, Variables>, variables: Variables, conversationOf: (answer: Data) => T.Conversation): Promise<T.Conversation>;
}
