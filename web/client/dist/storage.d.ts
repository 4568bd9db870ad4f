import type { FileStorage, ParleyStorage } from "./types.js";
/** Keep nothing beyond this process. */
export declare function memoryStorage(): ParleyStorage;
/** localStorage; memory where there is none, or where the browser forbids it. */
export declare function browserStorage(): ParleyStorage;
/** Keep files in this process alone. */
export declare function memoryFiles(): FileStorage;
/** Files in IndexedDB; in memory where there is none, or where the browser forbids it. */
export declare function browserFiles(): FileStorage;
/** Values as JSON under keys of this client's own, in a storage that may be asynchronous, full or forbidden. */
export declare class Keeper {
    #private;
    constructor(storage: ParleyStorage, prefix: string);
    /** The same storage below a prefix. */
    below(prefix: string): Keeper;
    /** The full name of a key, as other tabs see it. */
    nameOf(key: string): string;
    get<T>(key: string): Promise<T | null>;
    set(key: string, value: unknown): void;
    remove(key: string): void;
    /** The keys below this prefix, in order. */
    keys(prefix?: string): Promise<string[]>;
    /** Call back with each key of this prefix that another tab changes. */
    watch(changed: (key: string) => void): () => void;
}
