// The chat app with Apollo Client, set up as its documentation shows.
//
// apollo.mjs URL '{"version": 3 or 4, "transport": "ws", "sse" or "ws anew", "token": …, "me": …, "page"?: …}'
//   ws anew: after a cut graphql-ws subscribes with the variables of the first time, as it does by itself
import { createRequire } from "node:module";
import { print } from "graphql";
import { createClient as createSSEClient } from "graphql-sse";
import { createClient as createWSClient } from "graphql-ws";
import { commandLine } from "../lines.mjs";
import { resuming, runApp } from "./app.mjs";
import { CONVERSATIONS, OPEN, screensOf } from "./documents.mjs";
import { withConversation, withMessage } from "./lists.mjs";

const [url, options] = commandLine("apollo.mjs URL OPTIONS");
const headers = { authorization: `Bearer ${options.token}` };

// Version 3 cannot be imported by name under Node: its folders are for bundlers.
const require = createRequire(import.meta.url);
const load = (path) =>
  options.version === 3 ? require(`apollo-client-3${path || "/core"}`) : import(`@apollo/client${path}`);
const { ApolloClient, ApolloLink, HttpLink, InMemoryCache, Observable, gql } = await load("");
const { GraphQLWsLink } = await load("/link/subscriptions");
const { getMainDefinition, relayStylePagination } = await load("/utilities");

function newCache() {
  return new InMemoryCache({
    typePolicies: {
      Query: { fields: { conversations: relayStylePagination() } },
      Conversation: { fields: { messages: relayStylePagination(), marks: { merge: false }, members: { merge: false } } },
      Message: { fields: { reactions: { merge: false } } },
      Subscription: { fields: { events: { merge: false } } }, // an event has no id, and is no change of the last one
    },
  });
}

// The recipe of graphql-sse's pages.
class SSELink extends ApolloLink {
  constructor(sseClient) {
    super();
    this.client = sseClient;
  }

  request({ query, variables, operationName, extensions }) {
    return new Observable((sink) =>
      this.client.subscribe(
        { query: print(query), variables, operationName, extensions },
        { next: sink.next.bind(sink), complete: sink.complete.bind(sink), error: sink.error.bind(sink) },
      ),
    );
  }
}

const createWebSocket = () => createWSClient({ url: url.replace("http", "ws"), connectionParams: headers });
const TRANSPORTS = {
  ws: () => new GraphQLWsLink(resuming(createWebSocket())),
  "ws anew": () => new GraphQLWsLink(createWebSocket()),
  sse: () => new SSELink(resuming(createSSEClient({ url, headers }))),
};
const http = new HttpLink({ uri: url, headers });
const link = ApolloLink.split(
  ({ query }) => getMainDefinition(query).operation === "subscription",
  TRANSPORTS[options.transport](),
  http,
);
const client = new ApolloClient({ cache: newCache(), link });

const screens = screensOf(options.page);
const watched = new Map(); // by query

function putMessage(cache, message) {
  const variables = screens.open(message.conversationId);
  cache.updateQuery({ query: gql(OPEN), variables }, (data) => withMessage(data, message));
  putConversation(cache, message.conversation);
}

function putConversation(cache, conversation) {
  const variables = screens.list;
  cache.updateQuery({ query: gql(CONVERSATIONS), variables }, (data) => withConversation(data, conversation));
}

runApp(
  {
    watch: (query, variables, shown) =>
      new Promise((resolve, reject) => {
        watched.set(query, client.watchQuery({ query: gql(query), variables }));
        watched.get(query).subscribe({
          next: ({ data }) => {
            if (!data?.conversations && !data?.conversation) return;
            shown(data);
            resolve(data);
          },
          error: reject,
        });
      }),
    more: (query, _, cursor) => watched.get(query).fetchMore({ variables: cursor }),
    fetch: async (query, variables) =>
      (await client.query({ query: gql(query), variables, fetchPolicy: "network-only" })).data,
    cached: (query, variables) => client.readQuery({ query: gql(query), variables }),
    fresh: async (query, variables) => {
      const anew = new ApolloClient({ cache: newCache(), link: http });
      return (await anew.query({ query: gql(query), variables, fetchPolicy: "network-only" })).data;
    },
    mutate: async (mutation, variables, sendMessage) => {
      const sending = sendMessage && {
        optimisticResponse: { sendMessage },
        update: (cache, { data }) => putMessage(cache, data.sendMessage),
      };
      return (await client.mutate({ mutation: gql(mutation), variables, ...sending })).data;
    },
    subscribe: (query, variables, { next, ...ends }) =>
      client.subscribe({ query: gql(query), variables }).subscribe({
        next: ({ data, error }) => {
          if (error) return ends.error(error);
          const { events: event } = data;
          if (event.__typename === "MessageSent") putMessage(client.cache, event.message);
          next(event);
        },
        ...ends,
      }),
    place: (conversation) => putConversation(client.cache, conversation),
  },
  options,
);
