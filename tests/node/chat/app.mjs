// A small chat app over any GraphQL client, driven by JSON lines. A client library's script gives:
//
//   watch(query, variables, shown)      query through the cache, and tell of each change: a promise
//   more(query, variables, cursor)      one more page into the cache: `after` or `before` the cursor
//   fetch(query, variables)             query past the cache, into it
//   cached(query, variables)            from the cache alone
//   fresh(query, variables)             from the network, with a cache of its own
//   mutate(query, variables, optimistic?)
//   subscribe(query, variables, {next, error, complete})
//   place(conversation)                 put a conversation into the cached list
//
// commands: list, open {id}, more {screen: "list" or "open"}, follow {cursor?}, send {id, content},
//           mutate {name, variables}, compare
// messages: done {of, data}, failed {of, message, codes}, shown {messages: [{id, content, optimistic}]},
//           event {event}, again {message, codes}: a subscription that the app begins anew
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import WebSocket from "ws";
import { print, serve } from "../lines.mjs";
import { CONVERSATION, CONVERSATIONS, EVENTS, MUTATIONS, OPEN, SEND, screensOf } from "./documents.mjs";
import { isOptimistic, optimisticMessage } from "./lists.mjs";

const PAUSE_MS = 200;
const TO_QUERY = new Set(["MarksMoved", "SettingsChanged", "ConversationChanged", "MembersChanged"]);

// Browsers have one; Node has it from version 22 on.
globalThis.WebSocket ??= WebSocket;

/** Every HTTP request of this process: its operation, and the types asked for and got. */
export const requests = [];
const fetchOfNode = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const asked = options.body ? JSON.parse(options.body) : Object.fromEntries(new URL(url).searchParams);
  const { method = "GET" } = options;
  const answer = await fetchOfNode(url, options);
  const accept = new Headers(options.headers).get("accept");
  requests.push({ operation: asked.operationName, method, accept, type: answer.headers.get("content-type") });
  return answer;
};

/** Let a client of graphql-ws or graphql-sse subscribe again from where it was, not from where it began. */
export function resuming(client) {
  return {
    subscribe(payload, sink) {
      const next = (result) => {
        const cursor = result.data?.events?.cursor;
        if (cursor) payload.variables = { ...payload.variables, after: cursor };
        sink.next(result);
      };
      return client.subscribe(payload, { ...sink, next });
    },
  };
}

/** The codes of the server's errors; none where the network failed. */
function codesOf(error) {
  return (error?.graphQLErrors ?? error?.errors ?? []).map(({ extensions }) => extensions?.code);
}

export function runApp(client, { me, page }) {
  const screens = screensOf(page);
  const faults = [];
  // Client libraries warn of what a cache loses, or cannot tell apart.
  for (const name of ["warn", "error"]) {
    console[name] = (...words) => faults.push({ [name]: words.map(String).join(" ") });
  }
  const pending = new Set();
  const opened = [];
  let cursor;

  function shown(data) {
    const edges = data?.conversation?.messages?.edges;
    if (!edges) return;
    const messages = edges.map(({ node }) => node);
    for (const name of ["id", "clientMessageId"]) {
      const values = messages.map((message) => message[name]).filter(Boolean);
      if (new Set(values).size < values.length) faults.push({ twice: name, values });
    }
    print({
      type: "shown",
      messages: messages.map((node) => ({ id: node.id, content: node.content, optimistic: isOptimistic(node) })),
    });
  }

  /** Query what an event says has changed, and put it into its place in the list. */
  async function refetch({ conversationId, userId }) {
    if (!conversationId && userId === me) return;
    const variables = conversationId ? { id: conversationId } : { with: userId };
    for (;;) {
      const before = cursor;
      try {
        const { conversation } = await client.fetch(CONVERSATION, variables);
        if (conversation) client.place(conversation);
        // The answer may be older than an event that came meanwhile.
        if (cursor === before) return;
      } catch {
        await wait(PAUSE_MS);
      }
    }
  }

  /** As after CURSOR_EXPIRED: all that is kept is queried again. */
  async function queryAnew() {
    cursor = (await client.fetch(CONVERSATIONS, screens.list)).conversations.cursor;
    await Promise.all(opened.map((id) => client.fetch(OPEN, screens.open(id))));
  }

  function follow(from = cursor) {
    cursor = from;
    const again = async (error) => {
      const codes = codesOf(error);
      print({ type: "again", message: String(error), codes });
      if (codes.includes("CURSOR_EXPIRED")) await queryAnew();
      else await wait(PAUSE_MS);
      follow();
    };
    client.subscribe(EVENTS, { after: cursor }, {
      next: (event) => {
        cursor = event.cursor;
        print({ type: "event", event });
        if (!TO_QUERY.has(event.__typename)) return;
        const refetched = refetch(event);
        pending.add(refetched);
        refetched.finally(() => pending.delete(refetched));
      },
      error: again,
      complete: () => again("complete"),
    });
  }

  async function send({ id, content }) {
    const { conversation } = await client.cached(OPEN, screens.open(id));
    const { messages: _, ...parts } = conversation;
    const clientMessageId = randomUUID();
    const variables = { to: conversation.peer.id, content, clientMessageId };
    const optimistic = optimisticMessage({ me, conversation: parts, content, clientMessageId });
    // The key makes it safe to send again after any failure of the network.
    for (;;) {
      try {
        return await client.mutate(SEND, variables, optimistic);
      } catch (error) {
        if (codesOf(error).length) throw error;
        await wait(PAUSE_MS);
      }
    }
  }

  async function compare() {
    while (pending.size) await Promise.all(pending);
    const requested = requests.slice();
    const [cached, fresh] = [[], []];
    const all = screensOf(); // in one page
    const shownNow = [[CONVERSATIONS, "list"], ...opened.map((id) => [OPEN, "open", id])];
    const variablesOf = (of, screen, id) => (id ? of[screen](id) : of[screen]);
    for (const [query, screen, id] of shownNow) {
      cached.push(await client.cached(query, variablesOf(screens, screen, id)));
      fresh.push(await client.fresh(query, variablesOf(all, screen, id)));
    }
    return { cached, fresh, requests: requested, faults };
  }

  const commands = {
    list: async () => {
      const data = await client.watch(CONVERSATIONS, screens.list, () => {});
      cursor = data.conversations.cursor;
      return data;
    },
    open: ({ id }) => {
      opened.push(id);
      return client.watch(OPEN, screens.open(id), shown);
    },
    more: async ({ screen }) => {
      const [query, variables] =
        screen === "list" ? [CONVERSATIONS, screens.list] : [OPEN, screens.open(opened.at(-1))];
      const { conversations, conversation } = await client.cached(query, variables);
      const { endCursor, startCursor } = (conversations ?? conversation.messages).pageInfo;
      await client.more(query, variables, conversations ? { after: endCursor } : { before: startCursor });
    },
    follow: ({ cursor: from }) => follow(from),
    send,
    mutate: ({ name, variables }) => client.mutate(MUTATIONS[name], variables),
    compare,
  };
  const told = Object.entries(commands).map(([of, command]) => [
    of,
    async (message) => {
      try {
        print({ type: "done", of, tag: message.tag, data: (await command(message)) ?? null });
      } catch (error) {
        print({ type: "failed", of, tag: message.tag, message: String(error?.stack ?? error), codes: codesOf(error) });
      }
    },
  ]);
  serve(Object.fromEntries(told), () => {});
}
