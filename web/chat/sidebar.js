/* The left side: oneself, the search, and one's conversations with their unread counts. */

import { h, icon, iconButton, keyed, say } from "./dom.js";
import { moveByArrows } from "./focus.js";
import { openGroupForm } from "./group.js";
import { openDialog } from "./overlays.js";
import { avatar, conversationAvatar, peopleFinder, titleOf } from "./people.js";
import { openProfile } from "./profile.js";
import { addressOf, go } from "./routes.js";
import { openSearch } from "./search.js";
import { isMuted, ticks, typingText } from "./states.js";
import { summary } from "./text.js";
import { isDark, switchTheme } from "./theme.js";
import { listTime } from "./time.js";

const STATUS = {
  CONNECTING: "Offline. Your messages are sent when the connection is back.",
  OFFLINE: "Offline. Your messages are sent when the connection is back.",
};
// A connection that is back within this time was never worth a word.
const STATUS_AFTER = 1500;

/** Returns `{ element, update, select, close }`. */
export function openSidebar(parley, { logOut }) {
  let selected = null;
  let archived = false;

  const me = h("button", { type: "button", class: "me", onclick: () => openProfile(parley, { logOut }) });
  const theme = iconButton("moon", "Dark", () => {
    switchTheme();
    showTheme();
  });
  const list = h("ul", { class: "conversations", role: "list" });
  const arrows = moveByArrows(list, "a.row", { horizontal: false });
  const empty = h("p", { class: "muted empty" });
  const more = h("button", { type: "button", class: "link", onclick: () => parley.loadMoreConversations() },
    "Show more conversations");
  const archive = h("button", { type: "button", class: "link small", onclick: switchArchive });
  const status = h("p", { class: "status", role: "status", hidden: true });
  const nav = h("nav", { class: "list", "aria-label": "Conversations" }, list, empty, more, archive);
  const search = openSearch(parley, { nav });
  const element = h("header", { class: "sidebar" },
    h("div", { class: "sidebar-head" }, me, h("h1", { class: "hidden" }, "Parley"),
      theme, iconButton("new", "New conversation", openNew)),
    search.field, status, nav, search.results);
  showTheme();

  function update() {
    const { store } = parley;
    updateMe(store.me);
    const shown = archived ? store.archived : store.conversations;
    const items = shown.map((conversation) => rowItem(conversation));
    keyed(list, items, (item) => item.conversation.id, makeRow);
    arrows.settle();
    empty.hidden = shown.length > 0;
    say(empty, archived ? "Nothing is archived." : store.loaded ? "No conversations yet. Begin one with the pen above." : "Loading…");
    more.hidden = archived || !store.hasMoreConversations;
    say(archive, archived ? "Back to all conversations" : "Archived");
    updateStatus();
  }

  let shownMe = null;
  function updateMe(user) {
    if (!user || user === shownMe) return;
    shownMe = user;
    me.replaceChildren(avatar(user.displayName, user.avatarUrl, { key: user.id }),
      h("span", { class: "me-name" }, user.displayName, h("span", { class: "hidden" }, " (your profile)")));
  }

  /* A row's item is another object only where what it shows has changed. */
  const items = new Map();
  function rowItem(conversation) {
    const { store } = parley;
    const online = conversation.peer ? store.presence(conversation.peer.id)?.online ?? false : false;
    const target = { conversationId: conversation.id };
    const typing = store.typing(target);
    const last = store.outgoing(target).at(-1) ?? conversation.lastMessage;
    const tick = last && isMine(last) ? store.tick(last) : null;
    const isSelected = selected?.conversationId === conversation.id;
    const before = items.get(conversation.id);
    const item = { conversation, online, typing, last, tick, isSelected };
    if (before && Object.keys(item).every((name) => item[name] === before[name])) return before;
    items.set(conversation.id, item);
    return item;
  }

  function isMine(message) {
    return !message.id || message.senderId === parley.me?.id;
  }

  function makeRow(item) {
    const link = h("a", { class: "row", href: addressOf(item.conversation.id), tabindex: "-1" });
    const row = { element: h("li", {}, link), update: show };
    show(item);
    return row;

    function show({ conversation, online, typing, last, tick, isSelected }) {
      link.setAttribute("aria-current", isSelected ? "page" : "false");
      const { unreadCount, pinned, kind } = conversation;
      const who = last && kind !== "DIRECT" && last.sender && !isMine(last) ? `${last.sender.displayName}: ` : "";
      const said = last ? who + summary(last) : "No messages yet";
      link.replaceChildren(
        conversationAvatar(conversation, online),
        h("span", { class: "row-text" },
          h("span", { class: "row-title" }, h("span", { class: "name" }, titleOf(conversation)),
            online ? h("span", { class: "hidden" }, ", online") : null,
            pinned ? icon("pin") : null,
            isMuted(conversation) ? icon("bell-off") : null),
          h("span", { class: typing.length ? "row-last typing" : "row-last", dir: "auto" },
            typing.length ? typingText(typing, kind) : [tick && ticks(tick), said])),
        h("span", { class: "row-side" },
          last ? h("time", { datetime: last.createdAt }, listTime(last.createdAt)) : null,
          unreadCount
            ? h("span", { class: isMuted(conversation) ? "badge quiet-badge" : "badge" },
              unreadCount > 99 ? "99+" : unreadCount, h("span", { class: "hidden" }, " unread"))
            : null));
    }
  }

  function openNew() {
    openDialog("New conversation", (close) => {
      const everybody = h("button", { type: "button", class: "choice", hidden: true, onclick: () => leaveTo("#/everybody") },
        icon("bell"), "Write to everybody");
      parley.serverInfo().then((info) => (everybody.hidden = info.broadcasters !== "EVERYONE")).catch(() => {});
      const finder = peopleFinder(findOthers, { choose: (user) => leaveTo(`#/u/${user.id}`) });
      const group = h("button", { type: "button", class: "choice", onclick: () => {
        close();
        openGroupForm(parley);
      } }, icon("group"), "Create a group");
      const leaveTo = (address) => {
        close();
        go(address);
      };
      return [h("div", { class: "choices" }, group, everybody), finder.element];
    });
  }

  async function findOthers(words) {
    const { nodes } = await parley.users(words || undefined);
    return nodes.filter((user) => user.id !== parley.me?.id);
  }

  async function switchArchive() {
    archived = !archived;
    if (archived) await parley.loadArchived();
    update();
  }

  let lostAt = 0;
  let statusTimer;
  function updateStatus() {
    const text = STATUS[parley.status];
    clearTimeout(statusTimer);
    if (!text) lostAt = 0;
    else lostAt ||= Date.now();
    const lasts = text && Date.now() - lostAt >= STATUS_AFTER;
    if (text && !lasts) statusTimer = setTimeout(updateStatus, STATUS_AFTER);
    status.hidden = !lasts;
    say(status, lasts ? text : "");
  }

  function showTheme() {
    const dark = isDark();
    const label = dark ? "Use light colours" : "Use dark colours";
    theme.replaceChildren(icon(dark ? "sun" : "moon"));
    theme.setAttribute("aria-label", label);
    theme.title = label;
  }

  return {
    element,
    update,
    select(target) {
      selected = target;
      update();
    },
    close() {
      clearTimeout(statusTimer);
      search.close();
    },
  };
}
