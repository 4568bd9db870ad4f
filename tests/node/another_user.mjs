// web/client where a user logs out while a file is being uploaded, and another one logs in.
//
// another_user.mjs URL   ends with code 0 if nothing of the first user is kept for, or sent by, the second one
import { setTimeout as wait } from "node:timers/promises";
import WebSocket from "ws";
import { Parley, memoryStorage } from "../../web/client/dist/index.js";
import { commandLine, print } from "./lines.mjs";

const [url] = commandLine("another_user.mjs URL");
const SECRET = "for Alice's friends alone";

let uploaded;
let answer;
const hasUploaded = new Promise((resolve) => (uploaded = resolve));
const answers = new Promise((resolve) => (answer = resolve));

/** The answer to an upload is on its way for as long as the test wants. */
async function slowly(address, options) {
  const response = await fetch(address, options);
  if (options.body instanceof FormData) {
    uploaded();
    await answers;
  }
  return response;
}

function account(displayName) {
  return { email: `${crypto.randomUUID()}@example.com`, password: "123456", displayName };
}

const kept = new Map();
const memory = memoryStorage();
const storage = { ...memory, set: (key, value) => void (kept.set(key, value), memory.set(key, value)) };
const parley = new Parley({ url, WebSocket, storage, fetch: slowly });
const alice = await parley.register(account("Alice"));
await parley.connect();
const { stored } = parley.send({ with: alice.id }, { content: SECRET, file: new Blob(["x"]), filename: "x.txt" });
stored.catch(() => {});
await hasUploaded;
await parley.logout();
kept.clear();
await parley.register(account("Bob"));
await parley.connect();
answer();
await wait(500);
const found = [...kept].filter(([, value]) => value.includes(SECRET)).map(([key]) => key);
print({ type: "done", found, outbox: parley.store.outbox.length });
parley.disconnect();
process.exit(0);
