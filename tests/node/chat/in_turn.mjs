// Graphcache keeps the result of each operation that is under way in a layer of its own, and merges
// the layers in an order of its own: an event that comes meanwhile can end under an older answer, or
// be dropped with its layer. This exchange holds events back while an answer is awaited.
import { filter, makeSubject, merge, pipe, tap } from "wonka";

/** Put it directly after cacheExchange: whatever is awaited is cached before the events that came meanwhile. */
export const eventsInTurn =
  ({ forward }) =>
  (operations) => {
    const awaited = new Set(); // the keys of queries and mutations that are not answered yet
    let held = [];
    const { source: released, next } = makeSubject();

    function release() {
      while (!awaited.size && held.length) next(held.shift());
    }
    function settle(key) {
      awaited.delete(key);
      if (!awaited.size) queueMicrotask(release); // once the cache has the answer
    }

    const results = pipe(
      operations,
      tap(({ kind, key }) => {
        if (kind === "query" || kind === "mutation") awaited.add(key);
        else if (kind === "teardown") settle(key);
      }),
      forward,
      filter((result) => {
        const isEvent = result.operation.kind === "subscription";
        const waits = isEvent && (awaited.size > 0 || held.length > 0);
        if (waits) held.push(result);
        else if (!isEvent) settle(result.operation.key);
        return !waits;
      }),
    );
    return merge([results, released]);
  };
