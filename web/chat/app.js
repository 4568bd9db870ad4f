/* The chat page starts here: whoever has no session sees the door, everybody else the chat. */

import { Parley } from "../client/dist/index.js";
import { forgetPreviews } from "./attachments.js";
import { openChat } from "./chat.js";
import { forgetDrafts } from "./composer.js";
import { openDoor } from "./door.js";
import { closeEverything } from "./overlays.js";
import { restoreTheme } from "./theme.js";

restoreTheme();

// `/?as=bob` keeps a login of its own, so that two people can chat in one browser.
const person = new URLSearchParams(location.search).get("as");
const parley = new Parley(person ? { namespace: `as-${person}` } : {});
const place = document.getElementById("app");
let leave = null;
let lastUser = null;

parley.on("loggedOut", (error) => showDoor(error?.message));
if (await parley.restore()) showChat();
else showDoor();

function showChat() {
  leave?.();
  if (parley.me?.id !== lastUser) forgetUser();
  lastUser = parley.me?.id ?? null;
  leave = openChat(parley, place, { logOut });
  // It goes on trying by itself; what goes wrong for good comes as "loggedOut".
  parley.connect().catch(() => {});
}

function showDoor(message) {
  leave?.();
  closeEverything();
  leave = openDoor(parley, place, { message, enter: showChat });
}

async function logOut() {
  await parley.logout();
  history.replaceState(null, "", location.pathname + location.search);
  showDoor();
  forgetUser();
}

/** A session that has only ended leaves what was begun to its own user, when they log in again. */
function forgetUser() {
  forgetDrafts();
  forgetPreviews();
}
