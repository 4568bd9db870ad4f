import { Connection } from "./connection.js";
import type { Document } from "./document.js";
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
import type * as T from "./types.js";

/** A change that can be made twice is tried for so long; then the caller hears that there is no network. */
const PATIENCE_MS = 30_000;
/** A page of conversations with all that the store shows of them costs no more than the server allows. */
const LARGEST_PAGE = 50;

/** What a client consists of, and its life: logging in, connecting, losing the connection, logging out. */
export abstract class Client {
  /** What is known: conversations, threads, marks, presence, typing. Its listeners hear of `status` too. */
  readonly store = new Store();
  readonly #emitter = new Emitter<T.ParleyEvents>();
  readonly #keeper: Keeper;
  readonly #hasWebSocket: boolean;
  protected readonly http: Http;
  protected readonly session: Session;
  readonly #connection: Connection;
  protected readonly sync: Sync;
  protected readonly outbox: Outbox;
  protected readonly passing: Passing;
  protected readonly pageSize: number;
  #status: T.Status = "LOGGED_OUT";
  #connecting: { resolve(): void; reject(error: unknown): void }[] = [];

  constructor(options: T.ParleyOptions = {}) {
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

  get status(): T.Status {
    return this.#status;
  }

  /** The user who is logged in, once known; kept over a reload. */
  get me(): T.Me | null {
    return this.store.me ?? this.session.user;
  }

  on<Name extends keyof T.ParleyEvents>(name: Name, listener: (value: T.ParleyEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Find the session that the storage keeps; true if there is one. Call it first. */
  async restore(): Promise<boolean> {
    if (!(await this.session.restore())) return false;
    if (this.session.user) await this.#enter();
    return true;
  }

  async register({
    email,
    password,
    displayName,
  }: {
    email: string;
    password: string;
    displayName: string;
  }): Promise<T.Me> {
    await this.session.register(email, password, displayName);
    this.#leave();
    return this.#enter();
  }

  async login({ email, password }: { email: string; password: string }): Promise<T.Me> {
    await this.session.login(email, password);
    this.#leave();
    return this.#enter();
  }

  /** End the session on the server, forget it here, and empty the outbox. */
  async logout(): Promise<void> {
    await this.outbox.discardAll();
    this.#leave();
    await this.session.logout();
  }

  /** End all sessions of the user, on all devices. */
  async logoutEverywhere(): Promise<void> {
    await this.ask(G.LogoutEverywhere, {});
    await this.logout();
  }

  /** All other sessions end; this one goes on with a new token. */
  async changePassword(currentPassword: string, newPassword: string): Promise<void> {
    const { changePassword } = await this.ask(G.ChangePassword, { currentPassword, newPassword });
    this.session.keep(changePassword);
    this.session.planRenewal();
  }

  async sessions(): Promise<readonly T.LoginSession[]> {
    return (await this.retrying(G.Sessions, {})).sessions;
  }

  async revokeSession(id: string): Promise<void> {
    await this.retrying(G.RevokeSession, { id });
  }

  async deleteAccount(password: string): Promise<void> {
    await this.ask(G.DeleteAccount, { password });
    await this.logout();
  }

  /**
   * Connect, and resolve once the store is loaded. From then on it goes on by itself after any cut. Rejects
   * where the token is no longer good; `loggedOut` tells of that too.
   */
  async connect(): Promise<void> {
    // Not in the constructor: pages are rendered on servers that never connect.
    if (!this.#hasWebSocket) throw new TypeError("There is no WebSocket here: pass one to Parley, as of the package ws");
    if (this.store.loaded && this.#connection.isOpen) return;
    const done = new Promise<void>((resolve, reject) => this.#connecting.push({ resolve, reject }));
    this.#connection.start();
    if (!this.#connection.isOpen) this.#setStatus("CONNECTING");
    await done;
  }

  disconnect(): void {
    this.#connection.stop();
    this.#connecting.splice(0).forEach(({ reject }) => reject(networkError("Disconnected")));
  }

  /** Ask once, on the connection; it must not be made twice. */
  protected async ask<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data> {
    return this.#connection.execute(document, variables);
  }

  /** Ask what may be asked twice: again when the connection goes before the answer. */
  protected retrying<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data> {
    return this.patiently(() => this.#connection.execute(document, variables));
  }

  protected async patiently<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    const patience = Date.now() + PATIENCE_MS;
    for (let number = 0; ; number += 1) {
      try {
        return await attempt();
      } catch (error) {
        const pause = isPassing(error) ? (error.retryAfterMs ?? pauseBefore(number)) : Infinity;
        if (Date.now() + pause > patience || !this.#connection.isStarted) throw error;
        await Promise.race([wait(pause), this.#connection.isOpen ? wait(pause) : this.#connection.ready()]);
      }
    }
  }

  /** Change a message, and show the answer. */
  protected changing<Data, Variables>(
    document: Document<Data, Variables>,
    variables: Variables,
    messageOf: (answer: Data) => T.Message,
  ): Promise<Data> {
    const put = (answer: Data) => replaceMessage(this.store, messageOf(answer));
    return this.sync.during(() => this.retrying(document, variables), put);
  }

  /** Change a conversation, and show the answer. */
  protected async inConversation<Data, Variables>(
    document: Document<Data, Variables>,
    variables: Variables,
    conversationOf: (answer: Data) => T.Conversation,
  ): Promise<T.Conversation> {
    const put = (answer: Data) => putQueried(this.store, conversationOf(answer));
    return conversationOf(await this.sync.during(() => this.retrying(document, variables), put));
  }

  /** The login is known: take up what belongs to its user. */
  async #enter(): Promise<T.Me> {
    const { user } = this.session;
    if (!user) throw networkError("The session has no user"); // `authenticate` brought it: known once connected
    this.store.putMe(user);
    await this.outbox.restore(this.#keeperOf(user).below("outbox"));
    if (this.#status === "LOGGED_OUT") this.#setStatus("OFFLINE");
    return user;
  }

  #keeperOf({ id }: { id: string }): Keeper {
    return this.#keeper.below(id);
  }

  /** Forget the user who is here. */
  #leave(): void {
    this.#connection.stop(new ParleyError("Logged out", "LOGGED_OUT"));
    this.sync.forget();
    this.outbox.forget();
    this.session.pauseRenewal();
    this.store.forgetAll();
    this.#setStatus("LOGGED_OUT");
  }

  async #opened(): Promise<void> {
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

  #lost(): void {
    this.sync.pause();
    this.passing.pause();
    this.session.pauseRenewal();
    if (this.#connection.isStarted) this.#setStatus("CONNECTING");
    else if (this.#status !== "LOGGED_OUT") this.#setStatus("OFFLINE");
  }

  /** The server wants a login, and there is none to give. What is not sent yet waits for it. */
  #stopped(error: ParleyError): void {
    this.#connecting.splice(0).forEach(({ reject }) => reject(error));
    this.#setStatus("LOGGED_OUT");
    this.#emitter.emit("loggedOut", error);
  }

  #sent(message: T.Message): void {
    // The event of it comes too: whichever is first.
    this.sync.refresh(applyAnswered(this.store, message));
    this.#emitter.emit("sent", message);
  }

  #setStatus(status: T.Status): void {
    if (this.#status === status) return;
    this.#status = status;
    this.store.touch();
    this.#emitter.emit("status", status);
  }
}
