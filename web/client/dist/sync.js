import { isPassing } from "./errors.js";
import { applyFact, putQueried, withMessages } from "./facts.js";
import { Conversation, Conversations, Events, MarkDelivered, Me, Messages } from "./generated.js";
import { isAfter } from "./ids.js";
import { Timer, pauseBefore, wait } from "./time.js";
const CURSOR = "cursor";
const QUERY_AFTER_MS = 50; // so that a burst of facts is one query
const DELIVERED_AFTER_MS = 300;
const QUERIES_AT_ONCE = 4;
/** Keeps the store in step with the server: a snapshot once, then each fact once and in order. */
export class Sync {
    #options;
    #unknown = new Set();
    #unknownThreads = new Set();
    /** Opened before anybody had written there: their messages are loaded once the conversation begins. */
    #notBegun = [];
    /** The facts that came while a query was under way, for each such query. */
    #journals = new Set();
    #querying = new Timer();
    #acknowledging = new Timer();
    #keeper = null;
    #cursor = null;
    #come = null; // the last message of others that has come
    #run = 0; // of which connection
    #isQuerying = false;
    #isEverythingUnknown = false;
    constructor(options) {
        this.#options = options;
    }
    /** Follow on the connection that has just opened: from the last fact, here or in an earlier run. */
    async follow(keeper) {
        const run = (this.#run += 1);
        const { store } = this.#options;
        this.#keeper = keeper;
        this.#cursor ??= await keeper.get(CURSOR);
        for (let attempt = 0; run === this.#run; attempt += 1) {
            try {
                if (!store.loaded)
                    await this.#load();
                if (run !== this.#run)
                    return;
                this.#listen(run);
                this.#options.loaded();
                return this.#query();
            }
            catch (error) {
                if (!(await this.#mayGoOn(error, attempt)))
                    return;
            }
        }
    }
    /** The connection is gone. */
    pause() {
        this.#run += 1;
        this.#querying.clear();
        this.#acknowledging.clear();
    }
    /** Somebody else logs in: nothing is known any more. */
    forget() {
        this.pause();
        this.#keeper?.remove(CURSOR);
        this.#keeper = null;
        this.#cursor = this.#come = null;
        this.#unknown.clear();
        this.#unknownThreads.clear();
        this.#notBegun = [];
        this.#isEverythingUnknown = false;
    }
    /** Query something and put it into the store, then whatever came while the query was under way. */
    async during(query, put) {
        const journal = [];
        this.#journals.add(journal);
        try {
            const answer = await query();
            put(answer);
            for (const fact of journal)
                this.#note(applyFact(this.#options.store, fact));
            return answer;
        }
        finally {
            this.#journals.delete(journal);
        }
    }
    /** Load the newest messages of a conversation; `anew` also where they are loaded. */
    async loadThread(conversationId, anew = false) {
        const { connection, store, pageSize } = this.#options;
        if (store.thread(conversationId).loaded && !anew)
            return;
        const variables = { conversation: conversationId, last: pageSize };
        await this.during(() => connection.execute(Messages, variables), ({ messages }) => store.putThread(conversationId, {
            messages: messages.nodes,
            hasOlder: messages.pageInfo.hasPreviousPage,
            loaded: true,
        }));
    }
    /** Load the messages of a conversation that has not begun as soon as it has. */
    loadOnceBegun(target) {
        const key = JSON.stringify(target);
        if (!this.#notBegun.some((each) => JSON.stringify(each) === key))
            this.#notBegun = [...this.#notBegun, target];
    }
    #loadBegun() {
        const { store } = this.#options;
        this.#notBegun = this.#notBegun.filter((target) => {
            const begun = store.conversation(target);
            if (begun && !store.thread(begun.id).loaded)
                this.#unknownThreads.add(begun.id);
            return !begun;
        });
    }
    async loadOlder(conversationId) {
        const { connection, store, pageSize } = this.#options;
        const { messages, hasOlder } = store.thread(conversationId);
        const before = messages[0]?.id;
        if (!hasOlder || !before)
            return false;
        const variables = { conversation: conversationId, last: pageSize, before };
        await this.during(() => connection.execute(Messages, variables), ({ messages: { nodes, pageInfo } }) => {
            const thread = store.thread(conversationId);
            if (thread.messages[0]?.id !== before)
                return; // loaded anew meanwhile
            const older = {
                messages: withMessages(nodes, thread.messages),
                hasOlder: pageInfo.hasPreviousPage,
                loaded: true,
            };
            store.putThread(conversationId, older);
        });
        return store.thread(conversationId).hasOlder;
    }
    async loadMoreConversations() {
        const { connection, store, pageSize } = this.#options;
        const after = store.nextPage;
        if (after === null)
            return false;
        await this.#loadPage(() => connection.execute(Conversations, { first: pageSize, after, archived: false }), true);
        return store.nextPage !== null;
    }
    async loadArchived() {
        const { connection, pageSize } = this.#options;
        let after = null;
        do {
            const variables = { first: pageSize, after, archived: true };
            after = await this.#loadPage(() => connection.execute(Conversations, variables), false);
        } while (after !== null);
    }
    async #loadPage(query, isListed) {
        const { conversations } = await this.during(query, ({ conversations: { nodes, pageInfo } }) => {
            for (const each of nodes)
                putQueried(this.#options.store, each);
            if (isListed)
                this.#options.store.putNextPage(nextOf(pageInfo));
        });
        return nextOf(conversations.pageInfo);
    }
    /** The first screen, and where the log stands with it. */
    async #load() {
        const { connection, store, pageSize } = this.#options;
        const { me, settings, serverInfo } = await connection.execute(Me, {});
        const { conversations } = await connection.execute(Conversations, { first: pageSize, archived: false });
        store.putMe(me);
        store.putSettings(settings);
        store.forgetLists();
        store.countedUpTo = serverInfo.cursor;
        for (const each of conversations.nodes)
            putQueried(store, each);
        store.putNextPage(nextOf(conversations.pageInfo));
        this.#loadBegun();
        for (const id of store.threadIds)
            this.#unknownThreads.add(id);
        this.#unknown.clear();
        this.#isEverythingUnknown = false;
        if (this.#cursor === null)
            this.#keepCursor(conversations.cursor);
        store.putLoaded();
    }
    #listen(run) {
        const { connection, emitter, store } = this.#options;
        const again = async (error) => {
            if (run !== this.#run)
                return;
            if (error?.code === "CURSOR_EXPIRED" || error?.code === "BAD_USER_INPUT") {
                // What was missed can no longer be told one by one.
                this.#cursor = null;
                if (error.code === "BAD_USER_INPUT")
                    await wait(pauseBefore(3)); // damaged in the storage
                try {
                    await this.#load();
                    emitter.emit("reset", undefined);
                }
                catch (failure) {
                    if (!(await this.#mayGoOn(failure, 3)))
                        return;
                }
            }
            else {
                await wait(error?.retryAfterMs ?? pauseBefore(1));
            }
            if (run !== this.#run)
                return;
            this.#query();
            this.#listen(run);
        };
        connection.subscribe(Events, { after: this.#cursor }, {
            next: ({ events }) => {
                this.#note(applyFact(store, events));
                for (const journal of this.#journals)
                    journal.push(events);
                if (events.__typename === "MessageSent") {
                    this.#acknowledge(events.message);
                    emitter.emit("message", events.message);
                }
                emitter.emit("event", events);
                this.#keepCursor(events.cursor);
            },
            error: (error) => void again(error),
            complete: () => void again(null),
        });
    }
    #keepCursor(cursor) {
        this.#cursor = cursor;
        this.#keeper?.set(CURSOR, cursor);
    }
    /** Tell the senders that their messages have come, a little later and all at once. */
    #acknowledge({ id, senderId }) {
        const { connection, markDelivered, store } = this.#options;
        if (!markDelivered || senderId === store.me?.id || !isAfter(id, this.#come))
            return;
        this.#come = id;
        if (this.#acknowledging.isSet)
            return;
        this.#acknowledging.set(DELIVERED_AFTER_MS, () => {
            connection.execute(MarkDelivered, { upTo: this.#come }).catch(() => { }); // the next one says it too
        });
    }
    /** Query, soon, what facts alone do not tell. */
    refresh(unknown) {
        this.#note(unknown);
    }
    #note({ conversations, threads = [], everything = false }) {
        for (const id of conversations)
            this.#unknown.add(id);
        for (const id of threads)
            this.#unknownThreads.add(id);
        this.#isEverythingUnknown ||= everything;
        if (conversations.length || threads.length || everything)
            this.#query();
    }
    #query() {
        const isAny = this.#unknown.size || this.#unknownThreads.size || this.#isEverythingUnknown;
        if (!isAny || this.#isQuerying || this.#querying.isSet || !this.#options.connection.isOpen)
            return;
        this.#querying.set(QUERY_AFTER_MS, () => void this.#queryNow());
    }
    async #queryNow() {
        const { store } = this.#options;
        this.#isQuerying = true;
        if (this.#isEverythingUnknown)
            for (const { id } of store.allConversations)
                this.#unknown.add(id);
        this.#isEverythingUnknown = false;
        const take = (ids) => {
            const taken = [...ids].slice(0, QUERIES_AT_ONCE);
            for (const id of taken)
                ids.delete(id);
            return taken;
        };
        const queries = [
            ...take(this.#unknown).map((id) => [
                this.#unknown,
                id,
                this.#queryConversation(id),
            ]),
            ...take(this.#unknownThreads).map((id) => [
                this.#unknownThreads,
                id,
                this.loadThread(id, true),
            ]),
        ];
        let pause = 0;
        const results = await Promise.allSettled(queries.map(([, , query]) => query));
        results.forEach((result, at) => {
            if (result.status === "fulfilled")
                return;
            const [ids, id] = queries[at];
            if (!isPassing(result.reason))
                return; // it is not there for this user any more
            ids.add(id);
            pause = Math.max(pause, result.reason.retryAfterMs ?? pauseBefore(2));
        });
        if (pause)
            await wait(pause);
        this.#isQuerying = false;
        this.#query();
    }
    async #queryConversation(id) {
        const { connection, store } = this.#options;
        await this.during(() => connection.execute(Conversation, { id }), ({ conversation }) => {
            if (conversation)
                putQueried(store, conversation);
            else
                store.dropConversation(id);
        });
        this.#loadBegun();
    }
    /** After a failure: wait and go on, unless the connection is gone, or it would fail again. */
    async #mayGoOn(error, attempt) {
        if (!this.#options.connection.isOpen)
            return false;
        if (!isPassing(error)) {
            this.#options.failed(error);
            return false;
        }
        await wait(error.retryAfterMs ?? pauseBefore(attempt));
        return true;
    }
}
function nextOf({ hasNextPage, endCursor }) {
    return hasNextPage ? endCursor : null;
}
