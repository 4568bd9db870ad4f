/* Where one writes: text, emoji, files and voice notes; a reply, or an edit. */

import { chosenFile, keepPreview } from "./attachments.js";
import { h, icon, iconButton, say } from "./dom.js";
import { openEmoji } from "./emoji.js";
import { attempt, notify } from "./overlays.js";
import { record } from "./recorder.js";
import { summary } from "./text.js";

const MOST_FILES = 10;

/* What was begun and not sent, by conversation: it is there again when one comes back. */
const drafts = new Map();

/** Forget what was begun: its writer is no longer here. */
export function forgetDrafts() {
  drafts.clear();
}

/** `target()` is the conversation. Returns `{ element, update, reply, edit, focus, onEditLast, close }`. */
export function openComposer(parley, target) {
  let replying = null;
  let editing = null;
  let files = [];
  let lastOwn = () => null;
  const gone = new AbortController();

  const field = h("textarea", { class: "write", rows: 1, "aria-label": "Message", placeholder: "Message", dir: "auto",
    enterkeyhint: "send", oninput: changed, onkeydown: onKey, onpaste: paste });
  const about = h("div", { class: "about", hidden: true });
  const chosen = h("ul", { class: "chosen-files", role: "list", "aria-label": "Files to send", hidden: true });
  const pick = h("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", tabindex: "-1", onchange: () => {
    add(pick.files);
    pick.value = "";
  } });
  const emoji = iconButton("smile", "Emoji", () => openEmoji(emoji, insert, { stay: true }));
  const attach = iconButton("attach", "Attach files", () => pick.click());
  const voice = iconButton("mic", "Record a voice note", speak);
  const send = iconButton("send", "Send", () => form.requestSubmit(), { class: "icon-button send" });
  const strip = h("div", { class: "recording", role: "group", "aria-label": "Voice note" });
  const line = h("div", { class: "write-line" }, attach, pick, field, emoji, voice, send);
  const closed = h("p", { class: "closed", hidden: true });
  const form = h("form", { class: "composer", onsubmit: submit, ondragover: allowDrop, ondrop: drop },
    about, chosen, line, strip, closed);
  field.value = drafts.get(JSON.stringify(target())) ?? "";
  requestAnimationFrame(changedHeight); // it has no height before it is in the page
  showButtons();

  function changed() {
    changedHeight();
    showButtons();
    if (!editing && !target().everybody && field.value) parley.typing(target());
  }

  function changedHeight() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight, 180)}px`;
  }

  function showButtons() {
    const empty = !field.value.trim() && !files.length;
    voice.hidden = !empty || Boolean(editing);
    send.hidden = empty && !editing;
    attach.hidden = Boolean(editing);
  }

  function onKey(event) {
    if (event.isComposing) return; // Enter takes the word of an input method
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === "Escape" && (replying || editing)) {
      event.preventDefault();
      stop();
    } else if (event.key === "ArrowUp" && !field.value && !editing) {
      const message = lastOwn();
      if (message) edit(message);
    }
  }

  async function submit(event) {
    event.preventDefault();
    const content = field.value.trim();
    if (editing) return submitEdit(content);
    if (!content && !files.length) return undefined;
    const to = target();
    const replyToId = replying?.id;
    if (!files.length) post(to, { content, replyToId });
    files.forEach((file, index) => post(to, index ? { file } : { file, content, replyToId }));
    field.value = "";
    files = [];
    showFiles();
    stop();
    return undefined;
  }

  /** Into the outbox: from there the message goes out when it can, also after a reload. */
  function post(to, draft) {
    const { clientMessageId, stored } = parley.send(to, draft);
    if (draft.file) keepPreview(clientMessageId, draft.file);
    stored.catch(() => {}); // the history shows why, beside the message
  }

  async function submitEdit(content) {
    const message = editing;
    if (content === message.content) return stop();
    if (!content && !message.attachment) return notify("A message cannot be empty. Delete it instead.");
    if (await attempt(() => parley.edit(message.id, content))) stop();
    return undefined;
  }

  function reply(message) {
    stop();
    replying = message;
    showAbout("reply", `Reply to ${message.senderId === parley.me?.id ? "yourself" : message.sender.displayName}`, message);
  }

  function edit(message) {
    stop();
    editing = message;
    field.value = message.content;
    showAbout("edit", "Edit your message", message);
    changed();
  }

  function showAbout(drawing, title, message) {
    about.replaceChildren(icon(drawing),
      h("span", { class: "about-text" }, h("strong", {}, title), h("span", { dir: "auto" }, summary(message))),
      iconButton("close", editing ? "Stop editing" : "Do not reply", stop));
    about.hidden = false;
    showButtons();
    field.focus();
  }

  /** Neither a reply nor an edit any more. */
  function stop() {
    if (editing) field.value = "";
    replying = null;
    editing = null;
    about.hidden = true;
    about.replaceChildren();
    changedHeight();
    showButtons();
    field.focus();
  }

  function insert(character) {
    field.setRangeText(character, field.selectionStart, field.selectionEnd, "end");
    changed();
  }

  function add(more) {
    if (!more?.length || editing) return;
    if (files.length + more.length > MOST_FILES) notify(`At most ${MOST_FILES} files at once.`);
    files = [...files, ...more].slice(0, MOST_FILES);
    showFiles();
    field.focus();
  }

  function showFiles() {
    chosen.replaceChildren(...files.map((file) => chosenFile(file, () => {
      files = files.filter((other) => other !== file);
      showFiles();
      field.focus();
    })));
    chosen.hidden = !files.length;
    showButtons();
  }

  function paste(event) {
    if (!event.clipboardData?.files.length) return;
    event.preventDefault();
    add(event.clipboardData.files);
  }

  function allowDrop(event) {
    if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
  }

  function drop(event) {
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    add(event.dataTransfer.files);
  }

  async function speak() {
    const to = target();
    form.classList.add("is-recording");
    const tell = () => to.everybody || parley.typing(to, "RECORDING");
    const note = await record(strip, tell, gone.signal);
    form.classList.remove("is-recording");
    if (gone.signal.aborted) return;
    if (note) post(to, { file: note, kind: "VOICE", replyToId: replying?.id });
    else if (!to.everybody) parley.typing(to, "NONE");
    stop();
  }

  return {
    element: form,
    reply,
    edit,
    /** `reason` says why nobody can write here; null where one can. */
    update(reason) {
      line.hidden = reason !== null;
      closed.hidden = reason === null;
      say(closed, reason ?? "");
    },
    focus() {
      // The keyboard of a phone would cover the history.
      if (matchMedia("(hover: hover)").matches) field.focus();
    },
    onEditLast(find) {
      lastOwn = find;
    },
    close() {
      gone.abort();
      drafts.set(JSON.stringify(target()), editing ? "" : field.value);
    },
  };
}
