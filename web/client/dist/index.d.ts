export { Parley } from "./parley.js";
export { ParleyError } from "./errors.js";
export { Store } from "./store.js";
export { browserFiles, browserStorage, memoryFiles, memoryStorage } from "./storage.js";
export type * from "./types.js";
