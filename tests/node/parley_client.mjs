// web/client as an app would use it, driven by JSON lines.
//
// parley_client.mjs URL '{"directory": "…", ...options of new Parley}'
//   directory: where the storage is kept, for the process that comes after this one
//   tokens: what the app brings, one after the other, where the client has no token that is good
//   commands: {command: "call", method, args, tag?}   a method of Parley; the answer as "done" or "failed"
//             {command: "send", target, draft}        "sent" or "refused" tell what became of it
//             {command: "compare"}                    the store, and that of a client that queries everything anew
//   messages: ready {restored}, done {of, tag, data}, failed {of, tag, code, message}, event {event},
//             status {status}, reset, sent {message}, refused {item}, loggedOut {code}, queued {clientMessageId}
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import WebSocket from "ws";
import { Parley, memoryStorage } from "../../web/client/dist/index.js";
import { commandLine, print, serve } from "./lines.mjs";

const [url, { directory, tokens, ...options }] = commandLine("parley_client.mjs URL OPTIONS");

/** A storage of files: what is written is there after a kill. */
function directoryStorage(path) {
  mkdirSync(path, { recursive: true });
  const file = (key) => `${path}/${encodeURIComponent(key)}`;
  return {
    get(key) {
      try {
        return readFileSync(file(key), "utf8");
      } catch {
        return null;
      }
    },
    set: (key, value) => writeFileSync(file(key), value),
    remove: (key) => rmSync(file(key), { force: true }),
    keys: (prefix) =>
      readdirSync(path)
        .map(decodeURIComponent)
        .filter((key) => key.startsWith(prefix)),
  };
}

const authenticate = tokens && (async () => tokens.shift());
const storage = directory ? directoryStorage(directory) : memoryStorage();
const parley = new Parley({ url, WebSocket, storage, authenticate, ...options });

for (const name of ["reset", "event", "status", "sent", "refused", "loggedOut"]) {
  parley.on(name, (value) => {
    const fields = { event: "event", status: "status", sent: "message", refused: "item" };
    if (name === "loggedOut") print({ type: name, code: value.code, message: value.message });
    else print({ type: name, [fields[name] ?? "value"]: value ?? null });
  });
}

/** Everything a client shows: the conversations in order, and the messages of those that are open. */
function shown({ store }, open) {
  const threads = open.map((id) => {
    const { messages, hasOlder } = store.thread(id);
    return { id, messages, hasOlder };
  });
  const { conversations, archived, me, settings } = store;
  return { conversations, archived, me, settings, threads };
}

async function compare() {
  const fresh = new Parley({
    url,
    WebSocket,
    storage: memoryStorage(),
    authenticate: async () => JSON.parse(storage.get(storage.keys("").find((key) => key.endsWith("session")))).token,
    pageSize: 50,
    markDelivered: false,
  });
  await fresh.connect();
  await fresh.loadArchived();
  const open = parley.store.conversations.map(({ id }) => id).filter((id) => parley.store.thread(id).loaded);
  for (const id of open) {
    await fresh.open({ conversationId: id });
    const { length } = parley.store.thread(id).messages;
    while (fresh.store.thread(id).messages.length < length && (await fresh.loadOlder(id)));
  }
  fresh.disconnect();
  const [kept, anew] = [shown(parley, open), shown(fresh, open)];
  // A thread may have fewer pages than the new client has loaded.
  anew.threads = anew.threads.map(({ id, messages, hasOlder }, at) => {
    const { length } = kept.threads[at].messages;
    return { id, messages: messages.slice(-length), hasOlder: hasOlder || messages.length > length };
  });
  return { kept, fresh: anew };
}

async function call({ method, args = [], tag }) {
  try {
    const data = await (method === "compare" ? compare() : parley[method](...args));
    print({ type: "done", of: method, tag, data: data ?? null });
  } catch (error) {
    print({ type: "failed", of: method, tag, code: error.code, message: String(error.stack ?? error) });
  }
}

const restored = await parley.restore();
print({ type: "ready", restored });
serve(
  {
    call,
    send({ target, draft }) {
      const file = draft.text && new File([draft.text], draft.name);
      const { clientMessageId } = parley.send(target, file ? { ...draft, file } : draft);
      print({ type: "queued", clientMessageId });
    },
  },
  () => parley.disconnect(),
);
