/* Pictures, voice notes and files, as a message shows them. */

import { h, icon, iconButton } from "./dom.js";
import { openDialog } from "./overlays.js";
import { voicePlayer } from "./player.js";
import { fileSize } from "./time.js";

// How large a picture is within a message, at most.
const WIDEST = 320;
const HIGHEST = 320;

/* What this page has sent itself, and so need not load: by the key of the message. */
const previews = new Map();

/** Keep a file that goes into the outbox, to show it while it is sent. */
export function keepPreview(clientMessageId, file) {
  previews.set(clientMessageId, URL.createObjectURL(file));
}

/** Forget the files: their sender is no longer here. */
export function forgetPreviews() {
  for (const address of previews.values()) URL.revokeObjectURL(address);
  previews.clear();
}

/** The attachment of a stored message, or the file of one in the outbox. */
export function attachmentView(message, { fresh }) {
  const preview = previews.get(message.clientMessageId);
  if (!message.attachment) return waitingFile(message, preview);
  const attachment = message.attachment;
  if (attachment.kind === "IMAGE") return picture(attachment, preview, fresh);
  if (attachment.kind === "VOICE") return voicePlayer(attachment, fresh);
  return attachment.mediaType.startsWith("video/") ? video(attachment) : fileCard(attachment);
}

function waitingFile({ file, kind }, preview) {
  if (preview && file.type.startsWith("image/") && kind !== "FILE") {
    return h("div", { class: "picture waiting" }, h("img", { src: preview, alt: file.name, ...fitted(240, 180) }));
  }
  return h("div", { class: "file waiting" }, icon(file.type.startsWith("audio/") ? "mic" : "file"),
    h("span", { class: "file-name" }, file.name, h("span", { class: "small" }, fileSize(file.size))));
}

function picture(attachment, preview, fresh) {
  const { url, thumbnailUrl, filename, width, height } = attachment;
  const image = h("img", { src: preview ?? thumbnailUrl ?? url, alt: filename, loading: "lazy", decoding: "async",
    ...fitted(width, height) });
  renewOnce(image, attachment, fresh, (renewed) => renewed.thumbnailUrl ?? renewed.url);
  return h("button", { type: "button", class: "picture", "aria-label": `Open the picture ${filename}`,
    onclick: () => openPicture(attachment, fresh) }, image);
}

/** The signed address of a file is good for an hour: a page that is open for longer asks for a new one. */
function renewOnce(image, attachment, fresh, addressOf) {
  image.addEventListener("error", async () => {
    const renewed = await fresh(attachment.id).catch(() => null);
    if (renewed) image.src = addressOf(renewed);
  }, { once: true });
}

function openPicture(attachment, fresh) {
  openDialog(attachment.filename, () => {
    const image = h("img", { class: "full-picture", src: attachment.url, alt: attachment.filename });
    renewOnce(image, attachment, fresh, (renewed) => renewed.url);
    return [image, h("p", { class: "dialog-actions" }, download(attachment))];
  }, { wide: true });
}

function video({ url, filename, width, height }) {
  return h("video", { class: "video", src: url, controls: true, preload: "metadata", "aria-label": filename,
    ...fitted(width ?? WIDEST, height ?? 180) });
}

function fileCard(attachment) {
  return h("a", { class: "file", href: attachment.url, download: attachment.filename }, icon("file"),
    h("span", { class: "file-name" }, attachment.filename, h("span", { class: "small" }, fileSize(attachment.size))),
    icon("download"));
}

function download({ url, filename }) {
  return h("a", { class: "quiet button", href: url, download: filename }, icon("download"), "Download");
}

/** The size of a picture in a message: the browser keeps its place before it is there. */
function fitted(width, height) {
  if (!width || !height) return {};
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  return { width: Math.round(width * scale), height: Math.round(height * scale) };
}

/** What is to be sent, with a button that takes it out again. */
export function chosenFile(file, remove) {
  const name = file.name || "file";
  const shown = file.type.startsWith("image/")
    ? h("img", { src: URL.createObjectURL(file), alt: "" })
    : h("span", { class: "file-icon" }, icon("file"));
  return h("li", { class: "chosen-file" }, shown,
    h("span", { class: "file-name" }, name, h("span", { class: "small" }, fileSize(file.size))),
    iconButton("close", `Remove ${name}`, remove));
}
