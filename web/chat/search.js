/* The search: conversations and people by name, messages by their words. */

import { debounce, h, say } from "./dom.js";
import { moveByArrows } from "./focus.js";
import { avatar, conversationAvatar, titleOf } from "./people.js";
import { addressOf, go } from "./routes.js";
import { listTime } from "./time.js";

const MOST_NAMES = 5;

/** The field, and the results that take the place of the list `nav`. */
export function openSearch(parley, { nav }) {
  let asked = 0;
  const field = h("input", { type: "search", class: "field search", placeholder: "Search", "aria-label": "Search messages and people",
    autocomplete: "off", oninput: () => (field.value.trim() ? later() : clear()), onkeydown: onKey });
  const found = h("p", { class: "muted empty", role: "status" });
  const names = h("ul", { role: "list" });
  const messages = h("ul", { role: "list" });
  const more = h("button", { type: "button", class: "link", hidden: true }, "Show more");
  const results = h("section", { class: "list", "aria-label": "Search results", hidden: true, onkeydown: onEscape },
    found, names, messages, more);
  const arrows = moveByArrows(results, "a.row", { horizontal: false });
  const later = debounce(250, search);

  function onKey(event) {
    if (event.key === "ArrowDown") {
      const [first] = arrows.items();
      if (!first) return;
      event.preventDefault();
      arrows.focusOn(first);
    } else onEscape(event);
  }

  function onEscape(event) {
    if (event.key !== "Escape" || !field.value) return;
    event.preventDefault();
    field.value = "";
    clear();
    field.focus();
  }

  function clear() {
    asked++;
    results.hidden = true;
    nav.hidden = false;
    names.replaceChildren();
    messages.replaceChildren();
    say(found, "");
  }

  async function search() {
    const words = field.value.trim();
    if (!words) return;
    const turn = ++asked;
    results.hidden = false;
    nav.hidden = true;
    say(found, "Searching…");
    // Either can be refused by itself: a server may keep no index, or show nobody.
    const [people, hits] = await Promise.allSettled([parley.users(words), parley.search(words)]);
    if (turn !== asked) return;
    names.replaceChildren(...conversationRows(words), ...personRows(people.value?.nodes ?? []));
    messages.replaceChildren();
    showHits(hits.value ?? { nodes: [], next: null }, words, turn);
    const count = names.children.length + messages.children.length;
    say(found, count ? `${count} found` : hits.reason?.message ?? "Nothing was found.");
    arrows.settle();
  }

  function conversationRows(words) {
    return parley.store.conversations
      .filter((one) => one.kind !== "DIRECT" && titleOf(one).toLowerCase().includes(words.toLowerCase()))
      .slice(0, MOST_NAMES)
      .map((one) => row(addressOf(one.id), conversationAvatar(one), titleOf(one)));
  }

  function personRows(people) {
    return people
      .filter((user) => user.id !== parley.me?.id)
      .slice(0, MOST_NAMES)
      .map((user) => {
        const known = parley.store.conversation({ with: user.id });
        const picture = avatar(user.displayName, user.avatarUrl, { key: user.id });
        return row(known ? addressOf(known.id) : `#/u/${user.id}`, picture, user.displayName);
      });
  }

  function showHits({ nodes, next }, words, turn) {
    for (const { node, snippet } of nodes) messages.append(hit(node, snippet));
    more.hidden = !next;
    more.onclick = async () => {
      const page = await parley.search(words, { after: next }).catch(() => ({ nodes: [], next: null }));
      if (turn === asked) showHits(page, words, turn);
    };
  }

  function hit(message, snippet) {
    const conversation = parley.store.conversation({ conversationId: message.conversationId });
    const where = conversation && conversation.kind !== "DIRECT" ? `${message.sender.displayName} in ${titleOf(conversation)}`
      : message.senderId === parley.me?.id ? `You to ${conversation ? titleOf(conversation) : "somebody"}` : message.sender.displayName;
    const picture = avatar(message.sender.displayName, message.sender.avatarUrl, { key: message.senderId });
    const text = snippet.map(({ text: part, hit: isHit }) => (isHit ? h("mark", {}, part) : part));
    return row(addressOf(message.conversationId, message.id), picture, where, text, message.createdAt);
  }

  function row(address, picture, title, text, time) {
    const link = h("a", { class: "row", href: address, tabindex: "-1", onclick: (event) => {
      event.preventDefault();
      go(address);
    } }, picture,
    h("span", { class: "row-text" }, h("span", { class: "row-title" }, h("span", { class: "name" }, title)),
      text ? h("span", { class: "row-last", dir: "auto" }, text) : null),
    time ? h("span", { class: "row-side" }, h("time", { datetime: time }, listTime(time))) : null);
    return h("li", {}, link);
  }

  return { field: h("div", { class: "search-box", role: "search" }, field), results, close: clear };
}
