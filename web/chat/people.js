/* People: their pictures, and choosing some of them. */

import { debounce, h, icon, keyed, say } from "./dom.js";

const TINTS = 8;

/** The round picture of a person or a group; without one, the first letters of the name. */
export function avatar(name, address, { key = name, online, size = "" } = {}) {
  const letters = initials(name);
  return h("span", { class: `avatar ${size} tint-${tint(String(key))}`, "aria-hidden": "true" },
    address ? h("img", { src: address, alt: "", loading: "lazy", decoding: "async" }) : letters,
    online ? h("span", { class: "online-dot" }) : null);
}

/** The picture of a conversation: of its other person, or of the group. */
export function conversationAvatar(conversation, online, size) {
  const { peer, title, avatar: picture, id } = conversation;
  const address = peer ? peer.avatarUrl : picture?.thumbnailUrl ?? picture?.url;
  return avatar(titleOf(conversation), address, { key: peer?.id ?? `group ${id ?? title}`, online, size });
}

/** The name of a conversation. */
export function titleOf({ kind, title, peer }) {
  return kind === "EVERYBODY" ? "Everybody" : title ?? peer?.displayName ?? "Conversation";
}

/**
 * A field that finds people, and the list of them. `choose(user)` gets who is pressed.
 * `pressed(user)` makes the rows switches, for choosing several.
 */
export function peopleFinder(search, { choose, pressed }) {
  const none = h("p", { class: "muted", role: "status" });
  const list = h("ul", { class: "people", role: "list" });
  let asked = 0;
  const find = async () => {
    const turn = ++asked;
    try {
      const users = await search(field.value.trim());
      if (turn !== asked) return; // a later question was asked meanwhile
      keyed(list, users, (user) => user.id, (user) => personRow(user));
      say(none, users.length ? "" : "Nobody has this name.");
    } catch (error) {
      say(none, error.message);
    }
  };
  const field = h("input", {
    type: "search",
    class: "field",
    autofocus: true,
    placeholder: "Search people",
    "aria-label": "Search people",
    autocomplete: "off",
    oninput: debounce(200, find),
  });
  find();

  function personRow(user) {
    const button = h("button", {
      type: "button",
      class: "person",
      "aria-pressed": pressed ? String(pressed(user)) : null,
      onclick: () => {
        choose(user);
        if (pressed) button.setAttribute("aria-pressed", String(pressed(user)));
      },
    }, avatar(user.displayName, user.avatarUrl, { key: user.id, online: user.online }),
    h("span", { class: "person-name" }, user.displayName,
      user.statusText ? h("span", { class: "muted small" }, user.statusText) : null),
    pressed ? h("span", { class: "chosen" }, icon("check")) : null);
    return { element: h("li", {}, button) };
  }

  return { element: h("div", { class: "finder" }, field, list, none), field };
}

function initials(name) {
  const words = name.trim().split(/\s+/);
  const first = (word) => [...(word ?? "")][0] ?? "";
  return (first(words[0]) + (words.length > 1 ? first(words.at(-1)) : "")).toLocaleUpperCase();
}

function tint(key) {
  let sum = 0;
  for (const character of key) sum = (sum * 31 + character.codePointAt(0)) % 9973;
  return sum % TINTS;
}
