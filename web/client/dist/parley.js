import { Client } from "./client.js";
import { ParleyError } from "./errors.js";
import { putQueried } from "./facts.js";
import * as G from "./generated.js";
/**
 * A chat client: one connection that comes back by itself, one store that is in step with the server, one
 * outbox whose messages are sent once. Errors are `ParleyError`s, with the codes of docs/protocol.md.
 */
export class Parley extends Client {
    /** Any query of your own, over the connection; tried again while there is none. */
    async query(text, variables = {}) {
        return this.retrying({ kind: "query", text }, variables);
    }
    /** Any mutation of your own, tried once. */
    async mutate(text, variables = {}) {
        return this.ask({ kind: "mutation", text }, variables);
    }
    /**
     * Put a message into the outbox: it is sent now, or when there is a connection again. `stored` rejects
     * when it is refused for good.
     */
    send(target, draft) {
        this.passing.ended(target);
        return this.outbox.send(target, typeof draft === "string" ? { content: draft } : draft);
    }
    /** Send a refused message of the outbox again. */
    retry(clientMessageId) {
        this.outbox.retry(clientMessageId);
    }
    /** Take a message out of the outbox that is not stored. */
    discard(clientMessageId) {
        return this.outbox.discard(clientMessageId);
    }
    /** The file of a message in the outbox, to show it. */
    fileOf(clientMessageId) {
        return this.outbox.fileOf(clientMessageId);
    }
    /** Change the text; without `metadata` the message keeps its own, null removes it. */
    async edit(id, content, metadata) {
        const variables = { id, content, metadata };
        return (await this.changing(G.EditMessage, variables, ({ editMessage }) => editMessage)).editMessage;
    }
    async delete(id) {
        return (await this.changing(G.DeleteMessage, { id }, ({ deleteMessage }) => deleteMessage)).deleteMessage;
    }
    async react(messageId, emoji) {
        const variables = { messageId, emoji };
        return (await this.changing(G.AddReaction, variables, ({ addReaction }) => addReaction)).addReaction;
    }
    async unreact(messageId, emoji) {
        const variables = { messageId, emoji };
        return (await this.changing(G.RemoveReaction, variables, ({ removeReaction }) => removeReaction)).removeReaction;
    }
    /** What a message of one's own said before it was edited, oldest first. */
    async edits(id) {
        return (await this.retrying(G.MessageEdits, { id })).message?.edits ?? [];
    }
    async message(id) {
        return (await this.retrying(G.Message, { id })).message;
    }
    /**
     * Load the conversation and its newest messages, unless they are loaded. Where nobody has written yet the
     * answer is null, and the messages come into the store by themselves once somebody does.
     */
    async open(target) {
        let found = this.store.conversation(target);
        if (!found) {
            if ("everybody" in target)
                return this.#openOnceBegun(target); // listed once it has begun
            const variables = "with" in target ? { with: target.with } : { id: target.conversationId };
            const query = () => this.retrying(G.Conversation, variables);
            const { conversation } = await this.sync.during(query, (answer) => {
                if (answer.conversation)
                    putQueried(this.store, answer.conversation);
            });
            if (!conversation)
                return this.#openOnceBegun(target);
            found = conversation;
        }
        await this.patiently(() => this.sync.loadThread(found.id));
        return this.store.conversation({ conversationId: found.id }) ?? null;
    }
    #openOnceBegun(target) {
        if (!("conversationId" in target))
            this.sync.loadOnceBegun(target);
        return null;
    }
    /** Load one more page of older messages; false when there are no more. */
    loadOlder(conversationId) {
        return this.patiently(() => this.sync.loadOlder(conversationId));
    }
    /** Messages around one of them, oldest first; they are not put into the thread. */
    async around(conversation, around) {
        const { messages } = await this.retrying(G.MessagesAround, { conversation, around, last: this.pageSize });
        const { hasPreviousPage, hasNextPage } = messages.pageInfo;
        return { messages: messages.nodes, hasOlder: hasPreviousPage, hasNewer: hasNextPage };
    }
    /** Load one more page of the list; false when there are no more. */
    loadMoreConversations() {
        return this.patiently(() => this.sync.loadMoreConversations());
    }
    loadArchived() {
        return this.patiently(() => this.sync.loadArchived());
    }
    /** Mark as read up to this message; by default up to the newest one. */
    async markRead(conversationId, upTo) {
        const last = upTo ?? this.store.conversation({ conversationId })?.lastMessage?.id;
        if (last)
            await this.inConversation(G.MarkRead, { conversationId, upTo: last }, ({ markRead }) => markRead);
    }
    /** Call it at each key: the server hears of it every three seconds. "NONE" when the user stops. */
    typing(target, activity = "TYPING") {
        this.passing.tell(target, activity);
    }
    updateConversation(conversationId, changes) {
        const variables = { conversationId, ...changes };
        return this.inConversation(G.UpdateConversation, variables, (answer) => answer.updateConversation);
    }
    async search(query, options = {}) {
        const { searchMessages } = await this.retrying(G.SearchMessages, { query, first: 20, ...options });
        const { edges, pageInfo, complete } = searchMessages;
        return { nodes: edges, next: pageInfo.hasNextPage ? pageInfo.endCursor : null, complete };
    }
    async createGroup(title, memberIds, options = {}) {
        const variables = { title, memberIds: [...memberIds], showsEarlier: false, ...options };
        const { createGroup } = await this.ask(G.CreateGroup, variables);
        putQueried(this.store, createGroup);
        return createGroup;
    }
    updateGroup(conversationId, changes) {
        const variables = { conversationId, removeAvatar: false, ...changes };
        return this.inConversation(G.UpdateGroup, variables, ({ updateGroup }) => updateGroup);
    }
    addMembers(conversationId, userIds) {
        const variables = { conversationId, userIds: [...userIds] };
        return this.inConversation(G.AddMembers, variables, ({ addMembers }) => addMembers);
    }
    removeMember(conversationId, userId) {
        return this.inConversation(G.RemoveMember, { conversationId, userId }, ({ removeMember }) => removeMember);
    }
    leaveGroup(conversationId) {
        return this.inConversation(G.LeaveGroup, { conversationId }, ({ leaveGroup }) => leaveGroup);
    }
    setRole(conversationId, userId, role) {
        return this.inConversation(G.SetRole, { conversationId, userId, role }, ({ setRole }) => setRole);
    }
    async members(conversation, after) {
        const answer = await this.retrying(G.Members, { conversation, first: 100, after });
        return pageOf(answer.conversation?.members);
    }
    /** Upload a file, for an avatar or to be sent later; `send(target, {file})` does both. */
    async upload(file, options = {}) {
        const { kind, signal } = options;
        const filename = options.filename ?? file.name ?? "file";
        const token = this.session.token;
        if (token === null)
            throw new ParleyError("Log in first", "LOGGED_OUT");
        const upload = () => this.http.upload(G.UploadAttachment, { file, kind }, filename, token, signal);
        return (await this.patiently(upload)).uploadAttachment;
    }
    /** The attachment with a fresh address. */
    async attachment(id) {
        return (await this.retrying(G.Attachment, { id })).attachment;
    }
    async updateProfile(changes) {
        const { updateProfile } = await this.retrying(G.UpdateProfile, changes);
        this.store.putMe(updateProfile);
        this.session.keepUser(updateProfile);
        return updateProfile;
    }
    async updateSettings(changes) {
        return (await this.retrying(G.UpdateSettings, changes)).updateSettings; // the store hears of it as a fact
    }
    async users(search, after) {
        return pageOf((await this.retrying(G.Users, { search, first: 50, after })).users);
    }
    async user(id) {
        return (await this.retrying(G.User, { id })).user;
    }
    async userByEmail(email) {
        return (await this.retrying(G.UserByEmail, { email })).userByEmail;
    }
    async block(id) {
        await this.retrying(G.BlockUser, { id });
    }
    async unblock(id) {
        await this.retrying(G.UnblockUser, { id });
    }
    async blockedUsers() {
        return (await this.retrying(G.BlockedUsers, {})).blockedUsers;
    }
    /** Follow whether these users are online, beside the peers of one's direct conversations; returns how to stop. */
    watchPresence(userIds) {
        return this.passing.watch(userIds);
    }
    async serverInfo() {
        return (await this.patiently(() => this.http.execute(G.ServerInfo, {}))).serverInfo;
    }
}
function pageOf(found) {
    return { nodes: found?.nodes ?? [], next: found?.pageInfo.hasNextPage ? found.pageInfo.endCursor : null };
}
