// web/client where there is no WebSocket, as in Node before version 22: what `connect` says.
//
// parley_nowhere.mjs   prints failed {message}
import { Parley, memoryStorage } from "../../web/client/dist/index.js";
import { print } from "./lines.mjs";

delete globalThis.WebSocket;
const parley = new Parley({ url: "http://127.0.0.1:9", storage: memoryStorage() });
await parley.connect().catch(({ message }) => print({ type: "failed", message }));
