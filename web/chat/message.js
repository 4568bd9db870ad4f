/* One message as a row of the history: stored, or still in the outbox. */

import { attachmentView } from "./attachments.js";
import { h, icon, iconButton, redraw, set } from "./dom.js";
import { avatar } from "./people.js";
import { ticks } from "./states.js";
import { linked, summary } from "./text.js";
import { clockTime } from "./time.js";

/**
 * The row of an item `{ message, mine, first, tick, kind }`. `act` has what one can do with it:
 * `menu, react, toggle, reply, jump, retry, discard`.
 */
export function messageRow(item, act) {
  const element = h("li", { class: "message", tabindex: "-1" });
  let current = item;
  let attachment = null; // kept, so that what plays goes on while a reaction comes
  element.addEventListener("keydown", (event) => {
    if (event.target !== element || event.key !== "Enter") return;
    event.preventDefault();
    act.menu(current.message, element);
  });
  element.addEventListener("contextmenu", (event) => {
    if (!current.message.id || event.target.closest("a, img")) return;
    event.preventDefault();
    act.menu(current.message, element, new DOMRect(event.clientX, event.clientY, 0, 0));
  });
  show(item);
  return { element, update: show };

  function show(next) {
    current = next;
    const { message, mine, first, kind } = next;
    const looks = { mine, theirs: !mine, first, "emoji-only": message.kind === "EMOJI" && !message.deletedAt };
    for (const [name, on] of Object.entries(looks)) element.classList.toggle(name, on);
    set(element, { "data-id": message.id ?? null });
    const groups = kind !== "DIRECT" && !mine;
    redraw(element,
      groups && h("span", { class: "message-avatar" },
        first && avatar(message.sender.displayName, message.sender.avatarUrl, { key: message.senderId, size: "small" })),
      h("div", { class: "message-body" },
        bubble(next, groups && first),
        message.reactions?.length ? reactions(message) : null,
        message.state === "FAILED" ? failure(message) : null),
      message.id && !message.deletedAt ? toolbar(message) : null);
    reach(element, element.classList.contains("current"));
  }

  function bubble({ message, mine, tick }, named) {
    if (message.deletedAt) {
      return h("div", { class: "bubble deleted" }, icon("block"), h("span", {}, "Message deleted"), stamp(message, null));
    }
    const name = mine ? "You" : message.sender?.displayName;
    return h("div", { class: "bubble" },
      h("span", { class: named ? "sender" : "hidden" }, named ? name : `${name}: `),
      message.replyToId && quote(message),
      attachmentOf(message),
      message.content && h("span", { class: "text", dir: "auto" }, linked(message.content)),
      stamp(message, tick));
  }

  function attachmentOf(message) {
    const shown = message.attachment ?? message.file;
    if (!shown) return null;
    const key = message.attachment?.id ?? message.clientMessageId;
    if (attachment?.key !== key) attachment = { key, element: attachmentView(message, act) };
    return attachment.element;
  }

  function quote(message) {
    const original = message.replyTo;
    const name = original?.sender?.displayName ?? "";
    return h("button", { type: "button", class: "quote", onclick: () => act.jump(message.replyToId),
      disabled: !message.id },
    h("span", { class: "hidden" }, "In reply to "),
    h("span", { class: "quote-name" }, name),
    h("span", { class: "quote-text", dir: "auto" }, original ? summary(original) : "A message that you cannot see"));
  }

  function stamp(message, tick) {
    return h("span", { class: "stamp" },
      message.editedAt && !message.deletedAt ? h("span", {}, "edited") : null,
      h("time", { datetime: message.createdAt }, clockTime(message.createdAt)),
      tick && ticks(tick));
  }

  function reactions(message) {
    return h("div", { class: "reactions" }, message.reactions.map(({ emoji, count, mine, users }) => {
      const names = users.map((user) => user.displayName).join(", ");
      return h("button", { type: "button", class: "reaction", "aria-pressed": String(mine), title: names,
        "aria-label": `${emoji} ${count}: ${names}`, onclick: () => act.toggle(message, emoji) },
      emoji, h("span", {}, count));
    }));
  }

  function failure(message) {
    return h("p", { class: "failure", role: "alert" },
      h("span", {}, `Not sent: ${message.error?.message ?? "the server refused it"}`),
      h("button", { type: "button", class: "link", onclick: () => act.retry(message) }, "Try again"),
      h("button", { type: "button", class: "link", onclick: () => act.discard(message) }, "Remove"));
  }

  function toolbar(message) {
    return h("div", { class: "message-tools" },
      iconButton("smile", "React", (event) => act.react(message, event.currentTarget)),
      iconButton("reply", "Reply", () => act.reply(message)),
      iconButton("more", "More actions", (event) => act.menu(message, event.currentTarget)));
  }
}

/** Let Tab reach what is in a message, of the current message alone: else it would take for ever. */
export function reach(row, reachable) {
  for (const control of row.querySelectorAll("a, button, input, video")) {
    control.tabIndex = reachable ? 0 : -1;
  }
}
