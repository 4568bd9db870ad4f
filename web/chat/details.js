/* What one sees of another person, and what one can set of a conversation for oneself. */

import { h, icon, keyed } from "./dom.js";
import { attempt, confirmed, openDialog } from "./overlays.js";
import { avatar } from "./people.js";
import { isMuted } from "./states.js";
import { lastSeen } from "./time.js";

const FOR_EVER = "9999-12-31T23:59:59.000000Z";

/** Show a person, or the conversation of everybody. `conversation` is null where none has begun. */
export function openDetails(parley, conversation, peer) {
  const title = peer?.displayName ?? "Everybody";
  openDialog(title, (close) => {
    const place = h("div", {});
    show();
    return place;

    async function show() {
      const person = peer && (await parley.user(peer.id).catch(() => null));
      const about = person ?? peer;
      place.replaceChildren(
        h("div", { class: "profile" },
          avatar(title, about?.avatarUrl, { key: about?.id, size: "large" }),
          about?.statusText ? h("p", { dir: "auto" }, about.statusText) : null,
          h("p", { class: "muted" }, !person ? "" : person.online ? "online" : lastSeen(person.lastSeenAt))),
        conversation ? ownSettings(parley, conversation.id) : "",
        person ? blocking(person) : "");
    }

    function blocking(person) {
      const label = person.blocked ? "Unblock" : "Block";
      return h("div", { class: "choices" }, h("button", { type: "button", class: person.blocked ? "choice" : "choice danger-text", onclick: async () => {
        const sure = person.blocked
          || (await confirmed(`Block ${title}?`, "Neither of you can write to the other, and you are offline to each other.", "Block"));
        if (!sure) return;
        await attempt(() => (person.blocked ? parley.unblock(person.id) : parley.block(person.id)));
        if (place.isConnected) show();
        else close();
      } }, icon("block"), `${label} ${title}`));
    }
  });
}

/** Switches of what is one's own: mute, pin, archive. */
export function ownSettings(parley, id) {
  const list = h("div", { class: "choices" });
  draw();
  return list;

  function draw() {
    const conversation = parley.store.conversation({ conversationId: id });
    if (!conversation) return;
    const { pinned, archived } = conversation;
    const muted = isMuted(conversation);
    const choices = [
      { label: "Muted", drawing: muted ? "bell-off" : "bell", on: muted, change: { mutedUntil: muted ? null : FOR_EVER } },
      { label: "Pinned to the top", drawing: "pin", on: pinned, change: { pinned: !pinned } },
      { label: "Archived", drawing: "archive", on: archived, change: { archived: !archived } },
    ];
    keyed(list, choices, (choice) => choice.label, (choice) => {
      let { change } = choice;
      const button = h("button", { type: "button", class: "choice", role: "switch", onclick: async () => {
        if (await attempt(() => parley.updateConversation(id, change))) draw();
      } });
      const show = (next) => {
        change = next.change;
        button.setAttribute("aria-checked", String(next.on));
        button.replaceChildren(icon(next.drawing), next.label, h("span", { class: "switch", "aria-hidden": "true" }));
      };
      show(choice);
      return { element: button, update: show };
    });
  }
}
