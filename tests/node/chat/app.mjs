// A small chat app over any GraphQL client, driven by JSON lines. A client library's script gives:
//
//   watch(query, variables, shown)      query through the cache, and tell of each change: a promise
//   more(query, variables, cursor)      one more page into the cache
//   fetch(query, variables)             query past the cache, into it
//   cached(query, variables)            from the cache alone
//   fresh(query, variables)             from the network, with a cache of its own
//   mutate(query, variables, optimistic?)
//   subscribe(query, variables, {next, error, complete})
//   place(conversation)                 put a conversation into the cached list
//
// commands: list, more, open {id}, follow, send {id, content}, mutate {name, variables}, compare
// messages: done {of, data?}, failed {of, message}, shown {messages: [{id, content, optimistic}]},
//           event {event}, again {message}: a subscription that the app begins anew,
//           compared {cached, fresh, requests, faults}
import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import WebSocket from "ws";
import { print, serve } from "../lines.mjs";
import { CONVERSATION, CONVERSATIONS, EVENTS, MUTATIONS, OPEN, SEND } from "./documents.mjs";
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

export function runApp(client, { me }) {
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
      try {
        const { conversation } = await client.fetch(CONVERSATION, variables);
        if (conversation) client.place(conversation);
        return;
      } catch {
        await wait(PAUSE_MS);
      }
    }
  }

  function follow() {
    const again = (message) => {
      print({ type: "again", message });
      setTimeout(follow, PAUSE_MS);
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
      error: (error) => again(String(error)),
      complete: () => again("complete"),
    });
  }

  async function send({ id, content }) {
    const { conversation } = await client.cached(OPEN, { id });
    const { messages: _, ...parts } = conversation;
    const clientMessageId = randomUUID();
    const variables = { to: conversation.peer.id, content, clientMessageId };
    const optimistic = optimisticMessage({ me, conversation: parts, content, clientMessageId });
    // The key makes it safe to send again after any failure of the network.
    for (;;) {
      try {
        return await client.mutate(SEND, variables, optimistic);
      } catch (error) {
        print({ type: "retry", content, message: String(error) });
        await wait(PAUSE_MS);
      }
    }
  }

  async function compare() {
    while (pending.size) await Promise.all(pending);
    const requested = requests.slice();
    const screens = [[CONVERSATIONS, {}], ...opened.map((id) => [OPEN, { id }])];
    const [cached, fresh] = [[], []];
    for (const [query, variables] of screens) {
      cached.push(await client.cached(query, variables));
      fresh.push(await client.fresh(query, variables));
    }
    return { cached, fresh, requests: requested, faults };
  }

  const commands = {
    list: async () => {
      const data = await client.watch(CONVERSATIONS, {}, () => {});
      cursor = data.conversations.cursor;
      return data;
    },
    more: async () => {
      const { conversations } = await client.cached(CONVERSATIONS, {});
      return client.more(CONVERSATIONS, {}, { after: conversations.pageInfo.endCursor });
    },
    open: ({ id }) => {
      opened.push(id);
      return client.watch(OPEN, { id }, shown);
    },
    follow,
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
        print({ type: "failed", of, tag: message.tag, message: String(error?.stack ?? error) });
      }
    },
  ]);
  serve(Object.fromEntries(told), () => {});
}
