/** An error that the server answered, or that the client has of its own (`NETWORK`, `LOGGED_OUT`). */
export declare class ParleyError extends Error {
    /** One of the codes of docs/protocol.md; NETWORK: no answer came; LOGGED_OUT: there is no token. */
    readonly code: string;
    /** After so long the same call may go through, where the server says so. */
    readonly retryAfterMs: number | null;
    constructor(message: string, code: string, retryAfterMs?: number | null);
}
interface GraphQLErrorShape {
    readonly message: string;
    readonly extensions?: {
        readonly code?: string;
        readonly retryAfterMs?: number;
    };
}
/** The first of an answer's errors. */
export declare function errorOf(errors: readonly GraphQLErrorShape[]): ParleyError;
export declare const networkError: (why: string) => ParleyError;
/** Whether the same call may go through later: the network or the server was away, or asked to wait. */
export declare function isPassing(error: unknown): error is ParleyError;
export {};
