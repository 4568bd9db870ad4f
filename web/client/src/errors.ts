/** An error that the server answered, or that the client has of its own (`NETWORK`, `LOGGED_OUT`). */
export class ParleyError extends Error {
  /** One of the codes of docs/protocol.md; NETWORK: no answer came; LOGGED_OUT: there is no token. */
  readonly code: string;
  /** After so long the same call may go through, where the server says so. */
  readonly retryAfterMs: number | null;

  constructor(message: string, code: string, retryAfterMs: number | null = null) {
    super(message);
    this.name = "ParleyError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

interface GraphQLErrorShape {
  readonly message: string;
  readonly extensions?: { readonly code?: string; readonly retryAfterMs?: number };
}

/** The first of an answer's errors. */
export function errorOf(errors: readonly GraphQLErrorShape[]): ParleyError {
  const [first] = errors;
  const { code = "INTERNAL", retryAfterMs = null } = first?.extensions ?? {};
  return new ParleyError(first?.message ?? "The server answered an error", code, retryAfterMs);
}

export const networkError = (why: string) => new ParleyError(why, "NETWORK");

/** Whether the same call may go through later: the network or the server was away, or asked to wait. */
export function isPassing(error: unknown): error is ParleyError {
  if (!(error instanceof ParleyError)) return false;
  const { code, retryAfterMs } = error;
  return code === "NETWORK" || code === "RATE_LIMITED" || (code === "INTERNAL" && retryAfterMs !== null);
}
