import { ParleyError, errorOf, networkError } from "./errors.js";
const ANSWER_MS = 30_000;
const SLOWEST_UPLOAD_BYTES_PER_MS = 16;
/** GraphQL over HTTP: for what comes before a connection, and for files. */
export class Http {
    #endpoint;
    #fetch;
    constructor(endpoint, fetchOfApp) {
        this.#endpoint = endpoint;
        this.#fetch = fetchOfApp;
    }
    async execute(document, variables, token = null) {
        const body = JSON.stringify({ query: document.text, variables });
        const headers = { ...headersFor(token), "Content-Type": "application/json" };
        return (await this.#post({ headers, body, signal: AbortSignal.timeout(ANSWER_MS) }));
    }
    /** Execute a mutation whose variable `file` is a file. */
    async upload(document, variables, filename, token, signal) {
        const { file } = variables;
        const form = new FormData();
        form.append("operations", JSON.stringify({ query: document.text, variables: { ...variables, file: null } }));
        form.append("map", '{"0": ["variables.file"]}');
        form.append("0", file, filename);
        const headers = { ...headersFor(token), "GraphQL-Preflight": "1" };
        const limit = AbortSignal.timeout(ANSWER_MS + Math.ceil(file.size / SLOWEST_UPLOAD_BYTES_PER_MS));
        const either = new AbortController();
        for (const each of [limit, signal]) {
            if (each?.aborted)
                either.abort(each.reason);
            each?.addEventListener("abort", () => either.abort(each.reason), { once: true });
        }
        return (await this.#post({ headers, body: form, signal: either.signal }));
    }
    async #post(options) {
        let answer;
        try {
            const response = await this.#fetch(this.#endpoint, { method: "POST", ...options });
            answer = (await response.json());
        }
        catch (error) {
            if (options.signal?.aborted && options.signal.reason?.name === "AbortError")
                throw error;
            throw networkError(String(error));
        }
        if (answer.errors?.length)
            throw errorOf(answer.errors);
        if (answer.data)
            return answer.data;
        if (!answer.code)
            throw networkError("The answer is not one of GraphQL");
        throw new ParleyError(answer.message ?? "Refused", answer.code, answer.retryAfterMs ?? null);
    }
}
function headersFor(token) {
    const accept = { Accept: "application/graphql-response+json, application/json" };
    return token === null ? accept : { ...accept, Authorization: `Bearer ${token}` };
}
