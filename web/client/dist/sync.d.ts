import type { Connection } from "./connection.js";
import type { Emitter } from "./emitter.js";
import { type Unknown } from "./facts.js";
import type { Keeper } from "./storage.js";
import type { Store } from "./store.js";
import type { ParleyEvents, Target } from "./types.js";
export interface SyncOptions {
    readonly connection: Connection;
    readonly store: Store;
    readonly emitter: Emitter<ParleyEvents>;
    readonly pageSize: number;
    readonly markDelivered: boolean;
    /** The first screen has been loaded. */
    loaded(): void;
    /** It cannot be loaded, and no other attempt would change that. */
    failed(error: unknown): void;
}
/** Keeps the store in step with the server: a snapshot once, then each fact once and in order. */
export declare class Sync {
    #private;
    constructor(options: SyncOptions);
    /** Follow on the connection that has just opened: from the last fact, here or in an earlier run. */
    follow(keeper: Keeper): Promise<void>;
    /** The connection is gone. */
    pause(): void;
    /** Somebody else logs in: nothing is known any more. */
    forget(): void;
    /** Query something and put it into the store, then whatever came while the query was under way. */
    during<Answer>(query: () => Promise<Answer>, put: (answer: Answer) => void): Promise<Answer>;
    /** Load the newest messages of a conversation; `anew` also where they are loaded. */
    loadThread(conversationId: string, anew?: boolean): Promise<void>;
    /** Load the messages of a conversation that has not begun as soon as it has. */
    loadOnceBegun(target: Target): void;
    loadOlder(conversationId: string): Promise<boolean>;
    loadMoreConversations(): Promise<boolean>;
    loadArchived(): Promise<void>;
    /** Query, soon, what facts alone do not tell. */
    refresh(unknown: Unknown): void;
}
