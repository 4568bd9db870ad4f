import type { Document } from "./document.js";
import { ParleyError, errorOf, networkError } from "./errors.js";

const ANSWER_MS = 30_000;
const SLOWEST_UPLOAD_BYTES_PER_MS = 16;

interface Answer {
  readonly data?: unknown;
  readonly errors?: Parameters<typeof errorOf>[0];
  /** What is refused before it reaches GraphQL has the form of REST. */
  readonly message?: string;
  readonly code?: string;
  readonly retryAfterMs?: number;
}

/** GraphQL over HTTP: for what comes before a connection, and for files. */
export class Http {
  readonly #endpoint: string;
  readonly #fetch: typeof fetch;

  constructor(endpoint: string, fetchOfApp: typeof fetch) {
    this.#endpoint = endpoint;
    this.#fetch = fetchOfApp;
  }

  async execute<Data, Variables>(
    document: Document<Data, Variables>,
    variables: Variables,
    token: string | null = null,
  ): Promise<Data> {
    const body = JSON.stringify({ query: document.text, variables });
    const headers = { ...headersFor(token), "Content-Type": "application/json" };
    return (await this.#post({ headers, body, signal: AbortSignal.timeout(ANSWER_MS) })) as Data;
  }

  /** Execute a mutation whose variable `file` is a file. */
  async upload<Data, Variables>(
    document: Document<Data, Variables>,
    variables: Variables & { readonly file: Blob },
    filename: string,
    token: string,
    signal?: AbortSignal,
  ): Promise<Data> {
    const { file } = variables;
    const form = new FormData();
    form.append("operations", JSON.stringify({ query: document.text, variables: { ...variables, file: null } }));
    form.append("map", '{"0": ["variables.file"]}');
    form.append("0", file, filename);
    const headers = { ...headersFor(token), "GraphQL-Preflight": "1" };
    const limit = AbortSignal.timeout(ANSWER_MS + Math.ceil(file.size / SLOWEST_UPLOAD_BYTES_PER_MS));
    const either = new AbortController();
    for (const each of [limit, signal]) {
      if (each?.aborted) either.abort(each.reason);
      each?.addEventListener("abort", () => either.abort(each.reason), { once: true });
    }
    return (await this.#post({ headers, body: form, signal: either.signal })) as Data;
  }

  async #post(options: RequestInit): Promise<unknown> {
    let answer: Answer;
    try {
      const response = await this.#fetch(this.#endpoint, { method: "POST", ...options });
      answer = (await response.json()) as Answer;
    } catch (error) {
      if (options.signal?.aborted && options.signal.reason?.name === "AbortError") throw error;
      throw networkError(String(error));
    }
    if (answer.errors?.length) throw errorOf(answer.errors);
    if (answer.data) return answer.data;
    if (!answer.code) throw networkError("The answer is not one of GraphQL");
    throw new ParleyError(answer.message ?? "Refused", answer.code, answer.retryAfterMs ?? null);
  }
}

function headersFor(token: string | null): Record<string, string> {
  const accept = { Accept: "application/graphql-response+json, application/json" };
  return token === null ? accept : { ...accept, Authorization: `Bearer ${token}` };
}
