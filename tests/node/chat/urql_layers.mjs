// Graphcache alone, without a server: events, answers and failures in any order. What it keeps in the
// end is compared with the last that was told of each message.
//
// urql_layers.mjs SEEDS: prints {type: "lost", plain, inTurn}, the number of seeds with a message that
// is older in the cache: with Graphcache as it comes, and with the exchange of in_turn.mjs.
import { Client, makeErrorResult, makeResult } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { filter, makeSubject, merge, pipe, tap } from "wonka";
import { commandLine, print } from "../lines.mjs";
import { eventsInTurn } from "./in_turn.mjs";

const ALL = "query All { conversation { __typename id messages { __typename id content } } }";
const LAST = "query Last($turn: Int) { conversation { __typename id last { __typename id content } } }";
const EVENTS = "subscription Events { event { __typename message { __typename id content } } }";
const SEND = "mutation Send($content: String) { send(content: $content) { __typename id content } }";
const IDS = ["1", "2", "3"];
const STEPS = 40;

const message = (id, content) => ({ __typename: "Message", id, content });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Numbers from 0 to 1, the same for the same seed. */
function chanceOf(seed) {
  let state = seed * 2654435761;
  return () => (state = (state * 1664525 + 1013904223) % 2 ** 32) / 2 ** 32;
}

/** Whether the cache has lost something. */
async function loses(seed, exchanges) {
  const chance = chanceOf(seed);
  const stored = new Map(IDS.map((id) => [id, "first"]));
  const awaited = [];
  const { source, next } = makeSubject();
  let subscription;
  const network = () => (operations) => {
    const taken = pipe(
      operations,
      tap((operation) => {
        const at = awaited.findIndex(({ key }) => key === operation.key);
        if (operation.kind === "subscription") subscription = operation;
        else if (operation.kind !== "teardown") awaited.push(operation);
        else if (at >= 0) awaited.splice(at, 1);
      }),
      filter(() => false),
    );
    return merge([taken, source]);
  };
  const cache = cacheExchange({
    keys: { Event: () => null },
    optimistic: { send: ({ content }) => message("optimistic", content) },
  });
  const client = new Client({ url: "http://nowhere", exchanges: [cache, ...exchanges, network] });

  function answer(operation, fails) {
    awaited.splice(awaited.indexOf(operation), 1);
    if (fails) return next(makeErrorResult(operation, new Error("the network")));
    const messages = [...stored].map(([id, content]) => message(id, content));
    const conversation = { __typename: "Conversation", id: "c", messages, last: messages.at(-1) };
    const data = operation.kind === "query" ? { conversation } : { send: message("4", operation.variables.content) };
    next(makeResult(operation, { data }));
  }

  client.query(ALL, {}).subscribe(() => {});
  await turn();
  answer(awaited[0], false);
  client.subscription(EVENTS, {}).subscribe(() => {});
  for (let step = 0; step < STEPS; step++) {
    await turn();
    const what = chance();
    if (what < 0.35) {
      const id = IDS[Math.floor(chance() * IDS.length)];
      stored.set(id, `step ${step}`);
      const event = { __typename: "Event", message: message(id, stored.get(id)) };
      next({ ...makeResult(subscription, { data: { event } }), hasNext: true });
    } else if (what < 0.4) {
      client.mutation(SEND, { content: `step ${step}` }).toPromise();
    } else if (what < 0.55) {
      client.query(LAST, { turn: step }, { requestPolicy: "network-only" }).toPromise();
    } else if (awaited.length) {
      answer(awaited[Math.floor(chance() * awaited.length)], chance() < 0.5);
    }
  }
  for (let last = 0; last < STEPS; last++) {
    if (awaited.length) answer(awaited[0], false);
    await turn();
  }
  // What is missing it queries again; what is there and older stays.
  const kept = client.readQuery(ALL, {}, { requestPolicy: "cache-only" })?.data?.conversation?.messages ?? [];
  return kept.some(({ id, content }) => stored.get(id) !== content);
}

const [seeds] = commandLine("urql_layers.mjs SEEDS");
const lost = { plain: 0, inTurn: 0 };
for (let seed = 1; seed <= seeds; seed++) {
  lost.plain += await loses(seed, []);
  lost.inTurn += await loses(seed, [eventsInTurn]);
}
print({ type: "lost", ...lost });
