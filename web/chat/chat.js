/* The frame of the chat: the list on the left, one conversation on the right. */

import { h } from "./dom.js";
import { announce } from "./overlays.js";
import { openPane } from "./pane.js";
import { addressOf, readRoute, sameTarget } from "./routes.js";
import { openSidebar } from "./sidebar.js";
import { isMuted } from "./states.js";
import { summary } from "./text.js";

/** Show the chat in `place`. Returns how to leave it. */
export function openChat(parley, place, { logOut }) {
  const stops = [];
  const sidebar = openSidebar(parley, { logOut });
  const nobody = h("div", { class: "nobody" },
    h("span", { class: "brand-mark large", "aria-hidden": "true" }),
    h("p", {}, "Choose a conversation, or begin a new one."));
  const main = h("main", { class: "main", id: "main" }, nobody);
  const chat = h("div", { class: "chat" }, sidebar.element, main);
  place.replaceChildren(h("a", { class: "skip", href: "#main", onclick: skip }, "Go to the conversation"), chat);

  let pane = null;
  let target = null;
  let waiting = false;

  stops.push(parley.store.subscribe(updateSoon));
  stops.push(parley.on("status", updateSoon));
  stops.push(parley.on("message", hear));
  listen(globalThis, "hashchange", follow);
  follow();
  update();

  /** Show what the address says. */
  function follow() {
    const route = readRoute();
    if (!sameTarget(route?.target ?? null, target)) {
      pane?.close();
      target = route?.target ?? null;
      pane = target && openPane(parley, target);
      main.replaceChildren(pane?.element ?? nobody);
      chat.classList.toggle("has-pane", Boolean(pane));
      sidebar.select(target);
      update();
      pane?.focus();
    }
    if (route?.message) pane.showMessage(route.message);
  }

  /** A burst of changes is drawn once. A hidden page draws too: its title counts what is unread. */
  function updateSoon() {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      update();
    });
  }

  function update() {
    // The first message has made a conversation of two people: from now on it has an address.
    const begun = target && !target.conversationId && parley.store.conversation(target);
    if (begun) {
      target = { conversationId: begun.id };
      history.replaceState(null, "", addressOf(begun.id));
      pane.begin(target);
      sidebar.select(target);
    }
    sidebar.update();
    pane?.update();
    const unread = parley.store.conversations.filter((one) => one.unreadCount && !isMuted(one)).length;
    document.title = unread ? `(${unread}) Parley` : "Parley";
  }

  function hear(message) {
    const { me } = parley;
    if (!me || message.senderId === me.id || message.deletedAt) return;
    announce(`${message.sender.displayName}: ${summary(message)}`);
  }

  function skip(event) {
    event.preventDefault();
    pane?.focus();
  }

  function listen(where, name, listener) {
    where.addEventListener(name, listener);
    stops.push(() => where.removeEventListener(name, listener));
  }

  return () => {
    pane?.close();
    sidebar.close();
    for (const stop of stops) stop();
    place.replaceChildren();
  };
}
