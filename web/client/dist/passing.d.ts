import type { Connection } from "./connection.js";
import type { Store } from "./store.js";
import type { Activity, Target } from "./types.js";
/** Who types and who is online: what passes, is told to whoever is connected, and is never told again. */
export declare class Passing {
    #private;
    constructor(connection: Connection, store: Store, followsPresence: boolean);
    /** Follow on the connection that has just opened. */
    follow(): void;
    pause(): void;
    watch(userIds: readonly string[]): () => void;
    /** Say what the user does there, at most every three seconds. */
    tell(target: Target, activity: Activity): void;
    /** Sending a message ends it: the next key is told at once. */
    ended(target: Target): void;
}
