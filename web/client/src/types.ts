import type {
  Activity,
  AttachmentPartsFragment,
  ConversationPartsFragment,
  EventsSubscription,
  MembersQuery,
  MessageKind,
  MessagePartsFragment,
  SearchMessagesQuery,
  ServerInfoQuery,
  SessionsQuery,
  SettingsPartsFragment,
  UserPartsFragment,
  UserQuery,
} from "./generated.js";
import type { ParleyError } from "./errors.js";

export type { Activity, ConversationKind, MemberRole, MessageKind, PresenceSetting } from "./generated.js";

/** A person as others see them. Whether they are online is `parley.store.presence(id)`. */
export type User = UserPartsFragment;
/** The user who is logged in. */
export type Me = User & { readonly email: string | null };
/** A user who was looked up by id. */
export type Profile = NonNullable<UserQuery["user"]>;
/** A picture, a voice note or another file; `parley.attachment(id)` gives a fresh `url`. */
export type Attachment = AttachmentPartsFragment;
export type Message = MessagePartsFragment;
export type Conversation = ConversationPartsFragment;
export type Reaction = Message["reactions"][number];
export type Marks = Conversation["marks"][number];
export type Settings = SettingsPartsFragment;
export type Member = NonNullable<MembersQuery["conversation"]>["members"]["nodes"][number];
export type LoginSession = SessionsQuery["sessions"][number];
export type ServerInfo = ServerInfoQuery["serverInfo"];
/** One fact of the log, as `events` tells it. */
export type ParleyEvent = EventsSubscription["events"];
export type Found = SearchMessagesQuery["searchMessages"]["edges"][number];

/** Where a message goes: a conversation that exists, somebody whom you may not have written to yet, or everybody. */
export type Target = { readonly conversationId: string } | { readonly with: string } | { readonly everybody: true };

/** What a message says. Give `file` to upload one with it; `attachmentId` to forward one. */
export interface Draft {
  readonly content?: string;
  readonly file?: Blob;
  /** The name of `file`, where it is a Blob and no File. */
  readonly filename?: string;
  /** IMAGE, VOICE or FILE, to refuse or keep `file` as such; by default what the file is. */
  readonly kind?: MessageKind;
  readonly attachmentId?: string;
  readonly replyToId?: string;
  /** Custom data for bots, places, cards: an object, 4 KiB as JSON at most. */
  readonly metadata?: object;
}

/** Why a message waits in the outbox. FAILED: the server refused it for good; `error` says why. */
export type OutgoingState = "WAITING" | "SENDING" | "FAILED";

/** A message of the outbox, in the order of sending. */
export interface Outgoing {
  readonly clientMessageId: string;
  readonly target: Target;
  readonly content: string;
  readonly kind: MessageKind | null;
  readonly attachmentId: string | null;
  readonly replyToId: string | null;
  readonly metadata: object | null;
  /** Of a file that is still to be uploaded. `url` shows it, where this process has it. */
  readonly file: { readonly name: string; readonly type: string; readonly size: number } | null;
  readonly createdAt: string;
  readonly state: OutgoingState;
  readonly error: { readonly message: string; readonly code: string } | null;
}

/** How far a message of yours has got: on its way, stored, delivered to and read by all others of it. */
export type Tick = "WAITING" | "FAILED" | "SENT" | "DELIVERED" | "READ";

/** The messages of a conversation that are loaded: all from the oldest one here to the newest one. */
export interface Thread {
  /** Oldest first. */
  readonly messages: readonly Message[];
  /** Whether there are older messages to load. */
  readonly hasOlder: boolean;
  /** Whether the newest page has been loaded. */
  readonly loaded: boolean;
}

export interface Presence {
  readonly online: boolean;
  readonly lastSeenAt: string | null;
}

export interface Typist {
  readonly user: { readonly id: string; readonly displayName: string };
  readonly activity: Exclude<Activity, "NONE">;
}

/**
 * LOGGED_OUT: there is no token, or it is no longer good. OFFLINE: not connected, by `disconnect()`.
 * CONNECTING: the client tries, and goes on trying. ONLINE: what happens is shown at once.
 */
export type Status = "LOGGED_OUT" | "OFFLINE" | "CONNECTING" | "ONLINE";

/** What a client keeps between two runs. localStorage fits behind it; so does a file, or a database. */
export interface ParleyStorage {
  get(key: string): string | null | Promise<string | null>;
  set(key: string, value: string): void | Promise<void>;
  remove(key: string): void | Promise<void>;
  /** Every key that begins so, in any order. */
  keys(prefix: string): readonly string[] | Promise<readonly string[]>;
  /** Call back when another tab or process changed a key; return how to stop. */
  watch?(changed: (key: string) => void): () => void;
}

/** Where the files of the outbox wait; without it they do not survive a reload. */
export interface FileStorage {
  get(key: string): Promise<Blob | null>;
  set(key: string, file: Blob): Promise<void>;
  remove(key: string): Promise<void>;
}

export interface ParleyOptions {
  /** The server's address, such as "https://chat.example.com"; in a browser by default the page's own. */
  readonly url?: string;
  /** By default localStorage; without one, memory. */
  readonly storage?: ParleyStorage;
  /** Keeps apart what several users of one storage keep: two people in one browser, say. */
  readonly namespace?: string;
  /** By default IndexedDB; without one, memory. */
  readonly files?: FileStorage;
  /** For an app with a login of its own: brings a good token whenever the client has none. */
  readonly authenticate?: () => Promise<string>;
  /** Conversations and messages of one page: 30, and 50 at most. */
  readonly pageSize?: number;
  /** Tell others that messages have come to this client: true. */
  readonly markDelivered?: boolean;
  /** Follow who is online among those of one's direct conversations, and whom `watchPresence` names: true. */
  readonly presence?: boolean;
  /** A silent connection is tried after so long: 10,000 ms. */
  readonly pingAfterMs?: number;
  /** What a connection, its opening too, may take to answer: 5,000 ms. */
  readonly answerWithinMs?: number;
  readonly fetch?: typeof fetch;
  readonly WebSocket?: typeof WebSocket;
}

/** What `parley.on(name, listener)` hears. */
export interface ParleyEvents {
  /** Each fact once and in order, also after a reload: what came since the last one that a listener has seen. */
  event: ParleyEvent;
  /** Each message that was sent to you or by you, as a `MessageSent` event has it. */
  message: Message;
  status: Status;
  /** What was missed is too old to be told one by one; the store has been loaded anew. */
  reset: undefined;
  /** A message of the outbox was stored. */
  sent: Message;
  /** A message of the outbox was refused for good. */
  refused: Outgoing;
  /** The session has ended: show the login form. */
  loggedOut: ParleyError;
}

export interface Page<T> {
  readonly nodes: readonly T[];
  /** For the next page, as `after`; null for the last page. */
  readonly next: string | null;
}

export interface MessagesAround {
  /** Oldest first. */
  readonly messages: readonly Message[];
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
}

export interface UploadOptions {
  /** IMAGE, VOICE or FILE, to refuse or keep the file as such; by default what it is. */
  readonly kind?: MessageKind;
  readonly filename?: string;
  readonly signal?: AbortSignal;
}

export interface GroupChanges {
  readonly title?: string;
  readonly avatarId?: string;
  readonly removeAvatar?: boolean;
  readonly showsEarlier?: boolean;
}

export interface ConversationChanges {
  /** In RFC 3339; null ends it. */
  readonly mutedUntil?: string | null;
  readonly archived?: boolean;
  readonly pinned?: boolean;
}

export interface ProfileChanges {
  readonly displayName?: string;
  readonly statusText?: string | null;
  readonly avatarId?: string | null;
}

export interface SearchOptions {
  readonly conversation?: string;
  readonly with?: string;
  readonly from?: string;
  readonly kind?: MessageKind;
  readonly first?: number;
  readonly after?: string;
}
