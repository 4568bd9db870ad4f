import { Client } from "./client.js";
import type { Document } from "./document.js";
import { ParleyError } from "./errors.js";
import { putQueried } from "./facts.js";
import * as G from "./generated.js";
import type * as T from "./types.js";

/**
 * A chat client: one connection that comes back by itself, one store that is in step with the server, one
 * outbox whose messages are sent once. Errors are `ParleyError`s, with the codes of docs/protocol.md.
 */
export class Parley extends Client {
  /** Any query of your own, over the connection; tried again while there is none. */
  async query<Data = unknown>(text: string, variables: Record<string, unknown> = {}): Promise<Data> {
    return this.retrying({ kind: "query", text } as Document<Data, typeof variables>, variables);
  }

  /** Any mutation of your own, tried once. */
  async mutate<Data = unknown>(text: string, variables: Record<string, unknown> = {}): Promise<Data> {
    return this.ask({ kind: "mutation", text } as Document<Data, typeof variables>, variables);
  }

  /**
   * Put a message into the outbox: it is sent now, or when there is a connection again. `stored` rejects
   * when it is refused for good.
   */
  send(
    target: T.Target,
    draft: T.Draft | string,
  ): { readonly clientMessageId: string; readonly stored: Promise<T.Message> } {
    this.passing.ended(target);
    return this.outbox.send(target, typeof draft === "string" ? { content: draft } : draft);
  }

  /** Send a refused message of the outbox again. */
  retry(clientMessageId: string): void {
    this.outbox.retry(clientMessageId);
  }

  /** Take a message out of the outbox that is not stored. */
  discard(clientMessageId: string): Promise<void> {
    return this.outbox.discard(clientMessageId);
  }

  /** The file of a message in the outbox, to show it. */
  fileOf(clientMessageId: string): Promise<Blob | null> {
    return this.outbox.fileOf(clientMessageId);
  }

  /** Change the text; without `metadata` the message keeps its own, null removes it. */
  async edit(id: string, content: string, metadata?: object | null): Promise<T.Message> {
    const variables = { id, content, metadata };
    return (await this.changing(G.EditMessage, variables, ({ editMessage }) => editMessage)).editMessage;
  }

  async delete(id: string): Promise<T.Message> {
    return (await this.changing(G.DeleteMessage, { id }, ({ deleteMessage }) => deleteMessage)).deleteMessage;
  }

  async react(messageId: string, emoji: string): Promise<T.Message> {
    const variables = { messageId, emoji };
    return (await this.changing(G.AddReaction, variables, ({ addReaction }) => addReaction)).addReaction;
  }

  async unreact(messageId: string, emoji: string): Promise<T.Message> {
    const variables = { messageId, emoji };
    return (await this.changing(G.RemoveReaction, variables, ({ removeReaction }) => removeReaction)).removeReaction;
  }

  /** What a message of one's own said before it was edited, oldest first. */
  async edits(id: string): Promise<readonly { readonly content: string; readonly editedAt: string }[]> {
    return (await this.retrying(G.MessageEdits, { id })).message?.edits ?? [];
  }

  async message(id: string): Promise<T.Message | null> {
    return (await this.retrying(G.Message, { id })).message;
  }

  /**
   * Load the conversation and its newest messages, unless they are loaded. Where nobody has written yet the
   * answer is null, and the messages come into the store by themselves once somebody does.
   */
  async open(target: T.Target): Promise<T.Conversation | null> {
    let found = this.store.conversation(target);
    if (!found) {
      if ("everybody" in target) return this.#openOnceBegun(target); // listed once it has begun
      const variables = "with" in target ? { with: target.with } : { id: target.conversationId };
      const query = () => this.retrying(G.Conversation, variables);
      const { conversation } = await this.sync.during(query, (answer) => {
        if (answer.conversation) putQueried(this.store, answer.conversation);
      });
      if (!conversation) return this.#openOnceBegun(target);
      found = conversation;
    }
    await this.patiently(() => this.sync.loadThread(found.id));
    return this.store.conversation({ conversationId: found.id }) ?? null;
  }

  #openOnceBegun(target: T.Target): null {
    if (!("conversationId" in target)) this.sync.loadOnceBegun(target);
    return null;
  }

  /** Load one more page of older messages; false when there are no more. */
  loadOlder(conversationId: string): Promise<boolean> {
    return this.patiently(() => this.sync.loadOlder(conversationId));
  }

  /** Messages around one of them, oldest first; they are not put into the thread. */
  async around(conversation: string, around: string): Promise<T.MessagesAround> {
    const { messages } = await this.retrying(G.MessagesAround, { conversation, around, last: this.pageSize });
    const { hasPreviousPage, hasNextPage } = messages.pageInfo;
    return { messages: messages.nodes, hasOlder: hasPreviousPage, hasNewer: hasNextPage };
  }

  /** Load one more page of the list; false when there are no more. */
  loadMoreConversations(): Promise<boolean> {
    return this.patiently(() => this.sync.loadMoreConversations());
  }

  loadArchived(): Promise<void> {
    return this.patiently(() => this.sync.loadArchived());
  }

  /** Mark as read up to this message; by default up to the newest one. */
  async markRead(conversationId: string, upTo?: string): Promise<void> {
    const last = upTo ?? this.store.conversation({ conversationId })?.lastMessage?.id;
    if (last) await this.inConversation(G.MarkRead, { conversationId, upTo: last }, ({ markRead }) => markRead);
  }

  /** Call it at each key: the server hears of it every three seconds. "NONE" when the user stops. */
  typing(target: T.Target, activity: T.Activity = "TYPING"): void {
    this.passing.tell(target, activity);
  }

  updateConversation(conversationId: string, changes: T.ConversationChanges): Promise<T.Conversation> {
    const variables = { conversationId, ...changes };
    return this.inConversation(G.UpdateConversation, variables, (answer) => answer.updateConversation);
  }

  async search(
    query: string,
    options: T.SearchOptions = {},
  ): Promise<T.Page<T.Found> & { readonly complete: boolean }> {
    const { searchMessages } = await this.retrying(G.SearchMessages, { query, first: 20, ...options });
    const { edges, pageInfo, complete } = searchMessages;
    return { nodes: edges, next: pageInfo.hasNextPage ? pageInfo.endCursor : null, complete };
  }

  async createGroup(
    title: string,
    memberIds: readonly string[],
    options: { showsEarlier?: boolean; avatarId?: string } = {},
  ): Promise<T.Conversation> {
    const variables = { title, memberIds: [...memberIds], showsEarlier: false, ...options };
    const { createGroup } = await this.ask(G.CreateGroup, variables);
    putQueried(this.store, createGroup);
    return createGroup;
  }

  updateGroup(conversationId: string, changes: T.GroupChanges): Promise<T.Conversation> {
    const variables = { conversationId, removeAvatar: false, ...changes };
    return this.inConversation(G.UpdateGroup, variables, ({ updateGroup }) => updateGroup);
  }

  addMembers(conversationId: string, userIds: readonly string[]): Promise<T.Conversation> {
    const variables = { conversationId, userIds: [...userIds] };
    return this.inConversation(G.AddMembers, variables, ({ addMembers }) => addMembers);
  }

  removeMember(conversationId: string, userId: string): Promise<T.Conversation> {
    return this.inConversation(G.RemoveMember, { conversationId, userId }, ({ removeMember }) => removeMember);
  }

  leaveGroup(conversationId: string): Promise<T.Conversation> {
    return this.inConversation(G.LeaveGroup, { conversationId }, ({ leaveGroup }) => leaveGroup);
  }

  setRole(conversationId: string, userId: string, role: T.MemberRole): Promise<T.Conversation> {
    return this.inConversation(G.SetRole, { conversationId, userId, role }, ({ setRole }) => setRole);
  }

  async members(conversation: string, after?: string): Promise<T.Page<T.Member>> {
    const answer = await this.retrying(G.Members, { conversation, first: 100, after });
    return pageOf(answer.conversation?.members);
  }

  /** Upload a file, for an avatar or to be sent later; `send(target, {file})` does both. */
  async upload(file: Blob, options: T.UploadOptions = {}): Promise<T.Attachment> {
    const { kind, signal } = options;
    const filename = options.filename ?? (file as File).name ?? "file";
    const token = this.session.token;
    if (token === null) throw new ParleyError("Log in first", "LOGGED_OUT");
    const upload = () => this.http.upload(G.UploadAttachment, { file, kind }, filename, token, signal);
    return (await this.patiently(upload)).uploadAttachment;
  }

  /** The attachment with a fresh address. */
  async attachment(id: string): Promise<T.Attachment | null> {
    return (await this.retrying(G.Attachment, { id })).attachment;
  }

  async updateProfile(changes: T.ProfileChanges): Promise<T.Me> {
    const { updateProfile } = await this.retrying(G.UpdateProfile, changes);
    this.store.putMe(updateProfile);
    this.session.keepUser(updateProfile);
    return updateProfile;
  }

  async updateSettings(changes: { presence?: T.PresenceSetting; readReceipts?: boolean }): Promise<T.Settings> {
    return (await this.retrying(G.UpdateSettings, changes)).updateSettings; // the store hears of it as a fact
  }

  async users(search?: string, after?: string): Promise<T.Page<T.User>> {
    return pageOf((await this.retrying(G.Users, { search, first: 50, after })).users);
  }

  async user(id: string): Promise<T.Profile | null> {
    return (await this.retrying(G.User, { id })).user;
  }

  async userByEmail(email: string): Promise<T.User | null> {
    return (await this.retrying(G.UserByEmail, { email })).userByEmail;
  }

  async block(id: string): Promise<void> {
    await this.retrying(G.BlockUser, { id });
  }

  async unblock(id: string): Promise<void> {
    await this.retrying(G.UnblockUser, { id });
  }

  async blockedUsers(): Promise<readonly T.User[]> {
    return (await this.retrying(G.BlockedUsers, {})).blockedUsers;
  }

  /** Follow whether these users are online, beside the peers of one's direct conversations; returns how to stop. */
  watchPresence(userIds: readonly string[]): () => void {
    return this.passing.watch(userIds);
  }

  async serverInfo(): Promise<T.ServerInfo> {
    return (await this.patiently(() => this.http.execute(G.ServerInfo, {}))).serverInfo;
  }
}

interface Connected<Node> {
  readonly nodes: readonly Node[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

function pageOf<Node>(found: Connected<Node> | null | undefined): T.Page<Node> {
  return { nodes: found?.nodes ?? [], next: found?.pageInfo.hasNextPage ? found.pageInfo.endCursor : null };
}
