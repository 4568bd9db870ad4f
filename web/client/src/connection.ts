import type { Document } from "./document.js";
import { ParleyError, networkError } from "./errors.js";
import { Socket, type Sink, type SocketOptions } from "./socket.js";
import { Timer, pauseBefore } from "./time.js";

const REFUSED = 4403; // its reason is "Forbidden", which helps nobody
const SESSION_ENDED = new Set([4401, REFUSED]);
const TOO_MANY_CONNECTIONS = 4420;
const STEADY_MS = 2_000;
const PAUSE_WHEN_TOO_MANY_MS = 10_000;

export interface ConnectionOptions {
  readonly url: string;
  readonly WebSocket: typeof WebSocket;
  readonly pingAfterMs: number;
  readonly answerWithinMs: number;
  /** A token to enter with; rejects with NETWORK to be asked again later, else the connection stops. */
  token(): Promise<string>;
  /** The server refused this token. True: try again with another one. */
  refused(token: string, error: ParleyError): Promise<boolean>;
  opened(): void;
  /** A connection that was open is gone, or none comes about. */
  lost(): void;
  stopped(error: ParleyError): void;
  tokenExpiring(): void;
}

/** Is connected, or tries to be, from `start` to `stop`. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #pause = new Timer();
  #socket: Socket | null = null;
  #isOpen = false;
  #openedAt = 0;
  #attempt = 0;
  #run = 0; // of which start; 0 while stopped
  #starts = 0;
  #waiting: { resolve(): void; reject(error: ParleyError): void }[] = [];

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isStarted(): boolean {
    return this.#run > 0;
  }

  start(): void {
    if (this.#run) return;
    this.#run = this.#starts += 1;
    this.#attempt = 0;
    for (const name of ["online", "offline"]) globalThis.addEventListener?.(name, this.#hurry);
    globalThis.document?.addEventListener("visibilitychange", this.#hurry);
    void this.#open(this.#run);
  }

  stop(error = networkError("Disconnected")): void {
    this.#run = 0;
    this.#pause.clear();
    for (const name of ["online", "offline"]) globalThis.removeEventListener?.(name, this.#hurry);
    globalThis.document?.removeEventListener("visibilitychange", this.#hurry);
    this.#socket?.drop(error.message);
    this.#socket = null;
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#options.lost();
  }

  /** Connect anew, with the token that is good now. */
  restart(): void {
    if (!this.#run) return;
    this.stop();
    this.start();
  }

  /** Resolve once there is a connection; reject when there will be none. */
  ready(): Promise<void> {
    if (this.#isOpen) return Promise.resolve();
    if (!this.#run) return Promise.reject(networkError("Not connected"));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The answer of a query or a mutation; NETWORK when the connection goes first. */
  execute<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data> {
    return new Promise((resolve, reject) =>
      this.subscribe(document, variables, {
        next: resolve,
        error: reject,
        complete: () => reject(networkError("The operation ended without an answer")),
      }),
    );
  }

  /** Begin a subscription on the connection there is now: it ends with that connection. */
  subscribe<Data, Variables>(document: Document<Data, Variables>, variables: Variables, sink: Sink<Data>): () => void {
    if (this.#socket) return this.#socket.run(document, variables, sink);
    sink.error(networkError("Not connected"));
    return () => {};
  }

  /** The network has come or gone, or somebody looks: find out at once how things are. */
  #hurry = () => {
    if (globalThis.document?.visibilityState === "hidden") return;
    if (this.#isOpen) this.#socket?.probe(); // perhaps it did not survive
    if (!this.#pause.isSet) return;
    this.#pause.clear();
    void this.#open(this.#run);
  };

  async #open(run: number): Promise<void> {
    const { url, WebSocket, pingAfterMs, answerWithinMs, opened, tokenExpiring } = this.#options;
    let token: string;
    try {
      token = await this.#options.token();
    } catch (error) {
      if (run === this.#run) this.#failed(error as ParleyError);
      return;
    }
    if (run !== this.#run) return;
    const options: SocketOptions = {
      url,
      WebSocket,
      token,
      pingAfterMs,
      answerWithinMs,
      tokenExpiring,
      opened: () => {
        this.#isOpen = true;
        this.#openedAt = Date.now();
        for (const { resolve } of this.#waiting.splice(0)) resolve();
        opened();
      },
      closed: (code, reason) => void this.#closed(run, token, code, reason),
    };
    try {
      this.#socket = new Socket(options);
    } catch (error) {
      this.#failed(networkError(String(error))); // an address that no WebSocket takes
    }
  }

  async #closed(run: number, token: string, code: number, reason: string): Promise<void> {
    const wasOpen = this.#isOpen;
    this.#isOpen = false;
    if (run !== this.#run) return;
    this.#socket = null;
    // One that ends as soon as it begins is no reason to hurry.
    if (wasOpen && Date.now() - this.#openedAt > STEADY_MS) this.#attempt = 0;
    this.#options.lost();
    if (SESSION_ENDED.has(code)) {
      const why = code === REFUSED ? "The token is not good any more; log in again" : reason || "The session has ended";
      const error = new ParleyError(why, "UNAUTHENTICATED");
      const again = await this.#options.refused(token, error);
      if (run !== this.#run) return;
      if (!again) return this.#giveUp(error);
    }
    const least = code === TOO_MANY_CONNECTIONS ? PAUSE_WHEN_TOO_MANY_MS : 0;
    this.#again(least);
  }

  #failed(error: ParleyError): void {
    if (error.code === "NETWORK") this.#again();
    else this.#giveUp(error);
  }

  #again(leastMs = 0): void {
    const run = this.#run;
    const pause = leastMs + pauseBefore(this.#attempt);
    this.#attempt += 1;
    this.#pause.set(pause, () => void this.#open(run));
  }

  #giveUp(error: ParleyError): void {
    this.stop(error);
    this.#options.stopped(error);
  }
}
