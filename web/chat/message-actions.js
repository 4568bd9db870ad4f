/* What one can do with a message: react, reply, edit, copy, delete. */

import { QUICK } from "./emoji-data.js";
import { openEmoji } from "./emoji.js";
import { attempt, confirmed, notify, openMenu, showBeside } from "./overlays.js";
import { h, iconButton } from "./dom.js";
import { moveByArrows } from "./focus.js";

/** Returns what a row of the history calls; `reply(message)` and `edit(message)` are the composer's. */
export function messageActions(parley, { reply, edit, jump }) {
  function toggle(message, emoji) {
    const mine = message.reactions.some((reaction) => reaction.emoji === emoji && reaction.mine);
    return attempt(() => (mine ? parley.unreact(message.id, emoji) : parley.react(message.id, emoji)));
  }

  /** The usual emoji, and the whole picker behind a plus. */
  function react(message, button) {
    const bar = h("div", { class: "quick-bar", role: "dialog", "aria-label": "React", popover: "auto" },
      QUICK.map((emoji) => h("button", { type: "button", class: "emoji-button", "aria-label": emoji, onclick: () => {
        bar.hidePopover();
        toggle(message, emoji);
      } }, emoji)),
      iconButton("plus", "Another emoji", () => {
        bar.hidePopover();
        openEmoji(button, (emoji) => toggle(message, emoji));
      }));
    const arrows = moveByArrows(bar, "button");
    showBeside(bar, button);
    arrows.focusOn(arrows.items()[0]);
  }

  async function remove(message) {
    const sure = await confirmed("Delete the message?", "It is deleted for everybody in this conversation.", "Delete");
    if (sure) attempt(() => parley.delete(message.id));
  }

  async function copy(message) {
    await navigator.clipboard.writeText(message.content);
    notify("Copied.");
  }

  function menu(message, button, at) {
    if (!message.id) return message.state === "FAILED" ? outgoingMenu(message, button) : undefined;
    if (message.deletedAt) return undefined;
    const mine = message.senderId === parley.me?.id;
    const { role } = parley.store.conversation({ conversationId: message.conversationId }) ?? {};
    const mayDelete = mine || role === "OWNER" || role === "ADMIN";
    return openMenu(button, [
      { label: "React", icon: "smile", run: () => react(message, button) },
      { label: "Reply", icon: "reply", run: () => reply(message) },
      message.content && { label: "Copy the text", icon: "copy", run: () => attempt(() => copy(message)) },
      mine && { label: message.attachment ? "Edit the caption" : "Edit", icon: "edit", run: () => edit(message) },
      mayDelete && { label: "Delete", icon: "trash", danger: true, run: () => remove(message) },
    ], { label: "Message", at });
  }

  function outgoingMenu(message, button) {
    return openMenu(button, [
      { label: "Try again", icon: "retry", run: () => parley.retry(message.clientMessageId) },
      { label: "Remove", icon: "trash", danger: true, run: () => parley.discard(message.clientMessageId) },
    ]);
  }

  return {
    menu,
    react,
    toggle,
    reply,
    jump,
    retry: (message) => parley.retry(message.clientMessageId),
    discard: (message) => parley.discard(message.clientMessageId),
    fresh: (attachmentId) => parley.attachment(attachmentId),
  };
}
