/* What people write, as elements: addresses become links, everything else stays text. */

import { h } from "./dom.js";

// An address ends before the punctuation that ends a sentence.
const ADDRESS = /\bhttps?:\/\/[^\s<>"]+[^\s<>"'.,;:!?)\]}]/gi;

const NAMES = { IMAGE: "Picture", VOICE: "Voice note" };

/** The text as nodes. Only http and https become links. */
export function linked(text) {
  const nodes = [];
  let end = 0;
  for (const { 0: address, index } of text.matchAll(ADDRESS)) {
    nodes.push(text.slice(end, index), link(address));
    end = index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes.filter((node) => node !== "");
}

function link(address) {
  return h("a", { href: address, target: "_blank", rel: "noopener noreferrer nofollow" }, address);
}

/** One line that stands for a message in lists and quotes. */
export function summary(message) {
  if (!message) return "";
  if (message.deletedAt) return "Message deleted";
  if (message.content) return message.content;
  return NAMES[message.kind] ?? message.attachment?.filename ?? "File";
}
