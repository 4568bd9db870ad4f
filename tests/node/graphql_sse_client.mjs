// A client of server-sent events (package graphql-sse), driven by JSON lines.
//
// graphql_sse_client.mjs URL '{"headers": {...}, "retryMs": …}'
//   commands: {command: "subscribe", id, query, variables?, resume?: true}
//                 with resume, `variables.after` moves on to the last event's cursor
//             {command: "unsubscribe", id}
//   messages: next {id, payload}, complete {id}, error {id, errors?, message?}, connected {id}
import { setTimeout as wait } from "node:timers/promises";
import { createClient } from "graphql-sse";
import { commandLine, print, serve } from "./lines.mjs";

const [url, { headers, retryMs }] = commandLine("graphql_sse_client.mjs URL [OPTIONS]");
const unsubscribe = new Map();
const client = createClient({
  url,
  headers,
  retryAttempts: retryMs ? 100 : 0,
  retry: () => wait(retryMs),
});

function subscribe({ id, query, variables, resume = false }) {
  const request = { query, variables };
  const stop = client.subscribe(
    request,
    {
      next: (payload) => {
        if (resume && payload.data) variables.after = payload.data.events.cursor;
        print({ type: "next", id, payload });
      },
      error: (error) => {
        const errors = Array.isArray(error) ? error : undefined;
        print({ type: "error", id, errors, message: String(error?.message ?? error) });
      },
      complete: () => print({ type: "complete", id }),
    },
    { connected: () => print({ type: "connected", id }) },
  );
  unsubscribe.set(id, stop);
}

serve({ subscribe, unsubscribe: ({ id }) => unsubscribe.get(id)() }, () => client.dispose());
