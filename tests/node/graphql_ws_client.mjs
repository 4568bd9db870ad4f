// A graphql-transport-ws client (package graphql-ws), driven by JSON lines.
//
// graphql_ws_client.mjs URL '{"connectionParams": {...}, ...other options of createClient}'
//   commands: {command: "subscribe", id, query, variables?, operationName?}
//             {command: "execute", ...the same}   its only result comes as one "result"
//             {command: "unsubscribe", id}, {command: "close"}
//   messages: connected, next {id, payload}, result {id, payload}, complete {id},
//             error {id, errors?, close?, message?}, closed {code, reason, wasClean},
//             ping/pong {received}, fatal {code?, reason?, message?}
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { commandLine, print, serve } from "./lines.mjs";

const [url, options] = commandLine("graphql_ws_client.mjs URL [OPTIONS]");
const unsubscribe = new Map();

/** What went wrong: GraphQL errors, a close of the socket, or an exception. */
function failure(error) {
  if (Array.isArray(error)) return { errors: error };
  if (typeof error?.code === "number") return { close: closeOf(error) };
  return { message: String(error?.message ?? error) };
}

function closeOf({ code, reason, wasClean }) {
  return { code, reason: String(reason ?? ""), wasClean };
}

const client = createClient({
  webSocketImpl: WebSocket,
  url,
  lazy: false,
  retryAttempts: 0,
  shouldRetry: () => true, // also while nobody listens: a restart takes a moment
  onNonLazyError: (error) => print({ type: "fatal", ...failure(error) }),
  ...options,
  on: {
    connected: (_socket, payload) => print({ type: "connected", payload: payload ?? null }),
    closed: (event) => print({ type: "closed", ...closeOf(event) }),
    ping: (received, payload) => print({ type: "ping", received, payload: payload ?? null }),
    pong: (received, payload) => print({ type: "pong", received, payload: payload ?? null }),
  },
});

function subscribe({ id, query, variables, operationName }, resultType) {
  let stopped = false;
  const stop = client.subscribe(
    { query, variables, operationName },
    {
      next: (payload) => print({ type: resultType, id, payload }),
      error: (error) => print({ type: "error", id, ...failure(error) }),
      // Our own unsubscribe completes the sink too; only the server's end is worth a message.
      complete: () => stopped || print({ type: "complete", id }),
    },
  );
  unsubscribe.set(id, () => {
    stopped = true;
    stop();
  });
}

serve(
  {
    subscribe: (message) => subscribe(message, "next"),
    execute: (message) => subscribe(message, "result"),
    unsubscribe: ({ id }) => unsubscribe.get(id)(),
    close: () => client.dispose(),
  },
  () => client.terminate(),
);
