/* The emoji picker: arrows move in its grid, typing finds by name. */

import { h, say } from "./dom.js";
import { EMOJI } from "./emoji-data.js";
import { moveByArrows } from "./focus.js";
import { showBeside } from "./overlays.js";

const COLUMNS = 8;

/** Open the picker beside a button; `pick(character)` gets what is chosen. */
export function openEmoji(button, pick, { stay = false } = {}) {
  const none = h("p", { class: "muted", hidden: true, role: "status" });
  const find = h("input", {
    type: "search",
    class: "field",
    placeholder: "Find an emoji",
    "aria-label": "Find an emoji",
    oninput: () => show(find.value.trim().toLowerCase()),
  });
  const grids = EMOJI.map(({ name, emoji }) =>
    h("section", {},
      h("h3", {}, name),
      h("div", { class: "emoji-grid", role: "group", "aria-label": name }, emoji.map(emojiButton))));
  const list = h("div", { class: "emoji-list" }, grids);
  const picker = h("div", { class: "emoji-picker", role: "dialog", "aria-label": "Emoji", popover: "auto" },
    find, list, none);
  const arrows = moveByArrows(list, "button", { columns: () => COLUMNS });
  arrows.settle();
  find.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "Enter") return;
    event.preventDefault();
    const [first] = arrows.items();
    if (event.key === "Enter" && first) first.click();
    else if (first) arrows.focusOn(first);
  });
  showBeside(picker, button);
  arrows.settle();
  find.focus();

  function emojiButton({ character, words }) {
    return h("button", {
      type: "button",
      class: "emoji-button",
      tabindex: "-1",
      title: words,
      "aria-label": `${character} ${words}`,
      "data-words": words,
      onclick: () => {
        pick(character);
        if (!stay) picker.hidePopover();
      },
    }, character);
  }

  function show(words) {
    for (const grid of grids) {
      for (const found of grid.querySelectorAll("button")) found.hidden = !found.dataset.words.includes(words);
      grid.hidden = !grid.querySelector("button:not([hidden])");
    }
    none.hidden = grids.some((grid) => !grid.hidden);
    say(none, none.hidden ? "" : "No emoji has this name.");
    arrows.settle();
  }
}
