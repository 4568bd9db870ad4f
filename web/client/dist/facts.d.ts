import type { Store } from "./store.js";
import type { Conversation, Message, ParleyEvent, User } from "./types.js";
/** What the store cannot tell from a fact alone, and has to be queried. */
export interface Unknown {
    /** These conversations are to be queried again. */
    readonly conversations: readonly string[];
    /** So are the newest messages of these. */
    readonly threads?: readonly string[];
    /** And all conversations. */
    readonly everything?: boolean;
}
/**
 * Change the store as a fact says. Applying a fact again, or to a store that is newer than it, changes
 * nothing. Where the same facts lead to what a new query gives, the store's answers are those of a query.
 */
export declare function applyFact(store: Store, fact: ParleyEvent): Unknown;
/** Put one's own message, as the answer to its sending has it: messages of others may still be on their way. */
export declare function applyAnswered(store: Store, message: Message): Unknown;
/** Put what a query gave. */
export declare function putQueried(store: Store, conversation: Conversation): void;
/** Add a message in its place to a thread that has the newest messages, once. */
export declare function insertMessage(store: Store, message: Message): void;
/** Messages in order, each once; of those with one id the later given one. */
export declare function withMessages(messages: readonly Message[], more: readonly Message[]): readonly Message[];
/** Put a message in the place of its older self, wherever that is shown. */
export declare function replaceMessage(store: Store, message: Message): void;
/** Put a user's new name and picture wherever they are shown. */
export declare function replaceUser(store: Store, user: User): void;
