/* The history of a conversation: it scrolls, loads what is older, and keeps its place. */

import { reach, messageRow } from "./message.js";
import { h, iconButton, keyed, say } from "./dom.js";
import { moveByArrows } from "./focus.js";
import { messageActions } from "./message-actions.js";
import { attempt } from "./overlays.js";
import { keepPlace } from "./scrolling.js";
import { dayKey, dayName } from "./time.js";

const RUN_MILLISECONDS = 5 * 60 * 1000; // messages of one person within it are drawn as one run
const LOAD_BEFORE = 800; // pixels from the top at which the next page is loaded

/** Returns `{ element, update, opened, showMessage, lastOwn, close }`. */
export function openThread(parley, target, { reply, edit }) {
  const loading = h("p", { class: "muted loading", role: "status" });
  const list = h("ol", { class: "messages", "aria-label": "Messages", role: "list" });
  const scroller = h("div", { class: "scroller" }, loading, list);
  const down = iconButton("down", "To the newest messages", toNewest, { class: "icon-button to-newest", hidden: true });
  const element = h("div", { class: "thread" }, scroller, down);
  const act = messageActions(parley, { reply, edit, jump: showMessage });
  const arrows = moveByArrows(list, ".message", { horizontal: false, start: "last" });
  const place = keepPlace(scroller, list);
  const stops = [];

  let unreadFrom = null; // the read mark as it was when the conversation was opened
  let started = false;
  let busy = false;
  let shown = [];
  let far = null; // `{ messages, hasOlder, hasNewer }` around one far back, in the place of the newest ones
  let items = new Map();

  scroller.addEventListener("scroll", () => {
    down.hidden = !far && place.isAtEnd();
    loadMore();
    markRead();
  }, { passive: true });
  list.addEventListener("focusin", (event) => {
    for (const row of list.querySelectorAll(".message.current")) {
      if (!row.contains(event.target)) leave(row);
    }
    const row = event.target.closest(".message");
    row?.classList.add("current");
    if (row) reach(row, true);
  });
  listen(document, "visibilitychange", markRead);
  listen(globalThis, "focus", markRead);
  stops.push(parley.on("event", (event) => {
    if (!far || !event.message) return;
    const { message } = event;
    far = { ...far, messages: far.messages.map((old) => (old.id === message.id ? message : old)) };
  }));

  function leave(row) {
    row.classList.remove("current");
    reach(row, false);
  }

  function conversation() {
    return parley.store.conversation(target());
  }

  function update() {
    const known = conversation();
    const thread = known ? parley.store.thread(known.id) : null;
    const outgoing = parley.store.outgoing(target());
    // A conversation that has just begun is loaded while its first message stays in sight.
    const stored = known && !thread.loaded ? shown.filter((message) => !outgoing.includes(message)) : thread?.messages ?? [];
    const messages = far?.messages ?? [...stored, ...outgoing];
    shown = messages;
    say(loading, busy ? "Loading older messages…" : known && !thread?.loaded ? "Loading…" : "");
    // Who answers has read.
    if (messages.length && isMine(messages.at(-1))) unreadFrom = null;
    const rows = rowsOf(messages, known?.kind ?? "DIRECT");
    place.around(() => keyed(list, rows, (row) => row.key, makeRow));
    arrows.settle();
    down.hidden = !far && place.isAtEnd();
    loadMore();
    markRead();
  }

  /** The newest page is there: begin at the first unread message, else at the end. */
  function opened() {
    if (started) return;
    started = true;
    unreadFrom = conversation()?.unreadCount ? conversation().readUpTo ?? "0" : null;
    update();
    const divider = list.querySelector(".unread-line");
    if (divider) divider.scrollIntoView({ block: "center" });
    else place.toEnd();
    markRead();
  }

  /** Messages as rows with what stands between them: days, and where the unread ones begin. */
  function rowsOf(messages, kind) {
    const rows = [];
    const next = new Map();
    const me = parley.me?.id;
    let before = null;
    let unreadShown = false;
    for (const message of messages) {
      const mine = isMine(message);
      if (!before || dayKey(before.createdAt) !== dayKey(message.createdAt)) {
        rows.push(kept({ key: `day ${dayKey(message.createdAt)}`, day: dayName(message.createdAt) }));
      }
      if (!unreadShown && unreadFrom !== null && !mine && isLater(message.id, unreadFrom)) {
        unreadShown = true;
        rows.push(kept({ key: "unread", unread: true }));
      }
      const first = !before || before.senderId !== message.senderId || before.deletedAt !== message.deletedAt
        || new Date(message.createdAt) - new Date(before.createdAt) > RUN_MILLISECONDS;
      const tick = mine && kind !== "EVERYBODY" && !message.deletedAt ? parley.store.tick(message) : null;
      rows.push(kept({ key: (mine && message.clientMessageId) || message.id, message, mine, first, tick, kind }));
      before = message.id ? message : { ...message, senderId: me };
    }
    items = next;
    return rows;

    /** The object of the last time, where nothing of it has changed: its row is left alone. */
    function kept(row) {
      const old = items.get(row.key);
      const same = old && Object.keys(row).every((name) => row[name] === old[name]);
      next.set(row.key, same ? old : row);
      return same ? old : row;
    }
  }

  function isMine(message) {
    return !message.id || message.senderId === parley.me?.id;
  }

  function makeRow(row) {
    if (row.day) return { element: h("li", { class: "day" }, h("span", {}, row.day)) };
    if (row.unread) return { element: h("li", { class: "unread-line" }, h("span", {}, "New messages")) };
    return messageRow(row, act);
  }

  async function loadMore() {
    const known = conversation();
    if (busy || !started || !known) return;
    if (far) return loadFar(known.id);
    if (scroller.scrollTop > LOAD_BEFORE || !parley.store.thread(known.id).hasOlder) return;
    await whileBusy(() => parley.loadOlder(known.id));
  }

  async function whileBusy(work) {
    busy = true;
    const done = await attempt(work);
    // After an error it is tried again when the user scrolls, not at once.
    setTimeout(() => {
      busy = false;
      if (done) update();
    }, done ? 0 : 1000);
  }

  /** Show a message, wherever in the history it is. */
  async function showMessage(id) {
    await attempt(async () => {
      const known = conversation() ?? (await parley.open(target()));
      if (!known) return;
      opened();
      if (!rowOf(id)) {
        const thread = parley.store.thread(known.id);
        if (far || !thread.messages.some((message) => message.id === id)) far = await parley.around(known.id, id);
        update();
      }
      const row = rowOf(id);
      if (!row) return;
      arrows.focusOn(row);
      row.scrollIntoView({ block: "center" });
      row.classList.add("shown");
      setTimeout(() => row.classList.remove("shown"), 2000);
    });
  }

  /** Go on from either end of what is shown of long ago, until it meets the newest messages. */
  async function loadFar(conversationId) {
    const atTop = scroller.scrollTop < LOAD_BEFORE;
    if (atTop ? !far.hasOlder : !place.isAtEnd()) return;
    if (!atTop && !far.hasNewer) return toNewest();
    const { messages } = far;
    await whileBusy(async () => {
      const more = await parley.around(conversationId, (atTop ? messages[0] : messages.at(-1)).id);
      if (far?.messages !== messages) return; // it was left, or has changed: the next scroll asks again
      const known = new Set(messages.map((message) => message.id));
      const fresh = more.messages.filter((message) => !known.has(message.id));
      far = atTop
        ? { ...far, messages: [...fresh, ...messages], hasOlder: more.hasOlder }
        : { ...far, messages: [...messages, ...fresh], hasNewer: more.hasNewer };
    });
  }

  function toNewest() {
    far = null;
    update();
    place.toEnd();
    arrows.items().at(-1)?.focus({ preventScroll: true });
  }

  /** What is on the screen of somebody who looks at it has been read. */
  function markRead() {
    const known = conversation();
    if (!known?.unreadCount || far || !started || document.hidden || !document.hasFocus() || !place.isAtEnd()) return;
    parley.markRead(known.id).catch(() => {}); // the next message marks again
  }

  function rowOf(id) {
    return list.querySelector(`.message[data-id="${CSS.escape(id)}"]`);
  }

  function listen(where, name, listener) {
    where.addEventListener(name, listener);
    stops.push(() => where.removeEventListener(name, listener));
  }

  return {
    element,
    update,
    opened,
    showMessage,
    /** The newest text of one's own, to edit it. */
    lastOwn() {
      const known = conversation();
      const messages = known ? parley.store.thread(known.id).messages : [];
      return messages.findLast((message) => message.senderId === parley.me?.id && !message.deletedAt && message.content);
    },
    close() {
      place.close();
      for (const stop of stops) stop();
    },
  };
}

/** Whether one id is later than another: decimal numbers of any length. */
function isLater(one, other) {
  return one.length === other.length ? one > other : one.length > other.length;
}
