// The hooks of web/client, as a component uses them, driven by JSON lines.
//
// parley_react.mjs FOLDER URL '{"token": …, "peer": id}'   FOLDER: web/client beside the package `react`
//   messages: drawn {status, conversations, messages, outgoing, typing, online}: what the component drew
//   commands: {command: "send", content}
import { createElement } from "react";
import { create } from "react-test-renderer";
import WebSocket from "ws";
import { print, serve } from "./lines.mjs";

const [folder, url, options] = process.argv.slice(2);
const { token, peer } = JSON.parse(options);
const { Parley, memoryStorage } = await import(`${folder}/dist/index.js`);
const react = await import(`${folder}/dist/react.js`);

const parley = new Parley({ url, WebSocket, storage: memoryStorage(), authenticate: async () => token });
let draws = 0;

function Chat() {
  draws += 1;
  const target = { with: peer };
  const { messages, outgoing } = react.useMessages(target);
  print({
    type: "drawn",
    draws,
    me: react.useMe()?.displayName ?? null,
    status: react.useStatus(),
    conversations: react.useConversations().map((conversation) => conversation.peer?.displayName ?? conversation.kind),
    title: react.useConversation(target)?.peer.displayName ?? null,
    messages: messages.map(({ content }) => content),
    outgoing: outgoing.map(({ content }) => content),
    typing: react.useTyping(target).map(({ user }) => user.displayName),
    online: react.usePresence(peer)?.online ?? null,
  });
  return null;
}

create(createElement(react.ParleyProvider, { parley }, createElement(Chat)));
await parley.connect();
serve(
  { send: ({ content }) => void parley.send({ with: peer }, content), disconnect: () => parley.disconnect() },
  () => {},
);
