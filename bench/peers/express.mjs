// The documented contract as a Node.js developer would serve it: Express 5, Socket.IO 4.8, mysql2.
import { createServer } from "node:http";
import express from "express";
import { Server } from "socket.io";
import { Refused, addMessage, createTables, login, newestMessages, register, userOf } from "./store.mjs";

const app = express();
const server = createServer(app);
const io = new Server(server, { cors: { origin: "*" } });

app.use(express.json());

const authenticated = (request, response, next) => {
  const header = request.get("authorization");
  if (!header) return response.status(401).json({ message: "No token provided" });
  request.userId = userOf(header);
  if (request.userId === null) return response.status(401).json({ message: "Invalid token" });
  next();
};

app.get("/health", (request, response) => response.json({ ok: true }));

app.post("/api/auth/register", async (request, response) => {
  const user = await register(request.body);
  response.json({ message: "User registered", userId: user.id, user });
});

app.post("/api/auth/login", async (request, response) => response.json(await login(request.body)));

app.get("/api/messages", authenticated, async (request, response) => {
  response.json(await newestMessages(request.userId, Number(request.query.limit) || 50));
});

app.post("/api/messages/send", authenticated, async (request, response) => {
  const { toUserId, receiverId, content } = request.body;
  response.status(201).json(await send(request.userId, toUserId ?? receiverId ?? null, content));
});

app.use((error, request, response, next) => {
  const known = error instanceof Refused;
  response.status(known ? 400 : 500).json({ message: known ? error.message : "Internal error" });
});

/** Store, then tell both people, each on all their sockets; without a receiver, everybody. */
async function send(senderId, receiverId, content) {
  const message = await addMessage(senderId, receiverId, content);
  const rooms = receiverId === null ? ["users"] : [`user:${senderId}`, `user:${receiverId}`];
  io.to(rooms).emit("message:new", message);
  return message;
}

const online = new Map(); // user id → how many sockets
let announcing = null;

// One `user:online` for the arrivals of a window that grows with the number online, as Parley's
// does: one for each arrival would cost this server more than all the rest.
function announceSoon() {
  if (announcing) return;
  const wait = Math.min(50 + online.size * io.engine.clientsCount * 1e-3, 30_000);
  announcing = setTimeout(() => {
    announcing = null;
    io.to("users").emit("user:online", [...online.keys()]);
  }, wait);
}

io.on("connection", (socket) => {
  socket.on("auth:login", ({ token } = {}) => {
    const userId = userOf(token);
    if (userId === null) {
      socket.emit("auth:error", "Invalid token");
      return socket.disconnect();
    }
    socket.data.userId = userId;
    socket.join([`user:${userId}`, "users"]);
    online.set(userId, (online.get(userId) ?? 0) + 1);
    socket.emit("auth:ok");
    announceSoon();
  });

  socket.on("message:private", async ({ toUserId, content } = {}, acknowledge) => {
    const answer = typeof acknowledge === "function" ? acknowledge : () => {};
    if (!socket.data.userId) return answer({ error: "Unauthenticated", code: "UNAUTHENTICATED" });
    if (!Number.isInteger(toUserId)) return answer({ error: "toUserId is required", code: "BAD_USER_INPUT" });
    try {
      answer(await send(socket.data.userId, toUserId, content));
    } catch (error) {
      const known = error instanceof Refused;
      answer({ error: known ? error.message : "Internal error", code: known ? "BAD_USER_INPUT" : "INTERNAL" });
    }
  });

  socket.on("disconnect", () => {
    const { userId } = socket.data;
    if (!userId) return;
    const left = online.get(userId) - 1;
    if (left > 0) return online.set(userId, left);
    online.delete(userId);
    io.to("users").emit("user:offline", userId);
  });
});

await createTables();
server.listen(Number(process.env.PORT), "127.0.0.1");
