// web/client's store alone: the answer to one's own message overtakes the events of others' before it.
//
// parley_overtaken.mjs ORDER: "answer first" or "query first"; prints {type: "shown", unread, last, again}
import { applyAnswered, applyFact, putQueried } from "../../web/client/dist/facts.js";
import { Store } from "../../web/client/dist/store.js";
import { commandLine, print } from "./lines.mjs";

const [order] = commandLine("parley_overtaken.mjs ORDER");
const store = new Store();
const message = (id, senderId) => ({ id, senderId, conversationId: "7", reactions: [], deletedAt: null });
const told = (id, senderId) => applyFact(store, { __typename: "MessageSent", message: message(id, senderId) });
const query = (last, unreadCount) =>
  putQueried(store, { id: "7", lastMessage: message(last, "2"), unreadCount, readUpTo: null, marks: [], peer: null });

store.putMe({ id: "1" });
store.countedUpTo = "0";
let again = 0; // how often the conversation has to be queried again
const note = ({ conversations }) => (again += conversations.length);

if (order === "query first") {
  query("12", 10); // it counted up to 10, and then read which is the last
  note(applyAnswered(store, message("14", "1")));
  for (const id of ["11", "12"]) note(told(id, "2"));
} else {
  query("10", 10);
  note(told("10", "2"));
  note(told("11", "2"));
  note(applyAnswered(store, message("14", "1")));
  note(told("12", "2"));
}
note(told("13", "2"));
note(told("14", "1"));
note(told("15", "2"));
const { unreadCount, lastMessage } = store.conversation({ conversationId: "7" });
print({ type: "shown", unread: unreadCount, last: lastMessage.id, again });
