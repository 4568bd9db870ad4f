import { ParleyError, errorOf, networkError } from "./errors.js";
import { Timer } from "./time.js";
const PROTOCOL = "graphql-transport-ws";
const TOO_LARGE = 1009;
/** One connection of graphql-transport-ws, from its opening to its end. */
export class Socket {
    #options;
    #socket;
    #running = new Map();
    #silence = new Timer();
    #lastId = 0;
    #isOpen = false;
    #isClosed = false;
    constructor(options) {
        this.#options = options;
        this.#socket = new options.WebSocket(options.url, PROTOCOL);
        this.#socket.onopen = () => this.#say({ type: "connection_init", payload: { authorization: `Bearer ${options.token}` } });
        this.#socket.onmessage = ({ data }) => this.#hear(String(data));
        this.#socket.onerror = () => { }; // a close follows; Node's `ws` throws what nobody listens to
        this.#socket.onclose = ({ code, reason }) => this.#end(code, reason);
        this.#silence.set(2 * options.answerWithinMs, () => this.drop("No answer"));
    }
    /** Begin an operation; returns how to stop it. */
    run({ text }, variables, sink) {
        if (!this.#isOpen || this.#socket.readyState !== 1) {
            sink.error(networkError("Not connected"));
            return () => { };
        }
        const id = String((this.#lastId += 1));
        const message = JSON.stringify({ id, type: "subscribe", payload: { query: text, variables } });
        this.#running.set(id, { sink: sink, bytes: message.length });
        this.#socket.send(message);
        return () => {
            if (this.#running.delete(id))
                this.#say({ id, type: "complete" });
        };
    }
    /** Ask now whether the other end is there. */
    probe() {
        this.#say({ type: "ping" });
        this.#silence.set(this.#options.answerWithinMs, () => this.drop("No answer"));
    }
    /** Give the connection up at once, also where the other end says nothing any more. */
    drop(why) {
        this.#end(1006, why);
    }
    #say(message) {
        if (this.#socket.readyState === 1)
            this.#socket.send(JSON.stringify(message));
    }
    #hear(text) {
        if (this.#isClosed)
            return;
        this.#listen();
        const message = JSON.parse(text);
        if (message.type === "next" || message.type === "error" || message.type === "complete") {
            this.#answer(message);
        }
        else if (message.type === "ping") {
            this.#say({ type: "pong" });
            const { type } = (message.payload ?? {});
            if (type === "token_expiring")
                this.#options.tokenExpiring();
        }
        else if (message.type === "connection_ack") {
            this.#isOpen = true;
            this.#options.opened();
        }
    }
    #answer({ type, id, payload }) {
        const running = this.#running.get(id ?? "");
        if (!id || !running)
            return; // stopped meanwhile
        if (type === "next") {
            const { data, errors } = payload;
            if (!errors?.length)
                return running.sink.next(data);
            this.#running.delete(id);
            this.#say({ id, type: "complete" });
            return running.sink.error(errorOf(errors));
        }
        this.#running.delete(id);
        if (type === "complete")
            running.sink.complete();
        else
            running.sink.error(errorOf(payload));
    }
    /** Ask after a silence, and give up when no answer comes: a dead network closes nothing. */
    #listen() {
        this.#silence.set(this.#options.pingAfterMs, () => this.probe());
    }
    #end(code, reason) {
        if (this.#isClosed)
            return;
        this.#isClosed = true;
        this.#isOpen = false;
        this.#silence.clear();
        this.#socket.close();
        const running = [...this.#running.values()];
        this.#running.clear();
        // Whoever sent the largest message must not send it again.
        const largest = code === TOO_LARGE ? Math.max(...running.map(({ bytes }) => bytes)) : Infinity;
        for (const { sink, bytes } of running) {
            sink.error(bytes >= largest
                ? new ParleyError("The message is too large", "PAYLOAD_TOO_LARGE")
                : networkError(reason || `The connection was closed (${code})`));
        }
        this.#options.closed(code, reason);
    }
}
