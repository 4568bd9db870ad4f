import type { Connection } from "./connection.js";
import { Presence, SetTyping, Typing, type TypingSubscription } from "./generated.js";
import type { Store } from "./store.js";
import { Timer, pauseBefore } from "./time.js";
import type { Activity, Target } from "./types.js";

const MOST_WATCHED = 1000;
const WATCH_AFTER_MS = 100;
const OVER_AFTER_MS = 7_000; // the server's six seconds, and the way
const TELL_EVERY_MS = 3_000;

/** Who types and who is online: what passes, is told to whoever is connected, and is never told again. */
export class Passing {
  readonly #connection: Connection;
  readonly #store: Store;
  readonly #followsPresence: boolean;
  readonly #watched = new Map<string, number>(); // how many watch this user
  readonly #rewatching = new Timer();
  readonly #over = new Map<string, Timer>();
  readonly #told = new Map<string, { activity: Activity; at: number }>();
  #stopPresence = () => {};
  #now = ""; // the users who are watched on this connection

  constructor(connection: Connection, store: Store, followsPresence: boolean) {
    this.#connection = connection;
    this.#store = store;
    this.#followsPresence = followsPresence;
    store.subscribe(() => this.#rewatch());
  }

  /** Follow on the connection that has just opened. */
  follow(): void {
    this.#now = "";
    this.#followTyping();
    this.#rewatch();
  }

  pause(): void {
    this.#rewatching.clear();
    this.#store.forgetPassing();
    this.#told.clear();
  }

  watch(userIds: readonly string[]): () => void {
    for (const id of userIds) this.#watched.set(id, (this.#watched.get(id) ?? 0) + 1);
    this.#rewatch();
    return () => {
      for (const id of userIds) {
        const left = (this.#watched.get(id) ?? 0) - 1;
        if (left > 0) this.#watched.set(id, left);
        else this.#watched.delete(id);
      }
      this.#rewatch();
    };
  }

  /** Say what the user does there, at most every three seconds. */
  tell(target: Target, activity: Activity): void {
    if ("everybody" in target || !this.#connection.isOpen) return;
    if (this.#store.conversation(target)?.kind === "EVERYBODY") return;
    const key = JSON.stringify(target);
    const told = this.#told.get(key);
    if (activity === "NONE" ? !told : told?.activity === activity && Date.now() - told.at < TELL_EVERY_MS) return;
    if (activity === "NONE") this.#told.delete(key);
    else this.#told.set(key, { activity, at: Date.now() });
    this.#connection.execute(SetTyping, { ...target, activity }).catch(() => {}); // it passes anyway
  }

  /** Sending a message ends it: the next key is told at once. */
  ended(target: Target): void {
    this.#told.delete(JSON.stringify(target));
  }

  #followTyping(): void {
    const again = () => setTimeout(() => this.#connection.isOpen && this.#followTyping(), pauseBefore(3));
    this.#connection.subscribe(
      Typing,
      {},
      {
        next: ({ typing }) => this.#show(typing),
        error: ({ code }) => void (code === "NETWORK" || again()),
        complete: () => {},
      },
    );
  }

  #show({ conversationId, user, activity }: TypingSubscription["typing"]): void {
    const target: Target = conversationId === null ? { with: user.id } : { conversationId };
    const key = `${conversationId} ${user.id}`;
    const timer = this.#over.get(key) ?? new Timer();
    const others = this.#store.typing(target).filter((typist) => typist.user.id !== user.id);
    if (activity === "NONE") {
      timer.clear();
      this.#over.delete(key);
      return this.#store.putTyping(target, others);
    }
    this.#over.set(key, timer);
    timer.set(OVER_AFTER_MS, () => this.#show({ conversationId, user, activity: "NONE", expiresAt: null }));
    this.#store.putTyping(target, [...others, { user, activity }]);
  }

  /** Watch whom there is to watch now, if that has changed. */
  #rewatch(): void {
    if (!this.#followsPresence || this.#rewatching.isSet || !this.#connection.isOpen) return;
    this.#rewatching.set(WATCH_AFTER_MS, () => {
      if (!this.#connection.isOpen) return;
      const peers = this.#store.allConversations.map(({ peer }) => peer?.id);
      const ids = [...new Set([...this.#watched.keys(), ...peers])].filter((id) => id !== undefined);
      const userIds = ids.slice(0, MOST_WATCHED).sort();
      const wanted = userIds.join();
      if (wanted === this.#now) return;
      this.#now = wanted;
      this.#stopPresence();
      this.#stopPresence = userIds.length ? this.#followPresence(userIds) : () => {};
    });
  }

  #followPresence(userIds: readonly string[]): () => void {
    return this.#connection.subscribe(
      Presence,
      { userIds: [...userIds] },
      {
        next: ({ presence: { user, online, lastSeenAt } }) => this.#store.putPresence(user.id, { online, lastSeenAt }),
        error: () => (this.#now = ""), // the next change of the store tries again
        complete: () => {},
      },
    );
  }
}
