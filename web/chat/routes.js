/* What the address says after #: so the browser's Back works, and a link leads to a message. */

/** `#/c/7`, `#/c/7/120` (message 120), `#/u/3` (somebody), `#/everybody`; null elsewhere. */
export function readRoute(hash = location.hash) {
  const [, kind, id, message] = hash.match(/^#\/(c|u|everybody)(?:\/(\d+))?(?:\/(\d+))?$/) ?? [];
  if (kind === "everybody") return { target: { everybody: true } };
  if (kind === "c" && id) return { target: { conversationId: id }, message };
  if (kind === "u" && id) return { target: { with: id } };
  return null;
}

/** The address of a conversation, or of a message in it. */
export function addressOf(conversationId, messageId) {
  return messageId ? `#/c/${conversationId}/${messageId}` : `#/c/${conversationId}`;
}

/** Go to an address. */
export function go(hash) {
  if (location.hash === hash) dispatchEvent(new HashChangeEvent("hashchange"));
  else location.hash = hash;
}

/** Whether two targets are the same conversation. */
export function sameTarget(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
