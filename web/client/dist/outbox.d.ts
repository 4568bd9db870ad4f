import type { Connection } from "./connection.js";
import type { Http } from "./http.js";
import type { Keeper } from "./storage.js";
import type { Store } from "./store.js";
import type { Draft, FileStorage, Message, Outgoing, Target } from "./types.js";
export interface OutboxOptions {
    readonly connection: Connection;
    readonly http: Http;
    readonly files: FileStorage;
    readonly store: Store;
    token(): string | null;
    sent(message: Message): void;
    refused(item: Outgoing): void;
}
/** Messages on their way. Each is kept until the server has stored it, or refused it for good. */
export declare class Outbox {
    #private;
    constructor(options: OutboxOptions);
    /** Take what an earlier run of this user has left, and what other tabs have on their way. */
    restore(keeper: Keeper): Promise<void>;
    /** Another user logs in: their outbox is another one. */
    forget(): void;
    /** Throw everything away that is not stored. */
    discardAll(): Promise<void>;
    send(target: Target, draft: Draft): {
        clientMessageId: string;
        stored: Promise<Message>;
    };
    retry(clientMessageId: string): void;
    discard(clientMessageId: string): Promise<void>;
    /** The file of an item, to show it. */
    fileOf(clientMessageId: string): Promise<Blob | null>;
    /** There is a connection again. */
    resume(): void;
}
