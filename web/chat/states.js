/* States in words and drawings: of a conversation, of a message, of those who type. */

import { h, icon } from "./dom.js";

/** Whether one wants to hear nothing of it for now. */
export function isMuted({ mutedUntil }) {
  return mutedUntil != null && new Date(mutedUntil) > new Date();
}

/** What others do, in words. */
export function typingText(typists, kind) {
  const [first] = typists;
  const doing = first.activity === "RECORDING" ? "recording…" : "typing…";
  if (typists.length > 1) return `${typists.length} people are ${doing}`;
  return kind === "DIRECT" ? doing : `${first.user.displayName} is ${doing}`;
}

const TICKS = {
  WAITING: ["clock", "Waiting to be sent"],
  FAILED: ["warning", "Not sent"],
  SENT: ["tick", "Sent"],
  DELIVERED: ["ticks", "Delivered"],
  READ: ["ticks", "Read"],
};

/** How far a message of one's own has got: as a drawing, and in a word for those who cannot see it. */
export function ticks(tick) {
  const [drawing, label] = TICKS[tick];
  return h("span", { class: `tick tick-${tick.toLowerCase()}`, title: label }, icon(drawing),
    h("span", { class: "hidden" }, label));
}
