/* Groups: make one, see who is in it, add and remove people, roles, title and picture, leave. */

import { ownSettings } from "./details.js";
import { h, icon, iconButton, keyed, redraw, say } from "./dom.js";
import { attempt, confirmed, openDialog, openMenu } from "./overlays.js";
import { avatar, conversationAvatar, peopleFinder } from "./people.js";
import { chooseImage } from "./profile.js";
import { addressOf, go } from "./routes.js";

const ROLES = { OWNER: "Owner", ADMIN: "Admin", MEMBER: "" };

/** Ask for a title and people, and make a group of them. */
export function openGroupForm(parley) {
  openDialog("Create a group", (close) => {
    const title = h("input", { class: "field", autofocus: true, required: true, maxlength: 100, autocomplete: "off" });
    const earlier = h("input", { type: "checkbox" });
    const people = choosePeople(parley, () => false);
    const submit = h("button", { type: "submit", class: "primary" }, "Create the group");
    return h("form", { class: "stack", onsubmit: create },
      h("label", { class: "labelled" }, h("span", {}, "Title"), title),
      people.element,
      h("label", { class: "check" }, earlier, "Who joins later sees what was written before"),
      h("div", { class: "dialog-actions" }, submit));

    async function create(event) {
      event.preventDefault();
      submit.disabled = true;
      await attempt(async () => {
        const group = await parley.createGroup(title.value, people.ids(), { showsEarlier: earlier.checked });
        close();
        go(addressOf(group.id));
      });
      submit.disabled = false;
    }
  });
}

/** Show a group. What one may do in it depends on one's role. */
export function openGroup(parley, id) {
  const group = () => parley.store.conversation({ conversationId: id });
  let stops = [];
  openDialog(group().title, (close, dialog) => {
    const heading = () => dialog.querySelector("h2");
    const top = h("div", { class: "profile" });
    const list = h("ul", { class: "people", role: "list", "aria-label": "Members" });
    const foot = h("div", { class: "choices" });
    let members = [];
    let shown = null;
    show();
    loadMembers();
    stops = [
      parley.store.subscribe(show),
      parley.on("event", (event) => {
        if (event.__typename === "MembersChanged" && event.conversationId === id) loadMembers();
      }),
    ];
    return [top, ownSettings(parley, id), h("h3", {}, "Members"), list, foot];

    async function loadMembers() {
      await attempt(async () => {
        const page = [];
        let next;
        do {
          const { nodes, next: after } = await parley.members(id, next);
          page.push(...nodes);
          next = after;
        } while (next);
        members = page;
      });
      show();
    }

    function show() {
      const conversation = group();
      if (!conversation) return close();
      if (shown !== conversation) drawTop(conversation);
      shown = conversation;
      keyed(list, conversation.role ? members : [], ({ user }) => user.id, memberRow);
      return undefined;
    }

    function drawTop(conversation) {
      const { title, role } = conversation;
      const leads = role === "OWNER" || role === "ADMIN";
      say(heading(), title);
      const rename = h("form", { class: "inline-form", onsubmit: (event) => {
        event.preventDefault();
        attempt(() => parley.updateGroup(id, { title: field.value }));
      } });
      const field = h("input", { class: "field", value: title, "aria-label": "Title of the group", required: true, maxlength: 100 });
      rename.append(field, h("button", { type: "submit", class: "quiet" }, "Rename"));
      top.replaceChildren(conversationAvatar(conversation, false, "large"),
        ...(leads ? [rename, chooseImage(parley, "Change the picture", (picture) => parley.updateGroup(id, { avatarId: picture.id }))] : []));
      foot.replaceChildren(
        ...(leads ? [h("button", { type: "button", class: "choice", onclick: addPeople }, icon("plus"), "Add people")] : []),
        ...(role ? [h("button", { type: "button", class: "choice danger-text", onclick: leave }, icon("leave"), "Leave the group")] : []));
    }

    function memberRow(member) {
      const row = { element: h("li", { class: "member" }), update: draw };
      draw(member);
      return row;

      function draw({ user, role }) {
        const me = user.id === parley.me.id;
        redraw(row.element,
          avatar(user.displayName, user.avatarUrl, { key: user.id, online: parley.store.presence(user.id)?.online }),
          h("span", { class: "person-name" }, user.displayName + (me ? " (you)" : ""),
            ROLES[role] && h("span", { class: "muted small" }, ROLES[role])),
          mayChange(role, me) ? iconButton("more", `Change ${user.displayName}`, (event) =>
            openMenu(event.currentTarget, changes(user, role, me))) : null);
      }
    }

    function mayChange(role, me) {
      const own = group().role;
      return own === "OWNER" || (own === "ADMIN" && role === "MEMBER" && !me);
    }

    function changes(user, role, me) {
      const owner = group().role === "OWNER";
      const become = (next, label) => owner && role !== next
        && { label, icon: "user", run: () => attempt(() => parley.setRole(id, user.id, next)) };
      return [
        become("OWNER", "Make an owner"),
        become("ADMIN", "Make an admin"),
        become("MEMBER", "Make a plain member"),
        !me && { label: "Remove from the group", icon: "trash", danger: true, run: () => attempt(() => parley.removeMember(id, user.id)) },
      ];
    }

    function addPeople() {
      openDialog("Add people", (done) => {
        const people = choosePeople(parley, (user) => members.some((member) => member.user.id === user.id));
        return [people.element, h("div", { class: "dialog-actions" },
          h("button", { type: "button", class: "primary", onclick: async () => {
            if (await attempt(() => parley.addMembers(id, people.ids()))) done();
          } }, "Add"))];
      });
    }

    async function leave() {
      const sure = await confirmed("Leave the group?", "You keep what was written until now.", "Leave");
      if (sure && (await attempt(() => parley.leaveGroup(id)))) close();
    }
  }).then(() => {
    for (const stop of stops) stop();
  });
}

/** Choose several people; `isThere(user)` leaves out those who are in the group. */
function choosePeople(parley, isThere) {
  const chosen = new Map();
  const count = h("p", { class: "muted small", role: "status" });
  const search = async (words) => {
    const { nodes } = await parley.users(words || undefined);
    return nodes.filter((user) => user.id !== parley.me.id && !isThere(user));
  };
  const finder = peopleFinder(search, {
    pressed: (user) => chosen.has(user.id),
    choose(user) {
      if (!chosen.delete(user.id)) chosen.set(user.id, user);
      say(count, chosen.size ? `Chosen: ${[...chosen.values()].map((one) => one.displayName).join(", ")}` : "");
    },
  });
  return { element: h("div", { class: "stack" }, finder.element, count), ids: () => [...chosen.keys()] };
}
