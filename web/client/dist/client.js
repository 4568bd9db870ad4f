import { Connection } from "./connection.js";
import { Emitter } from "./emitter.js";
import { ParleyError, isPassing, networkError } from "./errors.js";
import { applyAnswered, putQueried, replaceMessage } from "./facts.js";
import * as G from "./generated.js";
import { Http } from "./http.js";
import { Outbox } from "./outbox.js";
import { Passing } from "./passing.js";
import { Session } from "./session.js";
import { Keeper, browserFiles, browserStorage } from "./storage.js";
import { Store } from "./store.js";
import { Sync } from "./sync.js";
import { pauseBefore, wait } from "./time.js";
/** A change that can be made twice is tried for so long; then the caller hears that there is no network. */
const PATIENCE_MS = 30_000;
/** A page of conversations with all that the store shows of them costs no more than the server allows. */
const LARGEST_PAGE = 50;
/** What a client consists of, and its life: logging in, connecting, losing the connection, logging out. */
export class Client {
    /** What is known: conversations, threads, marks, presence, typing. Its listeners hear of `status` too. */
    store = new Store();
    #emitter = new Emitter();
    #keeper;
    #hasWebSocket;
    http;
    session;
    #connection;
    sync;
    outbox;
    passing;
    pageSize;
    #status = "LOGGED_OUT";
    #connecting = [];
    constructor(options = {}) {
        const base = new URL(options.url ?? globalThis.location.origin);
        const endpoint = new URL("graphql", base.href.endsWith("/") ? base : `${base.href}/`);
        const socketUrl = new URL(endpoint);
        socketUrl.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";
        const storage = options.storage ?? browserStorage();
        const namespace = options.namespace ? `${options.namespace}/` : "";
        this.#keeper = new Keeper(storage, `parley/${endpoint.host}/${namespace}`);
        this.http = new Http(endpoint.href, options.fetch ?? ((...request) => globalThis.fetch(...request)));
        this.pageSize = Math.min(options.pageSize ?? 30, LARGEST_PAGE);
        this.session = new Session({
            http: this.http,
            keeper: this.#keeper,
            authenticate: options.authenticate,
            replaced: () => {
                this.#leave();
                this.#emitter.emit("loggedOut", new ParleyError("Logged out in another tab", "LOGGED_OUT"));
            },
            execute: (document, variables) => this.#connection.execute(document, variables),
        });
        const WebSocket = options.WebSocket ?? globalThis.WebSocket;
        this.#hasWebSocket = Boolean(WebSocket);
        this.#connection = new Connection({
            url: socketUrl.href,
            WebSocket,
            pingAfterMs: options.pingAfterMs ?? 10_000,
            answerWithinMs: options.answerWithinMs ?? 5_000,
            token: () => this.session.forEntering(),
            refused: (token) => this.session.refused(token),
            tokenExpiring: () => void this.session.renew(),
            opened: () => void this.#opened(),
            lost: () => this.#lost(),
            stopped: (error) => this.#stopped(error),
        });
        this.sync = new Sync({
            connection: this.#connection,
            store: this.store,
            emitter: this.#emitter,
            pageSize: this.pageSize,
            markDelivered: options.markDelivered ?? true,
            loaded: () => this.#connecting.splice(0).forEach(({ resolve }) => resolve()),
            failed: (error) => this.#connecting.splice(0).forEach(({ reject }) => reject(error)),
        });
        this.outbox = new Outbox({
            connection: this.#connection,
            http: this.http,
            files: options.files ?? browserFiles(),
            store: this.store,
            token: () => this.session.token,
            sent: (message) => this.#sent(message),
            refused: (item) => this.#emitter.emit("refused", item),
        });
        this.passing = new Passing(this.#connection, this.store, options.presence ?? true);
    }
    get status() {
        return this.#status;
    }
    /** The user who is logged in, once known; kept over a reload. */
    get me() {
        return this.store.me ?? this.session.user;
    }
    on(name, listener) {
        return this.#emitter.on(name, listener);
    }
    /** Find the session that the storage keeps; true if there is one. Call it first. */
    async restore() {
        if (!(await this.session.restore()))
            return false;
        if (this.session.user)
            await this.#enter();
        return true;
    }
    async register({ email, password, displayName, }) {
        await this.session.register(email, password, displayName);
        this.#leave();
        return this.#enter();
    }
    async login({ email, password }) {
        await this.session.login(email, password);
        this.#leave();
        return this.#enter();
    }
    /** End the session on the server, forget it here, and empty the outbox. */
    async logout() {
        await this.outbox.discardAll();
        this.#leave();
        await this.session.logout();
    }
    /** End all sessions of the user, on all devices. */
    async logoutEverywhere() {
        await this.ask(G.LogoutEverywhere, {});
        await this.logout();
    }
    /** All other sessions end; this one goes on with a new token. */
    async changePassword(currentPassword, newPassword) {
        const { changePassword } = await this.ask(G.ChangePassword, { currentPassword, newPassword });
        this.session.keep(changePassword);
        this.session.planRenewal();
    }
    async sessions() {
        return (await this.retrying(G.Sessions, {})).sessions;
    }
    async revokeSession(id) {
        await this.retrying(G.RevokeSession, { id });
    }
    async deleteAccount(password) {
        await this.ask(G.DeleteAccount, { password });
        await this.logout();
    }
    /**
     * Connect, and resolve once the store is loaded. From then on it goes on by itself after any cut. Rejects
     * where the token is no longer good; `loggedOut` tells of that too.
     */
    async connect() {
        // Not in the constructor: pages are rendered on servers that never connect.
        if (!this.#hasWebSocket)
            throw new TypeError("There is no WebSocket here: pass one to Parley, as of the package ws");
        if (this.store.loaded && this.#connection.isOpen)
            return;
        const done = new Promise((resolve, reject) => this.#connecting.push({ resolve, reject }));
        this.#connection.start();
        if (!this.#connection.isOpen)
            this.#setStatus("CONNECTING");
        await done;
    }
    disconnect() {
        this.#connection.stop();
        this.#connecting.splice(0).forEach(({ reject }) => reject(networkError("Disconnected")));
    }
    /** Ask once, on the connection; it must not be made twice. */
    async ask(document, variables) {
        return this.#connection.execute(document, variables);
    }
    /** Ask what may be asked twice: again when the connection goes before the answer. */
    retrying(document, variables) {
        return this.patiently(() => this.#connection.execute(document, variables));
    }
    async patiently(attempt) {
        const patience = Date.now() + PATIENCE_MS;
        for (let number = 0;; number += 1) {
            try {
                return await attempt();
            }
            catch (error) {
                const pause = isPassing(error) ? (error.retryAfterMs ?? pauseBefore(number)) : Infinity;
                if (Date.now() + pause > patience || !this.#connection.isStarted)
                    throw error;
                await Promise.race([wait(pause), this.#connection.isOpen ? wait(pause) : this.#connection.ready()]);
            }
        }
    }
    /** Change a message, and show the answer. */
    changing(document, variables, messageOf) {
        const put = (answer) => replaceMessage(this.store, messageOf(answer));
        return this.sync.during(() => this.retrying(document, variables), put);
    }
    /** Change a conversation, and show the answer. */
    async inConversation(document, variables, conversationOf) {
        const put = (answer) => putQueried(this.store, conversationOf(answer));
        return conversationOf(await this.sync.during(() => this.retrying(document, variables), put));
    }
    /** The login is known: take up what belongs to its user. */
    async #enter() {
        const { user } = this.session;
        if (!user)
            throw networkError("The session has no user"); // `authenticate` brought it: known once connected
        this.store.putMe(user);
        await this.outbox.restore(this.#keeperOf(user).below("outbox"));
        if (this.#status === "LOGGED_OUT")
            this.#setStatus("OFFLINE");
        return user;
    }
    #keeperOf({ id }) {
        return this.#keeper.below(id);
    }
    /** Forget the user who is here. */
    #leave() {
        this.#connection.stop(new ParleyError("Logged out", "LOGGED_OUT"));
        this.sync.forget();
        this.outbox.forget();
        this.session.pauseRenewal();
        this.store.forgetAll();
        this.#setStatus("LOGGED_OUT");
    }
    async #opened() {
        this.#setStatus("ONLINE");
        this.session.planRenewal();
        let user = this.session.user;
        if (!user) {
            const { me } = await this.#connection.execute(G.Me, {});
            this.session.keepUser((user = me));
        }
        await this.outbox.restore(this.#keeperOf(user).below("outbox"));
        void this.sync.follow(this.#keeperOf(user));
        this.passing.follow();
        this.outbox.resume();
    }
    #lost() {
        this.sync.pause();
        this.passing.pause();
        this.session.pauseRenewal();
        if (this.#connection.isStarted)
            this.#setStatus("CONNECTING");
        else if (this.#status !== "LOGGED_OUT")
            this.#setStatus("OFFLINE");
    }
    /** The server wants a login, and there is none to give. What is not sent yet waits for it. */
    #stopped(error) {
        this.#connecting.splice(0).forEach(({ reject }) => reject(error));
        this.#setStatus("LOGGED_OUT");
        this.#emitter.emit("loggedOut", error);
    }
    #sent(message) {
        // The event of it comes too: whichever is first.
        this.sync.refresh(applyAnswered(this.store, message));
        this.#emitter.emit("sent", message);
    }
    #setStatus(status) {
        if (this.#status === status)
            return;
        this.#status = status;
        this.store.touch();
        this.#emitter.emit("status", status);
    }
}
