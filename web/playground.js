"use strict";

/* The tabs of a first visit: how to chat, in order. A tab is named after its operation. */

const REGISTER = `# 1. Log in: press play, choose Register.
#    Registered before? Choose LogIn.
#
# From then on every tab uses your token,
# subscriptions too, until you close this
# window or run the mutation "logout". For
# another user, write a header below:
#
#   {"Authorization": "Bearer <the token>"}
#
# This browser keeps the text of the tabs:
# use no password that matters elsewhere.

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
#    Log in first (tab 1).
#
# receiverId: "2" says it to user 2 alone.
# With clientMessageId: "<your own>" a retry
# is safe: it is never sent twice.

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
#    Log in first (tab 1).
#
# Press play, open this page in a second
# window, and send something there. The
# newest message shows on the right. The stop
# button, or another tab, ends it.
#
# messageAdded(after: "<last id you saw>")
# starts with what you missed.

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
#    Log in first (tab 1).
#
# First come the users who are online now,
# then each change; the newest shows.

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

const TABS = [
  { query: REGISTER },
  { query: SEND_MESSAGE },
  { query: MESSAGE_ADDED },
  { query: PRESENCE },
];

/**
 * Who is logged in: the token of the last answer that had one (`register`, `login`, `renewToken`,
 * `changePassword`). It lives as long as this window, in a storage that no other window reads.
 */
function createLogin(changed) {
  const KEY = "parley:login";
  let kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");

  function keep(login) {
    kept = login;
    if (login) sessionStorage.setItem(KEY, JSON.stringify(login));
    else sessionStorage.removeItem(KEY);
    changed();
  }

  return {
    get name() {
      return kept && (kept.name ?? "somebody");
    },
    /** The headers of a tab; its own Authorization comes first. */
    headersWith(headers) {
      return kept && !authorizationOf(headers)
        ? { ...headers, Authorization: `Bearer ${kept.token}` }
        : headers;
    },
    /** Take the token out of an answer, or forget one that is no longer good. */
    learn({ data, errors } = {}, usedHeaders) {
      const payloads = Object.values(data ?? {}).filter(
        (value) => typeof value?.token === "string",
      );
      const [payload] = payloads.slice(-1);
      const isOurs = kept && authorizationOf(usedHeaders) === `Bearer ${kept.token}`;
      const isRefused = errors?.some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
      if (payload) keep({ token: payload.token, name: payload.user?.displayName ?? kept?.name });
      else if (isOurs && (isRefused || data?.logout || data?.logoutEverywhere)) keep(null);
    },
    forget: () => keep(null),
  };
}

/** The value of the Authorization header, if there is one. */
function authorizationOf(headers) {
  const entry = Object.entries(headers).find(([name]) => name.toLowerCase() === "authorization");
  return entry && String(entry[1]);
}

/** The page's own address is the endpoint; the WebSocket's differs in the scheme alone. */
function endpoints() {
  const http = new URL(location.pathname, location.origin);
  const ws = new URL(http);
  ws.protocol = http.protocol === "https:" ? "wss:" : "ws:";
  return { http: http.href, ws: ws.href };
}

/** The Authorization header as the connection_init payload, or nothing. */
function connectionParams(headers) {
  const authorization = authorizationOf(headers);
  return authorization && { authorization };
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

/** Subscriptions by WebSocket, all else by POST; both with the token of the login. */
function createFetcher(login) {
  const { http, ws } = endpoints();
  const post = GraphiQL.createFetcher({
    url: http,
    headers: { accept: "application/graphql-response+json, application/json" },
    enableIncrementalDelivery: false,
  });
  return (params, options = {}) => {
    const { documentAST } = options;
    const headers = login.headersWith(options.headers ?? {});
    const operation =
      documentAST && GraphiQL.GraphQL.getOperationAST(documentAST, params.operationName);
    const isSubscription = operation?.operation === "subscription";
    if (isSubscription) return subscription(ws, params, headers);
    return Promise.resolve(post(params, { ...options, headers })).then((answer) => {
      login.learn(answer, headers);
      return answer;
    });
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
  const login = createLogin(show);
  const properties = {
    fetcher: createFetcher(login),
    storage: createStorage(),
    defaultTabs: TABS,
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false,
  };
  const logo = React.createElement(GraphiQL.Logo, null, "Parley");

  function show() {
    const who = login.name
      ? [
          `Logged in as ${login.name}, in all tabs. `,
          React.createElement("button", { key: "out", onClick: login.forget }, "Forget the token"),
        ]
      : "Not logged in: run tab 1.";
    const footer = React.createElement(
      GraphiQL.Footer,
      null,
      React.createElement("p", { className: "login" }, who),
    );
    ReactDOM.render(React.createElement(GraphiQL, properties, logo, footer), root);
  }

  show();
}

start(document.getElementById("playground"));
