import type { Document } from "./document.js";
import { ParleyError, errorOf, networkError } from "./errors.js";
import { Timer } from "./time.js";

const PROTOCOL = "graphql-transport-ws";
const TOO_LARGE = 1009;

/** Who hears of an operation. After `error` or `complete` nothing more comes. */
export interface Sink<Data> {
  next(data: Data): void;
  error(error: ParleyError): void;
  complete(): void;
}

export interface SocketOptions {
  readonly url: string;
  readonly WebSocket: typeof WebSocket;
  readonly token: string;
  readonly pingAfterMs: number;
  readonly answerWithinMs: number;
  /** The server has taken the token: operations may begin. */
  opened(): void;
  /** The connection is gone, for whatever reason; called once. */
  closed(code: number, reason: string): void;
  /** The token ends soon, and with it the connection. */
  tokenExpiring(): void;
}

interface Running {
  readonly sink: Sink<unknown>;
  readonly bytes: number;
}

interface Incoming {
  readonly type: string;
  readonly id?: string;
  readonly payload?: unknown;
}

/** One connection of graphql-transport-ws, from its opening to its end. */
export class Socket {
  readonly #options: SocketOptions;
  readonly #socket: WebSocket;
  readonly #running = new Map<string, Running>();
  readonly #silence = new Timer();
  #lastId = 0;
  #isOpen = false;
  #isClosed = false;

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#socket = new options.WebSocket(options.url, PROTOCOL);
    this.#socket.onopen = () =>
      this.#say({ type: "connection_init", payload: { authorization: `Bearer ${options.token}` } });
    this.#socket.onmessage = ({ data }) => this.#hear(String(data));
    this.#socket.onerror = () => {}; // a close follows; Node's `ws` throws what nobody listens to
    this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
    this.#silence.set(2 * options.answerWithinMs, () => this.drop("No answer"));
  }

  /** Begin an operation; returns how to stop it. */
  run<Data, Variables>({ text }: Document<Data, Variables>, variables: Variables, sink: Sink<Data>): () => void {
    if (!this.#isOpen || this.#socket.readyState !== 1) {
      sink.error(networkError("Not connected"));
      return () => {};
    }
    const id = String((this.#lastId += 1));
    const message = JSON.stringify({ id, type: "subscribe", payload: { query: text, variables } });
    this.#running.set(id, { sink: sink as Sink<unknown>, bytes: message.length });
    this.#socket.send(message);
    return () => {
      if (this.#running.delete(id)) this.#say({ id, type: "complete" });
    };
  }

  /** Ask now whether the other end is there. */
  probe(): void {
    this.#say({ type: "ping" });
    this.#silence.set(this.#options.answerWithinMs, () => this.drop("No answer"));
  }

  /** Give the connection up at once, also where the other end says nothing any more. */
  drop(why: string): void {
    this.#end(1006, why);
  }

  #say(message: object): void {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #hear(text: string): void {
    if (this.#isClosed) return;
    this.#listen();
    const message = JSON.parse(text) as Incoming;
    if (message.type === "next" || message.type === "error" || message.type === "complete") {
      this.#answer(message);
    } else if (message.type === "ping") {
      this.#say({ type: "pong" });
      const { type } = (message.payload ?? {}) as { type?: string };
      if (type === "token_expiring") this.#options.tokenExpiring();
    } else if (message.type === "connection_ack") {
      this.#isOpen = true;
      this.#options.opened();
    }
  }

  #answer({ type, id, payload }: Incoming): void {
    const running = this.#running.get(id ?? "");
    if (!id || !running) return; // stopped meanwhile
    if (type === "next") {
      const { data, errors } = payload as { data?: unknown; errors?: Parameters<typeof errorOf>[0] };
      if (!errors?.length) return running.sink.next(data);
      this.#running.delete(id);
      this.#say({ id, type: "complete" });
      return running.sink.error(errorOf(errors));
    }
    this.#running.delete(id);
    if (type === "complete") running.sink.complete();
    else running.sink.error(errorOf(payload as Parameters<typeof errorOf>[0]));
  }

  /** Ask after a silence, and give up when no answer comes: a dead network closes nothing. */
  #listen(): void {
    this.#silence.set(this.#options.pingAfterMs, () => this.probe());
  }

  #end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isOpen = false;
    this.#silence.clear();
    this.#socket.close();
    const running = [...this.#running.values()];
    this.#running.clear();
    // Whoever sent the largest message must not send it again.
    const largest = code === TOO_LARGE ? Math.max(...running.map(({ bytes }) => bytes)) : Infinity;
    for (const { sink, bytes } of running) {
      sink.error(
        bytes >= largest
          ? new ParleyError("The message is too large", "PAYLOAD_TOO_LARGE")
          : networkError(reason || `The connection was closed (${code})`),
      );
    }
    this.#options.closed(code, reason);
  }
}
