import type { Document } from "./document.js";
import { ParleyError } from "./errors.js";
import { type Sink } from "./socket.js";
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
export declare class Connection {
    #private;
    constructor(options: ConnectionOptions);
    get isOpen(): boolean;
    get isStarted(): boolean;
    start(): void;
    stop(error?: ParleyError): void;
    /** Connect anew, with the token that is good now. */
    restart(): void;
    /** Resolve once there is a connection; reject when there will be none. */
    ready(): Promise<void>;
    /** The answer of a query or a mutation; NETWORK when the connection goes first. */
    execute<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data>;
    /** Begin a subscription on the connection there is now: it ends with that connection. */
    subscribe<Data, Variables>(document: Document<Data, Variables>, variables: Variables, sink: Sink<Data>): () => void;
}
