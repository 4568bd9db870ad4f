// A Socket.IO client (package socket.io-client), driven by JSON lines.
//
// socketio_client.mjs URL '{"transports": [...], "auth": {...}, ...other options of io()}'
//   an option of our own: login, what auth:login is emitted with after each connect
//   commands: {command: "emit", event, args?, ack?: true, id?}, {command: "disconnect"},
//             {command: "connect"}, {command: "cut", emits: [...]}: the transport ends, and
//             these are emitted before the library has noticed or connected again;
//             {command: "raw", text}: a websocket message past the library
//   messages: connect {sid, transport}, upgrade {transport}, event {event, args},
//             ack {id, event, args}, connect_error {message, data?, description?},
//             disconnect {reason}, reconnect_attempt, closed {code}
import { io } from "socket.io-client";
import { commandLine, print, serve } from "./lines.mjs";

const [url, { login, ...options }] = commandLine("socketio_client.mjs URL [OPTIONS]");
const socket = io(url, { reconnection: false, autoConnect: false, ...options });

socket.io.on("reconnect_attempt", () => print({ type: "reconnect_attempt" }));
socket.io.on("open", () => {
  const { ws } = socket.io.engine.transport;
  ws?.addEventListener("close", ({ code }) => print({ type: "closed", code }));
  socket.io.engine.on("upgrade", ({ name }) => print({ type: "upgrade", transport: name }));
});
socket.on("connect", () => {
  print({ type: "connect", sid: socket.id, transport: socket.io.engine.transport.name });
  if (login) socket.emit("auth:login", login);
});
socket.on("connect_error", ({ message, data, description }) => {
  // A transport's description may be an event object with its socket inside: take its text only.
  print({ type: "connect_error", message, data, description: description && String(description) });
});
socket.on("disconnect", (reason) => print({ type: "disconnect", reason }));
socket.onAny((event, ...args) => print({ type: "event", event, args }));

function emit({ event, args = [], ack = false, id = null }) {
  if (!ack) socket.emit(event, ...args);
  else socket.emit(event, ...args, (...answer) => print({ type: "ack", id, event, args: answer }));
}

socket.connect();
serve(
  {
    emit,
    cut: ({ emits }) => {
      const { engine } = socket.io;
      const end = () => {
        engine.close();
        emits.forEach(emit);
      };
      // While a POST is under way, close() only begins to close, and the library drops what is sent.
      engine.writeBuffer.length ? engine.once("drain", end) : end();
    },
    raw: ({ text }) => socket.io.engine.transport.ws.send(text),
    disconnect: () => socket.disconnect(),
    connect: () => socket.connect(),
  },
  () => socket.disconnect(),
);
