import type * as T from "./types.js";
import type { Store } from "./store.js";

/** Types first: the body follows. */
export declare class Parley {
  constructor(options?: T.ParleyOptions);

  /** What is known: conversations, threads, marks, presence, typing; immutable snapshots, and `subscribe`. */
  readonly store: Store;
  readonly status: T.Status;
  /** The user who is logged in, once known; kept over a reload. */
  readonly me: T.Me | null;

  on<Name extends keyof T.ParleyEvents>(name: Name, listener: (value: T.ParleyEvents[Name]) => void): () => void;

  /** Find the session that the storage keeps; true if there is one. Call it first. */
  restore(): Promise<boolean>;
  register(account: { email: string; password: string; displayName: string }): Promise<T.Me>;
  login(account: { email: string; password: string }): Promise<T.Me>;
  /** End the session on the server, forget it here, and empty the outbox. */
  logout(): Promise<void>;
  logoutEverywhere(): Promise<void>;
  changePassword(currentPassword: string, newPassword: string): Promise<void>;
  sessions(): Promise<readonly T.LoginSession[]>;
  revokeSession(id: string): Promise<void>;
  deleteAccount(password: string): Promise<void>;

  /** Connect, load the conversations and follow what happens; resolves once the store is loaded. Goes on by itself after any cut. */
  connect(): Promise<void>;
  disconnect(): void;

  /** Put a message into the outbox and send it, now or when there is a connection again. `stored` rejects when it is refused for good. */
  send(target: T.Target, draft: T.Draft | string): { readonly clientMessageId: string; readonly stored: Promise<T.Message> };
  /** Send a refused message of the outbox again. */
  retry(clientMessageId: string): void;
  /** Take a message out of the outbox that is not stored. */
  discard(clientMessageId: string): Promise<void>;
  edit(messageId: string, content: string): Promise<T.Message>;
  delete(messageId: string): Promise<T.Message>;
  react(messageId: string, emoji: string): Promise<T.Message>;
  unreact(messageId: string, emoji: string): Promise<T.Message>;
  edits(messageId: string): Promise<readonly { content: string; editedAt: string }[]>;
  message(id: string): Promise<T.Message | null>;

  /** Load the conversation and its newest messages, unless they are loaded; null where none has begun. */
  open(target: T.Target): Promise<T.Conversation | null>;
  /** Load one more page of older messages; false when there are no more. */
  loadOlder(conversationId: string): Promise<boolean>;
  /** Messages around one of them, oldest first; they are not put into the thread. */
  around(conversationId: string, messageId: string): Promise<readonly T.Message[]>;
  loadMoreConversations(): Promise<boolean>;
  loadArchived(): Promise<void>;
  /** Mark as read up to this message; by default up to the newest one. */
  markRead(conversationId: string, upTo?: string): Promise<void>;
  /** Call it at each key: the server hears of it every three seconds. "NONE" when the user stops. */
  typing(target: T.Target, activity?: T.Activity): void;
  updateConversation(conversationId: string, changes: T.ConversationChanges): Promise<T.Conversation>;
  search(query: string, options?: T.SearchOptions): Promise<T.Page<T.Found> & { readonly complete: boolean }>;

  createGroup(title: string, memberIds: readonly string[], options?: { showsEarlier?: boolean; avatarId?: string }): Promise<T.Conversation>;
  updateGroup(conversationId: string, changes: T.GroupChanges): Promise<T.Conversation>;
  addMembers(conversationId: string, userIds: readonly string[]): Promise<T.Conversation>;
  removeMember(conversationId: string, userId: string): Promise<T.Conversation>;
  leaveGroup(conversationId: string): Promise<T.Conversation>;
  setRole(conversationId: string, userId: string, role: T.MemberRole): Promise<T.Conversation>;
  members(conversationId: string, after?: string): Promise<T.Page<T.Member>>;

  /** Upload a file, for an avatar or to be sent later; `send(target, {file})` does both. */
  upload(file: Blob, options?: { kind?: T.MessageKind; filename?: string; signal?: AbortSignal }): Promise<T.Attachment>;
  /** The attachment with a fresh address. */
  attachment(id: string): Promise<T.Attachment | null>;

  updateProfile(changes: T.ProfileChanges): Promise<T.Me>;
  updateSettings(changes: { presence?: T.PresenceSetting; readReceipts?: boolean }): Promise<T.Settings>;
  users(search?: string, after?: string): Promise<T.Page<T.User>>;
  user(id: string): Promise<T.Profile | null>;
  userByEmail(email: string): Promise<T.User | null>;
  block(userId: string): Promise<void>;
  unblock(userId: string): Promise<void>;
  blockedUsers(): Promise<readonly T.User[]>;
  /** Follow whether these users are online, beside the peers of one's direct conversations. */
  watchPresence(userIds: readonly string[]): () => void;
  serverInfo(): Promise<T.ServerInfo>;
}
