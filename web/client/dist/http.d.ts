import type { Document } from "./document.js";
/** GraphQL over HTTP: for what comes before a connection, and for files. */
export declare class Http {
    #private;
    constructor(endpoint: string, fetchOfApp: typeof fetch);
    execute<Data, Variables>(document: Document<Data, Variables>, variables: Variables, token?: string | null): Promise<Data>;
    /** Execute a mutation whose variable `file` is a file. */
    upload<Data, Variables>(document: Document<Data, Variables>, variables: Variables & {
        readonly file: Blob;
    }, filename: string, token: string, signal?: AbortSignal): Promise<Data>;
}
