/* What opens above the page: dialogs and menus. Escape closes them, and the focus goes back. */

import { h, icon, iconButton, say } from "./dom.js";
import { moveByArrows } from "./focus.js";

let count = 0;

/**
 * Open a dialog. `fill(close)` returns its content. Returns a promise of what `close` is given, or
 * undefined where it is dismissed.
 */
export function openDialog(title, fill, { wide = false } = {}) {
  const { promise, resolve } = Promise.withResolvers?.() ?? withResolvers();
  const opener = document.activeElement;
  const titleId = `dialog-${++count}`;
  const dialog = h("dialog", { class: wide ? "dialog wide" : "dialog", "aria-labelledby": titleId });
  const close = (answer) => {
    resolve(answer);
    dialog.close();
  };
  dialog.append(
    h("header", { class: "dialog-head" },
      h("h2", { id: titleId }, title),
      iconButton("close", "Close", () => close())));
  dialog.append(h("div", { class: "dialog-body" }, fill(close, dialog)));
  dialog.addEventListener("close", () => {
    resolve(undefined);
    dialog.remove();
    if (opener?.isConnected) opener.focus();
  });
  // A press on the backdrop, which is the dialog outside its content.
  dialog.addEventListener("pointerdown", (event) => {
    if (event.target === dialog && outside(dialog, event)) close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

/** Ask before something that cannot be undone. Returns a promise of true or undefined. */
export function confirmed(title, text, action) {
  return openDialog(title, (close) => [
    h("p", {}, text),
    h("div", { class: "dialog-actions" },
      h("button", { type: "button", class: "quiet", onclick: () => close() }, "Cancel"),
      h("button", { type: "button", class: "danger", onclick: () => close(true) }, action)),
  ]);
}

/**
 * Open a menu beside a button. Each item is `{ label, icon, run, danger? }`; what is false is left
 * out.
 */
export function openMenu(button, items, { label = "Actions", at } = {}) {
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto" },
    items.filter(Boolean).map((item) =>
      h("button", {
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        class: item.danger ? "menu-item danger-text" : "menu-item",
        onclick: () => {
          menu.hidePopover();
          item.run();
        },
      }, icon(item.icon), item.label)));
  const arrows = moveByArrows(menu, "[role=menuitem]", { horizontal: false });
  showBeside(menu, button, { at });
  arrows.focusOn(arrows.items()[0]);
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Tab") menu.hidePopover();
  });
  return menu;
}

/** Show an element as a popover near a button; it goes when it is dismissed. */
export function showBeside(popover, button, { at } = {}) {
  const opener = document.activeElement;
  // Beside an open dialog the rest of the page can neither be pressed nor read.
  (button.closest("dialog") ?? document.body).append(popover);
  popover.addEventListener("toggle", (event) => {
    if (event.newState === "open") return;
    if (popover.contains(document.activeElement) || document.activeElement === document.body) {
      (button.isConnected ? button : opener)?.focus();
    }
    button.removeAttribute("aria-expanded");
    popover.remove();
  });
  popover.showPopover();
  button.setAttribute("aria-expanded", "true");
  place(popover, at ?? button.getBoundingClientRect());
}

function place(popover, near) {
  const gap = 6;
  const { offsetWidth: width, offsetHeight: height } = popover;
  const below = near.bottom + gap + height <= innerHeight;
  const top = below ? near.bottom + gap : Math.max(gap, near.top - gap - height);
  const left = Math.min(Math.max(gap, near.right - width), innerWidth - width - gap);
  popover.style.top = `${top}px`;
  popover.style.left = `${Math.max(gap, left)}px`;
}

function outside(element, { clientX: x, clientY: y }) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

/** Close whatever is open above the page, and unsay what was said: its user is no longer here. */
export function closeEverything() {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const popover of document.querySelectorAll("[popover]")) popover.remove();
  document.getElementById("notices").replaceChildren();
  announce("");
}

/** Tell a screen reader, without moving the focus: what came, what went wrong. */
export function announce(text) {
  const status = document.getElementById("announcer");
  status.textContent = "";
  // Some readers say nothing of a text that is put in the place of another in one step.
  requestAnimationFrame(() => say(status, text));
}

/** Show a short notice, and say it: at the bottom of the page, or of the dialog that is open. */
export function notify(text) {
  const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
  const place = dialog?.querySelector(".dialog-body") ?? document.getElementById("notices");
  const notice = h("p", { class: "notice", role: dialog ? "alert" : null }, text);
  place.append(notice);
  setTimeout(() => notice.remove(), 5000);
}

/** Run something, and tell its user where the server refuses it. Returns whether it was done. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    notify(error.message || "That did not work. Try again.");
    return false;
  }
}
