import type * as T from "./types.js";

/** Everything the client knows. Each getter answers the same object until what it shows has changed. */
export declare class Store {
  /** Called after every change; returns how to stop. Fits React's useSyncExternalStore. */
  subscribe(listener: () => void): () => void;
  /** A number that grows with every change. */
  readonly version: number;
  readonly me: T.Me | null;
  readonly settings: T.Settings | null;
  /** Whether the first page of conversations has been loaded. */
  readonly loaded: boolean;
  /** Those that are not archived: pinned first, then by their latest message. */
  readonly conversations: readonly T.Conversation[];
  readonly archived: readonly T.Conversation[];
  readonly hasMoreConversations: boolean;
  conversation(target: T.Target): T.Conversation | undefined;
  thread(conversationId: string): T.Thread;
  /** The messages of the outbox for this conversation, in the order of sending. */
  outgoing(target: T.Target): readonly T.Outgoing[];
  readonly outbox: readonly T.Outgoing[];
  /** How far a message of yours has got. */
  tick(message: T.Message | T.Outgoing): T.Tick;
  typing(target: T.Target): readonly T.Typist[];
  presence(userId: string): T.Presence | undefined;
}
