/* Oneself: name, status and picture, what others see, and the way out. */

import { h, icon, say } from "./dom.js";
import { attempt, notify, openDialog } from "./overlays.js";
import { avatar } from "./people.js";

/** Show one's own profile. */
export function openProfile(parley, { logOut }) {
  openDialog("Your profile", (close) => {
    const { me, settings } = parley.store;
    const picture = h("div", { class: "profile" });
    const name = h("input", { class: "field", value: me.displayName, required: true, maxlength: 100, autocomplete: "name" });
    const status = h("input", { class: "field", value: me.statusText ?? "", maxlength: 140, autocomplete: "off" });
    drawPicture(me);
    return [
      picture,
      h("form", { class: "stack", onsubmit: save },
        labelled("Name", name),
        labelled("Status", status),
        h("p", { class: "muted small" }, `You log in as ${me.email}.`),
        h("div", { class: "dialog-actions" }, h("button", { type: "submit", class: "primary" }, "Save"))),
      h("div", { class: "choices" },
        toggle("Others see what I have read, and I what they have", settings?.readReceipts,
          (on) => parley.updateSettings({ readReceipts: on })),
        toggle("Others see when I am online", settings?.presence !== "INVISIBLE",
          (on) => parley.updateSettings({ presence: on ? "VISIBLE" : "INVISIBLE" })),
        h("button", { type: "button", class: "choice danger-text", onclick: () => {
          close();
          attempt(logOut);
        } }, icon("leave"), "Log out")),
    ];

    function drawPicture(user) {
      picture.replaceChildren(
        avatar(user.displayName, user.avatarUrl, { key: user.id, size: "large" }),
        chooseImage(parley, "Change the picture", async (image) => drawPicture(await parley.updateProfile({ avatarId: image.id }))),
        user.avatarUrl ? h("button", { type: "button", class: "link", onclick: () =>
          attempt(async () => drawPicture(await parley.updateProfile({ avatarId: null }))) }, "Remove the picture") : "");
    }

    async function save(event) {
      event.preventDefault();
      const changes = { displayName: name.value, statusText: status.value };
      if (await attempt(() => parley.updateProfile(changes))) {
        notify("Saved.");
        close();
      }
    }
  });
}

/** A button that uploads a picture; `use(attachment)` says what for. */
export function chooseImage(parley, label, use) {
  const pick = h("input", { type: "file", accept: "image/*", hidden: true, onchange: async () => {
    const [file] = pick.files;
    pick.value = "";
    if (!file) return;
    button.disabled = true;
    say(button, "Uploading…");
    await attempt(async () => use(await parley.upload(file, { kind: "IMAGE" })));
    say(button, label);
    button.disabled = false;
  } });
  const button = h("button", { type: "button", class: "link", onclick: () => pick.click() }, label);
  return h("span", {}, button, pick);
}

/** A switch that is set back where the server refuses it. */
function toggle(label, on, change) {
  const button = h("button", { type: "button", class: "choice", role: "switch", "aria-checked": String(Boolean(on)), onclick: async () => {
    const next = button.getAttribute("aria-checked") !== "true";
    button.setAttribute("aria-checked", String(next));
    if (!(await attempt(() => change(next)))) button.setAttribute("aria-checked", String(!next));
  } }, label, h("span", { class: "switch", "aria-hidden": "true" }));
  return button;
}

function labelled(label, input) {
  return h("label", { class: "labelled" }, h("span", {}, label), input);
}
