import type { Document } from "./document.js";
import { ParleyError, isPassing } from "./errors.js";
import { Login, Logout, Register, RenewToken, type AuthPartsFragment } from "./generated.js";
import type { Http } from "./http.js";
import type { Keeper } from "./storage.js";
import { Timer, wait } from "./time.js";
import type { Me } from "./types.js";

const KEY = "session";
const RETRY_RENEWAL_MS = 20_000;
const MOST_REFUSALS = 5;

interface KeptSession {
  readonly token: string;
  readonly user: Me | null;
  /** By this computer's clock: half the token's life is over. */
  readonly renewAt: number;
}

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
export class Session {
  readonly #options: SessionOptions;
  readonly #renewal = new Timer();
  #kept: KeptSession | null = null;
  #refusals = 0; // in a row
  #renewing: Promise<void> | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    options.keeper.watch((key) => {
      if (key === KEY) void this.#follow();
    });
  }

  get user(): Me | null {
    return this.#kept?.user ?? null;
  }

  get token(): string | null {
    return this.#kept?.token ?? null;
  }

  /** Another tab has renewed the token, logged out, or logged somebody else in. */
  async #follow(): Promise<void> {
    const before = this.#kept;
    await this.restore();
    if (before && before.user?.id !== this.#kept?.user?.id) this.#options.replaced();
  }

  /** Take what the storage keeps. */
  async restore(): Promise<boolean> {
    this.#kept = await this.#options.keeper.get<KeptSession>(KEY);
    return this.#kept !== null;
  }

  async login(email: string, password: string): Promise<void> {
    const { login } = await this.#options.http.execute(Login, { email, password });
    this.keep(login);
  }

  async register(email: string, password: string, displayName: string): Promise<void> {
    const { register } = await this.#options.http.execute(Register, { email, password, displayName });
    this.keep(register);
  }

  /** End the session on the server; what the network does then, the session is over here. */
  async logout(): Promise<void> {
    const { token } = this;
    this.forget();
    if (token) await this.#options.http.execute(Logout, {}, token).catch(() => {});
  }

  keep({ token, user }: { token: string; user: AuthPartsFragment["user"] | null }): void {
    this.#keep({ token, user, renewAt: Date.now() + lifetimeMs(token) / 2 });
  }

  keepUser(user: Me): void {
    if (this.#kept) this.#keep({ ...this.#kept, user });
  }

  forget(): void {
    this.#renewal.clear();
    this.#kept = null;
    this.#options.keeper.remove(KEY);
  }

  /** The token to enter with. */
  async forEntering(): Promise<string> {
    await this.restore(); // another tab may have renewed it
    if (!this.#kept) await this.#authenticate();
    if (!this.#kept) throw new ParleyError("Log in first", "LOGGED_OUT");
    return (this.#kept as KeptSession).token;
  }

  /** The server refused a token; true when there is another one to try. */
  async refused(token: string): Promise<boolean> {
    await this.restore();
    if (this.#kept && this.#kept.token !== token) return true;
    this.forget();
    this.#refusals += 1;
    // The next attempt asks the app for a token.
    return this.#options.authenticate !== undefined && this.#refusals < MOST_REFUSALS;
  }

  /** Renew when half of the token's life is over; called whenever a connection opens. */
  planRenewal(): void {
    this.#refusals = 0;
    if (this.#kept) this.#renewal.set(this.#kept.renewAt - Date.now(), () => void this.renew());
  }

  pauseRenewal(): void {
    this.#renewal.clear();
  }

  /** Renew now, once for all who ask; tried again later if the server cannot. */
  renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async #renewOnce(): Promise<void> {
    const before = this.token;
    await this.restore();
    if (this.token !== before) return this.planRenewal(); // another tab was first
    try {
      const { renewToken } = await this.#options.execute(RenewToken, {});
      this.keep(renewToken);
      this.planRenewal();
    } catch (error) {
      // Too old to be renewed: the session goes on to its end. Without a network, the next one plans anew.
      if (isPassing(error) && error.code !== "NETWORK") {
        await wait(error.retryAfterMs ?? RETRY_RENEWAL_MS);
        if (this.token === before) this.#renewal.set(0, () => void this.renew());
      }
    }
  }

  async #authenticate(): Promise<void> {
    const token = await this.#options.authenticate?.();
    if (token) this.keep({ token, user: null });
  }

  #keep(kept: KeptSession): void {
    this.#kept = kept;
    this.#options.keeper.set(KEY, kept);
  }
}

/** How long a fresh token lasts, without a look at a clock that may be wrong. */
function lifetimeMs(token: string): number {
  try {
    const payload = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { iat, exp } = JSON.parse(atob(payload)) as { iat: number; exp: number };
    if (exp > iat) return (exp - iat) * 1000;
  } catch {
    // Not of the form that servers give today: the server warns before the end.
  }
  return Infinity;
}
