"use strict";

/* The tabs of a first visit: how to chat, in order. A tab is named after its operation. */

const REGISTER = `# 1. Get a token: put the cursor into an operation,
#    press Ctrl-Enter.
#
# Then copy the token of the answer into "Headers"
# below, in each of the other tabs:
#
#   {"Authorization": "Bearer <the token>"}
#
# This browser keeps the text of the tabs, but not
# the headers: paste them again after a reload, and
# do not use a password that matters elsewhere.

mutation Register {
  register(
    email: "ada@example.com"
    password: "123456"
    displayName: "Ada"
  ) {
    token
    expiresAt
    user {
      id
      displayName
    }
  }
}

# Registered before? Then this one.

mutation LogIn {
  login(email: "ada@example.com", password: "123456") {
    token
    expiresAt
    user {
      id
      displayName
    }
  }
}
`;

const SEND_MESSAGE = `# 2. Say something to everyone.
#    Paste your token into "Headers" below first.
#
# receiverId: "2" says it to user 2 alone.
# clientMessageId: "<your own>" makes a retry safe:
# the same one is never sent twice.

mutation SendMessage {
  sendMessage(content: "Hello World") {
    id
    content
    createdAt
    receiverId
    sender {
      id
      displayName
    }
  }
}
`;

const MESSAGE_ADDED = `# 3. Listen.
#    Paste your token into "Headers" below first.
#
# Press play, open this page in a second window, and
# send something there. The newest message shows on
# the right. The stop button, or going to another
# tab, ends the subscription.
#
# messageAdded(after: "<the last id you saw>") starts
# with what you missed.

subscription MessageAdded {
  messageAdded {
    id
    kind
    content
    createdAt
    receiverId
    sender {
      id
      displayName
    }
  }
}
`;

const PRESENCE = `# 4. See who comes and goes.
#    Paste your token into "Headers" below first.
#
# First come the users who are online now, then each
# change; the newest shows on the right.

subscription Presence {
  presence {
    online
    lastSeenAt
    user {
      id
      displayName
    }
  }
}
`;

const HEADERS = '{"Authorization": "Bearer <the token>"}';

const TABS = [
  { query: REGISTER },
  { query: SEND_MESSAGE, headers: HEADERS },
  { query: MESSAGE_ADDED, headers: HEADERS },
  { query: PRESENCE, headers: HEADERS },
];

/** The page's own address is the endpoint; the WebSocket's differs in the scheme alone. */
function endpoints() {
  const http = new URL(location.pathname, location.origin);
  const ws = new URL(http);
  ws.protocol = http.protocol === "https:" ? "wss:" : "ws:";
  return { http: http.href, ws: ws.href };
}

/** The Authorization header as the connection_init payload, or nothing. */
function connectionParams(headers) {
  const entry = Object.entries(headers).find(([name]) => name.toLowerCase() === "authorization");
  return entry && { authorization: String(entry[1]) };
}

/** Whatever ended a subscription, as GraphQL errors that read well in the response pane. */
function asErrors(failure) {
  if (Array.isArray(failure)) return failure;
  if (failure instanceof CloseEvent) {
    const why = `${failure.code} ${failure.reason}`.trim();
    return [{ message: `The server closed the connection: ${why}` }];
  }
  if (failure instanceof Error) return [{ message: failure.message }];
  return [{ message: "The WebSocket connection failed." }];
}

/**
 * One subscription as GraphiQL's observable, over a connection of its own, so that each one has the
 * headers of its start. It does not reconnect: an end that shows beats messages missed in silence.
 */
function subscription(url, params, headers) {
  return {
    subscribe(sink) {
      const client = graphqlWs.createClient({
        url,
        connectionParams: connectionParams(headers),
        retryAttempts: 0,
      });
      // What a stopped one still says would end its successor in GraphiQL's eyes.
      let stopped = false;
      const dispose = client.subscribe(params, {
        next: (result) => stopped || sink.next(result),
        error: (failure) => stopped || sink.error(asErrors(failure)),
        complete: () => stopped || sink.complete(),
      });
      return {
        unsubscribe() {
          stopped = true;
          dispose();
        },
      };
    },
  };
}

/** Subscriptions by WebSocket, all else by POST. */
function createFetcher() {
  const { http, ws } = endpoints();
  const post = GraphiQL.createFetcher({
    url: http,
    headers: { accept: "application/graphql-response+json, application/json" },
    enableIncrementalDelivery: false,
  });
  return (params, options = {}) => {
    const { documentAST, headers = {} } = options;
    const operation =
      documentAST && GraphiQL.GraphQL.getOperationAST(documentAST, params.operationName);
    const isSubscription = operation?.operation === "subscription";
    return isSubscription ? subscription(ws, params, headers) : post(params, options);
  };
}

/** localStorage, except that no header is kept: GraphiQL's history would keep the tokens. */
function createStorage() {
  const withoutHeaders = (name, value) => (name === "headers" ? undefined : value);
  return {
    get length() {
      return localStorage.length;
    },
    getItem: (key) => localStorage.getItem(key),
    setItem: (key, value) => {
      const history = key === "graphiql:queries" || key === "graphiql:favorites";
      const kept = history ? JSON.stringify(JSON.parse(value), withoutHeaders) : value;
      localStorage.setItem(key, kept);
    },
    removeItem: (key) => localStorage.removeItem(key),
    clear: () =>
      Object.keys(localStorage)
        .filter((key) => key.startsWith("graphiql:"))
        .forEach((key) => localStorage.removeItem(key)),
  };
}

function start(root) {
  if (![window.React, window.ReactDOM, window.graphqlWs, window.GraphiQL].every(Boolean)) {
    root.textContent =
      "The playground's files did not load, or are not the ones this page pins. " +
      "Install the dependencies again as the lock file says.";
    return;
  }
  const properties = {
    fetcher: createFetcher(),
    storage: createStorage(),
    defaultTabs: TABS,
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  };
  const logo = React.createElement(GraphiQL.Logo, null, "Parley");
  ReactDOM.render(React.createElement(GraphiQL, properties, logo), root);
}

start(document.getElementById("playground"));
