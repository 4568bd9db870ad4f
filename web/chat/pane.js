/* One conversation: who it is with, its messages, and where one writes. */

import { openComposer } from "./composer.js";
import { openDetails } from "./details.js";
import { h, iconButton, say } from "./dom.js";
import { openGroup } from "./group.js";
import { attempt } from "./overlays.js";
import { avatar, conversationAvatar, titleOf } from "./people.js";
import { go } from "./routes.js";
import { typingText } from "./states.js";
import { openThread } from "./thread.js";
import { lastSeen } from "./time.js";

/** Returns `{ element, update, begin, focus, showMessage, close }`. */
export function openPane(parley, firstTarget) {
  let target = firstTarget;
  let person = null; // of a conversation that has not begun
  let members = [];
  let stopWatching = () => {};

  const picture = h("span", {});
  const title = h("h2", { class: "pane-title" });
  const state = h("p", { class: "pane-state" });
  // A large target for the pointer; the keyboard has the button beside it.
  const names = h("div", { class: "pane-details", onclick: openAbout }, picture,
    h("div", { class: "pane-names" }, title, state));
  const details = iconButton("info", "Details", openAbout);
  const composer = openComposer(parley, () => target);
  const thread = openThread(parley, () => target, {
    reply: composer.reply,
    edit: composer.edit,
  });
  const element = h("section", { class: "pane", "aria-label": "Conversation" },
    h("header", { class: "pane-head" },
      iconButton("back", "Back to all conversations", () => go("#/"), { class: "icon-button back" }),
      names, details),
    thread.element, composer.element);
  composer.onEditLast(() => thread.lastOwn());
  const stopEvents = parley.on("event", (event) => {
    if (event.__typename === "MembersChanged" && event.conversationId === target.conversationId) loadMembers();
  });
  load();

  async function load() {
    if (target.with && !parley.store.conversation(target)) {
      person = await parley.user(target.with).catch(() => null);
      stopWatching = parley.watchPresence([target.with]);
    }
    const there = await attempt(() => parley.open(target));
    if (there) await loadMembers();
    update();
    thread.opened();
  }

  async function loadMembers() {
    const conversation = parley.store.conversation(target);
    if (conversation?.kind !== "GROUP" || !conversation.role) return;
    await attempt(async () => {
      members = (await parley.members(conversation.id)).nodes;
      stopWatching();
      stopWatching = parley.watchPresence(members.map(({ user }) => user.id));
    });
    updateHead();
  }

  function update() {
    updateHead();
    thread.update();
    composer.update(whyNot());
  }

  let shown = {};
  function updateHead() {
    const conversation = parley.store.conversation(target) ?? null;
    const peer = conversation?.peer ?? person;
    const presence = peer ? parley.store.presence(peer.id) : undefined;
    const online = presence?.online ?? person?.online ?? false;
    if (shown.conversation !== conversation || shown.person !== person || shown.online !== online) {
      shown = { conversation, person, online };
      const name = conversation ? titleOf(conversation) : target.everybody ? "Everybody" : person?.displayName ?? "";
      say(title, name);
      picture.replaceChildren(conversation ? conversationAvatar(conversation, online)
        : avatar(name || "?", person?.avatarUrl, { key: person?.id, online }));
      details.disabled = !conversation && !person;
    }
    const typists = parley.store.typing(target);
    state.classList.toggle("typing", typists.length > 0);
    say(state, typists.length ? typingText(typists, conversation?.kind ?? "DIRECT") : stateText(conversation, peer, presence, online));
  }

  function stateText(conversation, peer, presence, online) {
    if (conversation?.kind === "GROUP") {
      if (!conversation.role) return "You are no longer in this group";
      const there = members.filter(({ user }) => parley.store.presence(user.id)?.online).length;
      const count = members.length === 1 ? "1 member" : `${members.length} members`;
      return members.length ? count + (there ? `, ${there} online` : "") : "";
    }
    if (!peer) return target.everybody || conversation ? "All who are registered here" : "";
    return online ? "online" : lastSeen(presence?.lastSeenAt ?? person?.lastSeenAt);
  }

  /** Why one cannot write here; null where one can. */
  function whyNot() {
    const conversation = parley.store.conversation(target);
    if (conversation?.kind === "GROUP" && !conversation.role) return "You are no longer in this group.";
    return null;
  }

  function openAbout() {
    const conversation = parley.store.conversation(target);
    if (conversation?.kind === "GROUP") openGroup(parley, conversation.id);
    else openDetails(parley, conversation ?? null, conversation?.peer ?? person);
  }

  return {
    element,
    update,
    /** The conversation has begun: from now on it has an id. */
    begin(begun) {
      target = begun;
      load();
    },
    focus: () => composer.focus(),
    showMessage: (id) => thread.showMessage(id),
    close() {
      composer.close();
      thread.close();
      stopEvents();
      stopWatching();
    },
  };
}
