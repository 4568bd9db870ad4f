import type { Document } from "./document.js";
import { type AuthPartsFragment } from "./generated.js";
import type { Http } from "./http.js";
import type { Keeper } from "./storage.js";
import type { Me } from "./types.js";
export interface SessionOptions {
    readonly http: Http;
    readonly keeper: Keeper;
    readonly authenticate?: (() => Promise<string>) | undefined;
    /** Another tab has logged out, or another user in. */
    replaced(): void;
    /** Renew over the open connection, which then lasts as long as the new token. */
    execute<Data, Variables>(document: Document<Data, Variables>, variables: Variables): Promise<Data>;
}
/** The token: kept in the storage, shared by all tabs, renewed in time. */
export declare class Session {
    #private;
    constructor(options: SessionOptions);
    get user(): Me | null;
    get token(): string | null;
    /** Take what the storage keeps. */
    restore(): Promise<boolean>;
    login(email: string, password: string): Promise<void>;
    register(email: string, password: string, displayName: string): Promise<void>;
    /** End the session on the server; what the network does then, the session is over here. */
    logout(): Promise<void>;
    keep({ token, user }: {
        token: string;
        user: AuthPartsFragment["user"] | null;
    }): void;
    keepUser(user: Me): void;
    forget(): void;
    /** The token to enter with. */
    forEntering(): Promise<string>;
    /** The server refused a token; true when there is another one to try. */
    refused(token: string): Promise<boolean>;
    /** Renew when half of the token's life is over; called whenever a connection opens. */
    planRenewal(): void;
    pauseRenewal(): void;
    /** Renew now, once for all who ask; tried again later if the server cannot. */
    renew(): Promise<void>;
}
