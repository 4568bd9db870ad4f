// A graphql-transport-ws client (package graphql-ws), driven by JSON lines.
//
// graphql_ws_client.mjs URL '{"connectionParams": {...}, ...other options of createClient}'
//   options of our own: library (a package that is graphql-ws, of another version), retryMs (between
//             two attempts, in place of the library's own wait), initDelayMs (before the first
//             connection_init), autoPong: false (answer no WebSocket ping)
//   commands: {command: "subscribe", id, query, variables?, operationName?, resume?: true}
//                 with resume, `variables.after` moves on to the last message's id, as an
//                 application has to do
//             {command: "execute", ...the same}   its only result comes as one "result"
//             {command: "unsubscribe", id}, {command: "close"}
//             {command: "raw", text? or bytes?: hex}: past the library, to misuse the protocol
//   messages: connected, next {id, payload}, result {id, payload}, complete {id},
//             error {id, errors?, close?, message?}, closed {code, reason, wasClean},
//             ping/pong {received}, fatal {code?, reason?, message?}
import { setTimeout as wait } from "node:timers/promises";
import WebSocket from "ws";
import { commandLine, print, serve } from "./lines.mjs";

const [url, given] = commandLine("graphql_ws_client.mjs URL [OPTIONS]");
const { library = "graphql-ws", retryMs, initDelayMs, autoPong = true, ...options } = given;
const { createClient } = await import(library);
const unsubscribe = new Map();
let webSocket = null;
let initDelay = initDelayMs;

class Socket extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { autoPong });
    webSocket = this;
  }
}

/** What went wrong: GraphQL errors, a close of the socket, or an exception. */
function failure(error) {
  if (Array.isArray(error)) return { errors: error };
  if (typeof error?.code === "number") return { close: closeOf(error) };
  return { message: String(error?.message ?? error) };
}

function closeOf({ code, reason, wasClean }) {
  return { code, reason: String(reason ?? ""), wasClean };
}

if (retryMs) options.retryWait = () => wait(retryMs);
if (initDelayMs) {
  const { connectionParams } = options;
  options.connectionParams = async () => {
    const delay = initDelay;
    initDelay = 0;
    await wait(delay);
    return connectionParams;
  };
}

const client = createClient({
  webSocketImpl: Socket,
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

function subscribe({ id, query, variables, operationName, resume = false }, resultType) {
  let stopped = false;
  const stop = client.subscribe(
    { query, variables, operationName },
    {
      next: (payload) => {
        if (resume) variables.after = payload.data.messageAdded.id;
        print({ type: resultType, id, payload });
      },
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
    raw: ({ text, bytes }) => {
      if (text !== undefined) webSocket.send(text);
      else webSocket._socket.write(Buffer.from(bytes, "hex"));
    },
  },
  () => client.terminate(),
);
