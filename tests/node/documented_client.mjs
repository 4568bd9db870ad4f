// The older documents' own walk, as one of their users would write it: two people chat.
//
// documented_client.mjs BASE_URL   prints JSON lines; exit code 0 when all was as documented.
import { deepStrictEqual as same } from "node:assert";
import { randomUUID } from "node:crypto";
import { io } from "socket.io-client";
import { commandLine, print } from "./lines.mjs";

const [baseUrl] = commandLine("documented_client.mjs BASE_URL");
const PATIENCE_MS = 10_000;
const differences = [];
const sockets = [];

/** Say whether one documented thing holds; go on either way. */
function check(what, body) {
  try {
    body();
    print({ type: "ok", what });
  } catch (error) {
    differences.push(what);
    print({ type: "differs", what, actual: error.actual, expected: error.expected, message: error.message });
  }
}

async function request(method, path, { body, token } = {}) {
  const headers = {};
  if (body) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(baseUrl + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) };
  } catch {
    throw new Error(`${method} ${path} answered ${response.status}, not JSON: ${text.slice(0, 200)}`);
  }
}

/** The named fields only: bodies may have more than the documents say. */
function pick(object, ...names) {
  return Object.fromEntries(names.map((name) => [name, object?.[name]]));
}

async function account(displayName) {
  const email = `${displayName.toLowerCase()}-${randomUUID()}@example.com`;
  const details = { email, password: "123456", displayName };
  const registered = await request("POST", "/api/auth/register", { body: details });
  check(`register ${displayName}`, () => {
    same([registered.status, registered.body.message], [200, "User registered"]);
    same(typeof registered.body.userId, "number");
  });
  const again = await request("POST", "/api/auth/register", { body: details });
  check(`register ${displayName} again`, () => {
    same([again.status, again.body.message], [400, "Email already used"]);
  });
  const wrong = await request("POST", "/api/auth/login", { body: { email, password: "654321" } });
  check(`login ${displayName} with a wrong password`, () => {
    same([wrong.status, wrong.body.message], [400, "Invalid email or password"]);
  });
  const login = await request("POST", "/api/auth/login", { body: { email, password: "123456" } });
  check(`login ${displayName}`, () => {
    same(login.status, 200);
    same(typeof login.body.token, "string");
    same(pick(login.body.user, "id", "email", "displayName"), {
      id: registered.body.userId,
      email,
      displayName,
    });
  });
  return { id: registered.body.userId, token: login.body.token, displayName };
}

/** A socket that keeps what it hears, with `heard(event, matches)` to wait for one. */
function open(name) {
  const socket = io(baseUrl);
  sockets.push(socket);
  const inbox = [];
  let wake = () => {};
  const hear = (event, payload) => {
    inbox.push({ event, payload });
    print({ type: "heard", by: name, event, payload });
    wake();
  };
  for (const event of ["auth:ok", "auth:error", "message:new", "message:error", "user:online", "user:offline"]) {
    socket.on(event, (payload) => hear(event, payload));
  }
  socket.on("connect_error", ({ message }) => hear("connect_error", message));
  socket.on("disconnect", (reason) => hear("disconnect", reason));

  async function heard(event, matches = () => true) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const found = inbox.findIndex((item) => item.event === event && matches(item.payload));
      if (found >= 0) return inbox.splice(found, 1)[0].payload;
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`${name} never heard ${event}; unread: ${JSON.stringify(inbox)}`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => (clearTimeout(timer), resolve());
      });
    }
  }
  return { socket, heard, unread: (event) => inbox.filter((item) => item.event === event) };
}

function join(person) {
  const client = open(person.displayName);
  client.socket.on("connect", () => client.socket.emit("auth:login", { token: person.token }));
  return client;
}

async function walk() {
  const [alice, bob] = [await account("Alice"), await account("Bob")];

  const stranger = open("Stranger");
  stranger.socket.on("connect", () => stranger.socket.emit("auth:login", { token: "not a token" }));
  const refusal = await stranger.heard("auth:error");
  check("auth:error for a bad token", () => same(refusal, "Invalid token"));
  const reason = await stranger.heard("disconnect");
  check("a disconnect after auth:error", () => same(reason, "io server disconnect"));

  const atAlice = join(alice);
  await atAlice.heard("auth:ok");
  const atBob = join(bob);
  await atBob.heard("auth:ok");
  const isBoth = (ids) => Array.isArray(ids) && ids.includes(alice.id) && ids.includes(bob.id);
  await atAlice.heard("user:online", isBoth);
  await atBob.heard("user:online", isBoth);
  check("user:online names both to both", () => {});

  const content = "Hello Bob 👋";
  atAlice.socket.emit("message:private", { toUserId: bob.id, content });
  const expected = { senderId: alice.id, receiverId: bob.id, content };
  const isPrivate = (message) => message?.content === content;
  const direct = await atBob.heard("message:new", isPrivate);
  const echo = await atAlice.heard("message:new", isPrivate);
  check("message:new to the receiver", () => {
    same(pick(direct, "senderId", "receiverId", "content"), expected);
    same([typeof direct.id, Number.isNaN(Date.parse(direct.createdAt))], ["number", false]);
  });
  check("message:new to the sender", () => same(pick(echo, "id"), pick(direct, "id")));

  const sent = await request("POST", "/api/messages/send", {
    token: bob.token,
    body: { content: "Hello World" },
  });
  check("POST /api/messages/send", () => {
    same(sent.status, 201);
    same(pick(sent.body, "senderId", "content"), { senderId: bob.id, content: "Hello World" });
  });
  for (const [name, { heard }] of [["Alice", atAlice], ["Bob", atBob]]) {
    const broadcast = await heard("message:new", ({ id }) => id === sent.body.id);
    check(`a REST message reaches ${name}'s socket`, () => same(broadcast.content, "Hello World"));
  }

  const empty = await request("POST", "/api/messages/send", { token: bob.token, body: { content: "" } });
  check("an empty content", () => same([empty.status, empty.body.message], [400, "Content is required"]));
  const anonymous = await request("GET", "/api/messages");
  check("no token", () => same([anonymous.status, anonymous.body.message], [401, "No token provided"]));
  const forged = await request("GET", "/api/messages", { token: "not-a-token" });
  check("a bad token", () => same([forged.status, forged.body.message], [401, "Invalid token"]));

  const history = await request("GET", "/api/messages", { token: alice.token });
  check("GET /api/messages, newest first", () => {
    same(history.status, 200);
    same(history.body.slice(0, 2).map(({ id }) => id), [sent.body.id, direct.id]);
  });

  atBob.socket.disconnect();
  await atAlice.heard("user:offline", (id) => id === bob.id);
  check("user:offline names who left", () => {});
  for (const [name, { unread }] of [["Alice", atAlice], ["Bob", atBob]]) {
    check(`every message once at ${name}'s socket`, () => same(unread("message:new"), []));
  }
}

try {
  await walk();
} catch (error) {
  differences.push(error.message);
  print({ type: "stopped", message: error.message, cause: error.cause && String(error.cause) });
}
for (const socket of sockets) socket.disconnect();
print({ type: "end", differences });
process.exitCode = differences.length === 0 ? 0 : 1;
