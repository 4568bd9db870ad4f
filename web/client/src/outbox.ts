import type { Connection } from "./connection.js";
import { ParleyError, isPassing, networkError } from "./errors.js";
import { SendMessage, UploadAttachment } from "./generated.js";
import type { Http } from "./http.js";
import { randomId } from "./ids.js";
import { Ownership } from "./ownership.js";
import type { Keeper } from "./storage.js";
import type { Store } from "./store.js";
import { pauseBefore, wait } from "./time.js";
import type { Draft, FileStorage, Message, Outgoing, Target } from "./types.js";

/** What fits into one message of the wire, whatever the server allows as content. */
const MOST_CHARACTERS = 300_000;
/** An error of the server's own is no reason to give up at once, nor to try for ever. */
const MOST_FAULTS = 5;
const KIND_OF_EVERYBODY = "EVERYBODY";

export interface OutboxOptions {
  readonly connection: Connection;
  readonly http: Http;
  readonly files: FileStorage;
  readonly store: Store;
  token(): string | null;
  sent(message: Message): void;
  refused(item: Outgoing): void;
}

/** An item with what only the outbox knows. */
interface Entry {
  item: Outgoing;
  readonly key: string;
  readonly owner: string;
  faults: number;
}

type Kept = Omit<Entry, "faults" | "key">;

interface Waiter {
  resolve(message: Message): void;
  reject(error: ParleyError): void;
}

/** Messages on their way. Each is kept until the server has stored it, or refused it for good. */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #entries = new Map<string, Entry>(); // by clientMessageId, in the order of sending
  readonly #waiters = new Map<string, Waiter>();
  readonly #lanes = new Set<string>(); // those in which something is being sent
  readonly #ownership = new Ownership();
  #keeper: Keeper | null = null;
  #unwatch = () => {};
  #lastKey = "";

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Take what an earlier run of this user has left, and what other tabs have on their way. */
  async restore(keeper: Keeper): Promise<void> {
    if (this.#keeper) return;
    this.#keeper = keeper;
    this.#unwatch = keeper.watch((key) => void this.#follow(key));
    const keys = await keeper.keys();
    await Promise.all(keys.map((key) => this.#follow(key)));
  }

  /** Another user logs in: their outbox is another one. */
  forget(): void {
    this.#unwatch();
    this.#keeper = null;
    for (const waiter of this.#waiters.values()) waiter.reject(networkError("Logged out"));
    this.#waiters.clear();
    this.#entries.clear();
  }

  /** Throw everything away that is not stored. */
  async discardAll(): Promise<void> {
    for (const id of [...this.#entries.keys()]) await this.discard(id);
  }

  send(target: Target, draft: Draft): { clientMessageId: string; stored: Promise<Message> } {
    const keeper = this.#keeper;
    if (!keeper) throw new ParleyError("Log in first", "LOGGED_OUT");
    const { content = "", file, kind = null, attachmentId = null, replyToId = null, metadata = null } = draft;
    const clientMessageId = randomId();
    const name = draft.filename ?? (file as File | undefined)?.name ?? "file";
    const item: Outgoing = {
      clientMessageId,
      target,
      content,
      kind,
      attachmentId,
      replyToId,
      metadata,
      file: file ? { name, type: file.type, size: file.size } : null,
      createdAt: new Date().toISOString(),
      state: "WAITING",
      error: null,
    };
    const entry = { item, key: this.#nextKey(clientMessageId), owner: this.#ownership.id, faults: 0 };
    this.#entries.set(clientMessageId, entry);
    const stored = new Promise<Message>((resolve, reject) => this.#waiters.set(clientMessageId, { resolve, reject }));
    stored.catch(() => {}); // the store shows it too: nobody has to ask
    this.#change(entry, {});
    void this.#begin(entry, file);
    return { clientMessageId, stored };
  }

  retry(clientMessageId: string): void {
    const entry = this.#entries.get(clientMessageId);
    if (entry?.item.state !== "FAILED") return;
    entry.faults = 0;
    this.#change(entry, { state: "WAITING", error: null });
    this.#drain(entry);
  }

  async discard(clientMessageId: string): Promise<void> {
    const entry = this.#entries.get(clientMessageId);
    if (!entry) return;
    this.#waiters.get(clientMessageId)?.reject(new ParleyError("Discarded", "DISCARDED"));
    await this.#remove(entry);
  }

  /** The file of an item, to show it. */
  async fileOf(clientMessageId: string): Promise<Blob | null> {
    return this.#options.files.get(clientMessageId);
  }

  async #begin(entry: Entry, file: Blob | undefined): Promise<void> {
    await this.#ownership.claim();
    if (file) await this.#options.files.set(entry.item.clientMessageId, file);
    this.#drain(entry);
  }

  /** In the order of sending, over all tabs of this storage. */
  #nextKey(clientMessageId: string): string {
    const [time = "", count = "0"] = this.#lastKey.split(" ");
    const now = String(Date.now()).padStart(15, "0");
    const next = now > time ? 0 : Number(count) + 1;
    this.#lastKey = `${now > time ? now : time} ${String(next).padStart(6, "0")}`;
    return `${this.#lastKey} ${clientMessageId}`;
  }

  /** Look at an item that an earlier run, or another tab, has written or removed. */
  async #follow(key: string): Promise<void> {
    const keeper = this.#keeper;
    const id = key.split(" ")[2] ?? "";
    const kept = await keeper?.get<Kept>(key);
    if (keeper !== this.#keeper) return;
    const known = this.#entries.get(id);
    if (!kept) {
      if (known && known.owner !== this.#ownership.id) this.#drop(known);
      return;
    }
    if (known?.owner === this.#ownership.id) return;
    const entry: Entry = { ...kept, key, faults: 0 };
    this.#entries.set(id, entry);
    this.#show();
    if (!known) void this.#inherit(entry);
  }

  /** Send what another tab, or an earlier run, has left, once that is gone. */
  async #inherit({ key, owner, item }: Entry): Promise<void> {
    const keeper = this.#keeper;
    await this.#ownership.afterTheEndOf(owner);
    if (keeper !== this.#keeper || !(await keeper?.get(key))) return;
    const entry = this.#entries.get(item.clientMessageId);
    if (entry) this.#drain(entry);
  }

  /** Send what waits for the same place, one after the other. */
  #drain({ item }: Entry): void {
    const lane = JSON.stringify(item.target);
    if (this.#lanes.has(lane)) return;
    this.#lanes.add(lane);
    void this.#drainLane(lane).finally(() => {
      this.#lanes.delete(lane);
      // Something may have come as the last one went.
      const next = this.#next(lane);
      if (next && this.#options.connection.isStarted) this.#drain(next);
    });
  }

  #next(lane: string): Entry | undefined {
    const waits = ({ item }: Entry) => item.state !== "FAILED" && JSON.stringify(item.target) === lane;
    return this.#keeper ? this.#sorted().find(waits) : undefined;
  }

  async #drainLane(lane: string): Promise<void> {
    for (let attempt = 0; ;) {
      const entry = this.#next(lane);
      if (!entry) return;
      try {
        await this.#options.connection.ready();
        if (!this.#isHere(entry)) continue;
        if (entry.item.state !== "SENDING") this.#change(entry, { state: "SENDING" });
        const message = await this.#deliver(entry);
        attempt = 0;
        if (this.#isHere(entry)) await this.#stored(entry, message);
      } catch (error) {
        if (!this.#isHere(entry)) continue;
        const pause = this.#pauseAfter(error, entry, attempt);
        if (pause === null) {
          this.#refuse(entry, error as ParleyError);
          continue;
        }
        if (entry.item.state !== "WAITING") this.#change(entry, { state: "WAITING" });
        // Not connected, by the app's wish or without a session: `resume` begins anew.
        if (!this.#options.connection.isStarted) return;
        attempt += 1;
        await wait(pause);
      }
    }
  }

  /** There is a connection again. */
  resume(): void {
    for (const entry of this.#entries.values()) if (this.#isOurs(entry)) this.#drain(entry);
  }

  #isOurs({ owner }: Entry): boolean {
    return owner === this.#ownership.id || !this.#ownership.isAlive(owner);
  }

  #isHere({ item }: Entry): boolean {
    return this.#entries.has(item.clientMessageId);
  }

  async #deliver(entry: Entry): Promise<Message> {
    const { clientMessageId, content, kind, replyToId, metadata, target, file } = entry.item;
    if (content.length > MOST_CHARACTERS) throw new ParleyError("The text is too long", "PAYLOAD_TOO_LARGE");
    if (file && !entry.item.attachmentId) await this.#upload(entry, file);
    const { attachmentId } = entry.item;
    const { connection, store } = this.#options;
    const place = store.conversation(target)?.kind === KIND_OF_EVERYBODY ? {} : placeOf(target);
    const variables = {
      ...place,
      content: content || null,
      kind: file ? null : kind,
      attachmentId,
      replyToId,
      metadata,
      clientMessageId,
    };
    try {
      return (await connection.execute(SendMessage, variables)).sendMessage;
    } catch (error) {
      const isGone = file && (error as ParleyError).code === "NOT_FOUND" && /attachment/i.test(String(error));
      if (!isGone || !(await this.#options.files.get(clientMessageId))) throw error;
      // An upload that waited for a day is gone: it is uploaded once more.
      this.#change(entry, { attachmentId: null });
      entry.faults += 1;
      throw entry.faults > 1 ? error : networkError("The upload has expired");
    }
  }

  async #upload(entry: Entry, { name }: { name: string }): Promise<void> {
    const { http, files, token } = this.#options;
    const { clientMessageId, kind } = entry.item;
    const file = await files.get(clientMessageId);
    if (!file) throw new ParleyError("The file is no longer here", "FILE_LOST");
    const { uploadAttachment } = await http.upload(UploadAttachment, { file, kind }, name, token() ?? "");
    this.#change(entry, { attachmentId: uploadAttachment.id });
  }

  /** How long to wait before trying again; null when the server has refused for good. */
  #pauseAfter(error: unknown, entry: Entry, attempt: number): number | null {
    if (!(error instanceof ParleyError)) return null;
    const { code } = error;
    // The session is renewed, or the user logs in again.
    if (code === "UNAUTHENTICATED" || code === "LOGGED_OUT") return pauseBefore(attempt + 2);
    if (isPassing(error)) return error.retryAfterMs ?? pauseBefore(attempt);
    if (code !== "INTERNAL") return null;
    entry.faults += 1;
    return entry.faults < MOST_FAULTS ? pauseBefore(attempt + 2) : null;
  }

  async #stored(entry: Entry, message: Message): Promise<void> {
    const waiter = this.#waiters.get(entry.item.clientMessageId);
    this.#options.sent(message); // first into the thread, so that it is never shown in neither
    await this.#remove(entry);
    waiter?.resolve(message);
  }

  #refuse(entry: Entry, { message, code }: ParleyError): void {
    this.#change(entry, { state: "FAILED", error: { message, code } });
    this.#waiters.get(entry.item.clientMessageId)?.reject(new ParleyError(message, code));
    this.#options.refused(entry.item);
  }

  async #remove(entry: Entry): Promise<void> {
    const { clientMessageId, file } = entry.item;
    this.#keeper?.remove(entry.key);
    this.#drop(entry);
    if (file) await this.#options.files.remove(clientMessageId);
  }

  #drop({ item }: Entry): void {
    this.#entries.delete(item.clientMessageId);
    this.#waiters.delete(item.clientMessageId);
    this.#show();
  }

  #change(entry: Entry, change: Partial<Outgoing>): void {
    entry.item = { ...entry.item, ...change };
    // Whoever takes it up again begins it anew.
    const state = entry.item.state === "SENDING" ? "WAITING" : entry.item.state;
    const kept: Kept = { item: { ...entry.item, state }, owner: entry.owner };
    this.#keeper?.set(entry.key, kept);
    this.#show();
  }

  #sorted(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1)).filter((each) => this.#isOurs(each));
  }

  #show(): void {
    const entries = [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    this.#options.store.putOutbox(entries.map(({ item }) => item));
  }
}

function placeOf(target: Target): { receiverId?: string; conversationId?: string } {
  if ("with" in target) return { receiverId: target.with };
  return "conversationId" in target ? { conversationId: target.conversationId } : {};
}
