// Copy this file into your app. It makes a client of graphql-ws that comes back after any cut, and goes on
// behind the last event that your app has had. Apollo Client, urql and Relay take it as their client.
import { createClient } from "graphql-ws";

const ASK_AFTER_MS = 10_000;
const ANSWER_WITHIN_MS = 5_000;

export function createResumingClient(options) {
  let unanswered;
  const client = createClient({
    retryAttempts: Infinity, // by default it gives up after five, about half a minute
    shouldRetry: () => true,
    keepAlive: ASK_AFTER_MS,
    ...options,
    on: {
      ...options.on,
      // A dead network closes nothing. Where no answer comes, the connection is replaced.
      ping: (received) => {
        if (!received) unanswered = setTimeout(() => client.terminate(), ANSWER_WITHIN_MS);
      },
      pong: (received) => received && clearTimeout(unanswered),
      closed: () => clearTimeout(unanswered),
    },
  });

  function subscribe(payload, sink) {
    const next = (result) => {
      // graphql-ws sends this payload again after a cut: let it begin behind what has come.
      const after = result.data?.events?.cursor ?? result.data?.messageAdded?.id;
      if (after) payload.variables = { ...payload.variables, after };
      sink.next(result);
    };
    return client.subscribe(payload, { ...sink, next });
  }

  return { ...client, subscribe };
}
