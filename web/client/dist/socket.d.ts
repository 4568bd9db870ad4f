import type { Document } from "./document.js";
import { ParleyError } from "./errors.js";
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
/** One connection of graphql-transport-ws, from its opening to its end. */
export declare class Socket {
    #private;
    constructor(options: SocketOptions);
    /** Begin an operation; returns how to stop it. */
    run<Data, Variables>({ text }: Document<Data, Variables>, variables: Variables, sink: Sink<Data>): () => void;
    /** Ask now whether the other end is there. */
    probe(): void;
    /** Give the connection up at once, also where the other end says nothing any more. */
    drop(why: string): void;
}
