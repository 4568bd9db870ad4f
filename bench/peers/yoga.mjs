// The GraphQL subset as a Node.js developer would serve it: graphql-yoga 5, graphql-ws 6, mysql2.
import { createServer } from "node:http";
import { GraphQLError } from "graphql";
import { useServer } from "graphql-ws/use/ws";
import { createPubSub, createSchema, createYoga } from "graphql-yoga";
import { WebSocketServer } from "ws";
import { Refused, addMessage, createTables, login, newestMessages, register, userOf } from "./store.mjs";

const typeDefs = /* GraphQL */ `
  type User { id: ID! email: String! displayName: String! }
  type AuthPayload { token: String! user: User! }
  type Message { id: ID! senderId: ID! receiverId: ID content: String! createdAt: String! }
  type MessageConnection { nodes: [Message!]! }
  type Query { messages(last: Int = 50): MessageConnection! }
  type Mutation {
    register(email: String!, password: String!, displayName: String!): AuthPayload!
    login(email: String!, password: String!): AuthPayload!
    sendMessage(receiverId: ID!, content: String!): Message!
  }
  type Subscription { messageAdded: Message! }
`;

const pubSub = createPubSub();

const refused = (error) =>
  error instanceof Refused ? new GraphQLError(error.message, { extensions: { code: "BAD_USER_INPUT" } }) : error;

const viewer = ({ userId }) => {
  if (userId) return userId;
  throw new GraphQLError("Unauthenticated", { extensions: { code: "UNAUTHENTICATED" } });
};

const resolvers = {
  Query: {
    messages: async (_, { last }, context) => ({
      nodes: (await newestMessages(viewer(context), last)).reverse(),
    }),
  },
  Mutation: {
    register: async (_, args) => {
      try {
        await register(args);
        return await login(args);
      } catch (error) {
        throw refused(error);
      }
    },
    login: async (_, args) => {
      try {
        return await login(args);
      } catch (error) {
        throw refused(error);
      }
    },
    sendMessage: async (_, { receiverId, content }, context) => {
      const senderId = viewer(context);
      try {
        const message = await addMessage(senderId, Number(receiverId), content);
        pubSub.publish("messageAdded", message.receiverId, message);
        if (message.receiverId !== senderId) pubSub.publish("messageAdded", senderId, message);
        return message;
      } catch (error) {
        throw refused(error);
      }
    },
  },
  Subscription: {
    messageAdded: {
      subscribe: (_, __, context) => pubSub.subscribe("messageAdded", viewer(context)),
      resolve: (message) => message,
    },
  },
  Message: { createdAt: ({ createdAt }) => createdAt.toISOString() },
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  logging: "warn",
  // A socket's token was checked when it connected, a request's is checked here.
  context: ({ extra, request }) => ({
    userId: extra ? extra.userId : userOf(request.headers.get("authorization")),
  }),
});

const server = createServer(yoga);

// As graphql-yoga's documentation wires graphql-ws, with its cache of parsed and validated documents.
useServer(
  {
    onConnect: ({ connectionParams, extra }) => {
      extra.userId = userOf(connectionParams?.authorization);
      return !connectionParams?.authorization || extra.userId !== null;
    },
    execute: (args) => args.rootValue.execute(args),
    subscribe: (args) => args.rootValue.subscribe(args),
    onSubscribe: async (context, _id, params) => {
      const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
        ...context,
        req: context.extra.request,
        socket: context.extra.socket,
        params,
      });
      const args = {
        schema,
        operationName: params.operationName,
        document: parse(params.query),
        variableValues: params.variables,
        contextValue: await contextFactory(),
        rootValue: { execute, subscribe },
      };
      const errors = validate(args.schema, args.document);
      return errors.length ? errors : args;
    },
  },
  new WebSocketServer({ server, path: yoga.graphqlEndpoint }),
);

await createTables();
server.listen(Number(process.env.PORT), "127.0.0.1");
