// The chat app with urql and its normalized cache (Graphcache), set up as its documentation shows.
//
// urql.mjs URL '{"transport": "ws", "sse" or "fetch", "token": …, "me": …, "page"?: …}'
//   fetch: urql's own subscriptions over fetch
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { buildSchema, introspectionFromSchema } from "graphql";
import { createClient as createSSEClient } from "graphql-sse";
import { createClient as createWSClient } from "graphql-ws";
import { readFileSync } from "node:fs";
import { commandLine } from "../lines.mjs";
import { resuming, runApp } from "./app.mjs";
import { CONVERSATIONS, OPEN, screensOf } from "./documents.mjs";
import { eventsInTurn } from "./in_turn.mjs";
import { withConversation, withMessage } from "./lists.mjs";

const [url, options] = commandLine("urql.mjs URL OPTIONS");
const headers = { authorization: `Bearer ${options.token}` };
const TRANSPORTS = {
  ws: () => createWSClient({ url: url.replace("http", "ws"), connectionParams: headers }),
  sse: () => createSSEClient({ url, headers }),
};
// Without the schema Graphcache has to guess which type a fragment on an interface is of.
const SDL = readFileSync(new URL("../../../schema/schema.graphql", import.meta.url), "utf8");
const schema = introspectionFromSchema(buildSchema(SDL));
const optimistic = new Map(); // by clientMessageId

const screens = screensOf(options.page);

function putMessage(cache, message) {
  const variables = screens.open(message.conversationId);
  cache.updateQuery({ query: OPEN, variables }, (data) => withMessage(data, message));
  putConversation(cache, message.conversation);
}

function putConversation(cache, conversation) {
  const variables = screens.list;
  cache.updateQuery({ query: CONVERSATIONS, variables }, (data) => withConversation(data, conversation));
}

function newCache() {
  const embedded = () => null;
  return cacheExchange({
    schema,
    resolvers: {
      Query: { conversations: relayPagination() },
      Conversation: { messages: relayPagination() },
    },
    keys: {
      Reaction: embedded,
      Marks: embedded,
      Member: embedded,
      MessageSent: embedded,
      MessageEdited: embedded,
      MessageDeleted: embedded,
      ReactionChanged: embedded,
      MarksMoved: embedded,
      UserChanged: embedded,
      SettingsChanged: embedded,
      ConversationChanged: embedded,
      MembersChanged: embedded,
    },
    optimistic: { sendMessage: ({ clientMessageId }) => optimistic.get(clientMessageId) },
    updates: {
      Mutation: { sendMessage: ({ sendMessage }, _, cache) => putMessage(cache, sendMessage) },
      Subscription: {
        events: ({ events: event }, _, cache) => {
          if (event.__typename === "MessageSent") putMessage(cache, event.message);
        },
      },
      Query: {
        conversation: ({ conversation }, { id }, cache, { variables }) => {
          if (conversation && !variables.last) putConversation(cache, conversation);
        },
      },
    },
  });
}

function newClient(exchanges, more = {}) {
  return new Client({ url, fetchOptions: { headers }, exchanges, ...more });
}

function newSubscribingClient() {
  if (options.transport === "fetch") return newClient([newCache(), eventsInTurn, fetchExchange], { fetchSubscriptions: true });
  const forwarding = resuming(TRANSPORTS[options.transport]());
  const subscriptions = subscriptionExchange({
    forwardSubscription: (request) => {
      const input = { ...request, query: request.query || "" };
      return { subscribe: (sink) => ({ unsubscribe: forwarding.subscribe(input, sink) }) };
    },
  });
  return newClient([newCache(), eventsInTurn, fetchExchange, subscriptions]);
}

const client = newSubscribingClient();

function dataOf({ data, error }) {
  if (error) throw error;
  return data;
}

const query = async (text, variables, requestPolicy) =>
  dataOf(await client.query(text, variables, { requestPolicy }).toPromise());

runApp(
  {
    watch: (text, variables, shown) =>
      new Promise((resolve, reject) => {
        client.query(text, variables).subscribe(({ data, error }) => {
          if (error) return reject(error);
          shown(data);
          resolve(data);
        });
      }),
    more: (text, variables, cursor) => query(text, { ...variables, ...cursor }),
    fetch: (text, variables) => query(text, variables, "network-only"),
    cached: (text, variables) => query(text, variables, "cache-only"),
    fresh: async (text, variables) => dataOf(await newClient([newCache(), fetchExchange]).query(text, variables)),
    mutate: async (mutation, variables, sendMessage) => {
      if (sendMessage) optimistic.set(variables.clientMessageId, sendMessage);
      return dataOf(await client.mutation(mutation, variables));
    },
    subscribe: (text, variables, { next, error, complete }) => {
      client.subscription(text, variables).subscribe((result) => {
        if (result.error) error(result.error);
        else if (result.data) next(result.data.events);
        else complete();
      });
    },
    place: () => {}, // by the cache's update of Query.conversation
  },
  options,
);
