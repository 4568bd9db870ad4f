import type { FileStorage, ParleyStorage } from "./types.js";

/** Keep nothing beyond this process. */
export function memoryStorage(): ParleyStorage {
  const values = new Map<string, string>();
  return {
    get: (key) => values.get(key) ?? null,
    set: (key, value) => void values.set(key, value),
    remove: (key) => void values.delete(key),
    keys: (prefix) => [...values.keys()].filter((key) => key.startsWith(prefix)),
  };
}

/** localStorage; memory where there is none, or where the browser forbids it. */
export function browserStorage(): ParleyStorage {
  let kept: Storage;
  try {
    kept = globalThis.localStorage;
    kept.length; // throws where the user forbids it
  } catch {
    return memoryStorage();
  }
  return {
    get: (key) => kept.getItem(key),
    set: (key, value) => kept.setItem(key, value),
    remove: (key) => kept.removeItem(key),
    keys: (prefix) => Object.keys(kept).filter((key) => key.startsWith(prefix)),
    watch(changed) {
      const listener = ({ key, storageArea }: StorageEvent) => {
        if (storageArea === kept && key !== null) changed(key);
      };
      addEventListener("storage", listener);
      return () => removeEventListener("storage", listener);
    },
  };
}

/** Keep files in this process alone. */
export function memoryFiles(): FileStorage {
  const files = new Map<string, Blob>();
  return {
    get: async (key) => files.get(key) ?? null,
    set: async (key, file) => void files.set(key, file),
    remove: async (key) => void files.delete(key),
  };
}

const FILES = "files";

/** Files in IndexedDB; in memory where there is none, or where the browser forbids it. */
export function browserFiles(): FileStorage {
  const memory = memoryFiles();
  if (!globalThis.indexedDB) return memory;
  let opened: Promise<IDBDatabase> | undefined;
  const open = () =>
    (opened ??= new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open("parley", 1);
      request.onupgradeneeded = () => request.result.createObjectStore(FILES);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    }));
  async function inStore<T>(mode: IDBTransactionMode, ask: (store: IDBObjectStore) => IDBRequest<T>) {
    const transaction = (await open()).transaction(FILES, mode);
    const request = ask(transaction.objectStore(FILES));
    return new Promise<T>((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }
  return {
    async get(key) {
      const kept = await memory.get(key);
      if (kept) return kept;
      return inStore<Blob | undefined>("readonly", (store) => store.get(key)).then(
        (file) => file ?? null,
        () => null,
      );
    },
    async set(key, file) {
      await memory.set(key, file);
      // A private window may refuse: the file is then sent only while this page is open.
      await inStore("readwrite", (store) => store.put(file, key)).catch(() => {});
    },
    async remove(key) {
      await memory.remove(key);
      await inStore("readwrite", (store) => store.delete(key)).catch(() => {});
    },
  };
}

/** Values as JSON under keys of this client's own, in a storage that may be asynchronous, full or forbidden. */
export class Keeper {
  readonly #storage: ParleyStorage;
  readonly #prefix: string;
  #writes: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(storage: ParleyStorage, prefix: string) {
    this.#storage = storage;
    this.#prefix = prefix;
  }

  /** The same storage below a prefix. */
  below(prefix: string): Keeper {
    return new Keeper(this.#storage, `${this.#prefix}${prefix}/`);
  }

  /** The full name of a key, as other tabs see it. */
  nameOf(key: string): string {
    return this.#prefix + key;
  }

  async get<T>(key: string): Promise<T | null> {
    await this.#writes;
    try {
      const text = await this.#storage.get(this.#prefix + key);
      return text === null ? null : (JSON.parse(text) as T);
    } catch {
      return null; // damaged, or forbidden: as if it had never been kept
    }
  }

  set(key: string, value: unknown): void {
    const text = JSON.stringify(value);
    this.#write(() => this.#storage.set(this.#prefix + key, text));
  }

  remove(key: string): void {
    this.#write(() => this.#storage.remove(this.#prefix + key));
  }

  /** The keys below this prefix, in order. */
  async keys(prefix = ""): Promise<string[]> {
    await this.#writes;
    const names = await this.#storage.keys(this.#prefix + prefix);
    return names.map((name) => name.slice(this.#prefix.length)).sort();
  }

  /** Call back with each key of this prefix that another tab changes. */
  watch(changed: (key: string) => void): () => void {
    const listener = (name: string) => {
      if (name.startsWith(this.#prefix)) changed(name.slice(this.#prefix.length));
    };
    return this.#storage.watch?.(listener) ?? (() => {});
  }

  /** Write at once where the storage can; in order in any case. */
  #write(write: () => void | Promise<void>): void {
    const guarded = async () => {
      try {
        await write();
      } catch {
        // Full or forbidden: this process goes on without it.
      }
    };
    this.#waiting += 1;
    const first = this.#waiting === 1;
    const done = first ? guarded() : this.#writes.then(guarded);
    this.#writes = done.then(() => void (this.#waiting -= 1));
  }
}
