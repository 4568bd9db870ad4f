/** An error that the server answered, or that the client has of its own (`NETWORK`, `LOGGED_OUT`). */
export class ParleyError extends Error {
    /** One of the codes of docs/protocol.md; NETWORK: no answer came; LOGGED_OUT: there is no token. */
    code;
    /** After so long the same call may go through, where the server says so. */
    retryAfterMs;
    constructor(message, code, retryAfterMs = null) {
        super(message);
        this.name = "ParleyError";
        this.code = code;
        this.retryAfterMs = retryAfterMs;
    }
}
/** The first of an answer's errors. */
export function errorOf(errors) {
    const [first] = errors;
    const { code = "INTERNAL", retryAfterMs = null } = first?.extensions ?? {};
    return new ParleyError(first?.message ?? "The server answered an error", code, retryAfterMs);
}
export const networkError = (why) => new ParleyError(why, "NETWORK");
/** Whether the same call may go through later: the network or the server was away, or asked to wait. */
export function isPassing(error) {
    if (!(error instanceof ParleyError))
        return false;
    const { code, retryAfterMs } = error;
    return code === "NETWORK" || code === "RATE_LIMITED" || (code === "INTERNAL" && retryAfterMs !== null);
}
