// What both peers keep in MySQL, and the tokens: each statement prepared once by a pool of 10.
import { createSecretKey } from "node:crypto";
import bcrypt from "bcrypt";
import jwt from "jsonwebtoken";
import mysql from "mysql2/promise";

const { DB_HOST, DB_PORT, DB_USER, DB_PASS, DB_NAME, JWT_SECRET } = process.env;
// A key object: given the string, jsonwebtoken tries it as a public key first, at 0.4 ms each time.
const key = createSecretKey(Buffer.from(JWT_SECRET));
const BCRYPT_ROUNDS = 12;
const TOKEN_LIFETIME = "7d";
const DUPLICATE = "ER_DUP_ENTRY";

const pool = mysql.createPool({
  host: DB_HOST,
  port: Number(DB_PORT),
  user: DB_USER,
  password: DB_PASS,
  database: DB_NAME,
  charset: "utf8mb4",
  timezone: "Z",
  connectionLimit: 10,
});

const TABLES = [
  `CREATE TABLE IF NOT EXISTS users (
     id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
     email VARCHAR(254) NOT NULL,
     display_name VARCHAR(100) NOT NULL,
     password_hash VARCHAR(255) NOT NULL,
     created_at DATETIME(6) NOT NULL,
     UNIQUE KEY (email)
   ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
  `CREATE TABLE IF NOT EXISTS messages (
     id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
     sender_id BIGINT NOT NULL,
     receiver_id BIGINT NULL,
     content TEXT NOT NULL,
     created_at DATETIME(6) NOT NULL,
     KEY (sender_id, id),
     KEY (receiver_id, id),
     FOREIGN KEY (sender_id) REFERENCES users (id),
     FOREIGN KEY (receiver_id) REFERENCES users (id)
   ) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`,
];

export async function createTables() {
  for (const table of TABLES) await pool.query(table);
}

export class Refused extends Error {}

export async function register({ email, password, displayName }) {
  if (!email || !password || !displayName) throw new Refused("Missing fields");
  const hash = await bcrypt.hash(password, BCRYPT_ROUNDS);
  try {
    const [done] = await pool.execute(
      "INSERT INTO users (email, display_name, password_hash, created_at) VALUES (?, ?, ?, ?)",
      [email.trim().toLowerCase(), displayName, hash, new Date()],
    );
    return { id: done.insertId, email, displayName };
  } catch (error) {
    if (error.code === DUPLICATE) throw new Refused("Email already used");
    throw error;
  }
}

export async function login({ email, password }) {
  const [rows] = await pool.execute(
    "SELECT id, email, display_name, password_hash FROM users WHERE email = ?",
    [String(email).trim().toLowerCase()],
  );
  const user = rows[0];
  if (!user || !(await bcrypt.compare(String(password), user.password_hash)))
    throw new Refused("Invalid email or password");
  const token = jwt.sign({ sub: String(user.id) }, key, { expiresIn: TOKEN_LIFETIME });
  return { token, user: { id: user.id, email: user.email, displayName: user.display_name } };
}

/** The user's id, or null for a token that is missing, forged or expired. */
export function userOf(token) {
  if (!token) return null;
  try {
    return Number(jwt.verify(token.replace(/^Bearer /, ""), key, { algorithms: ["HS256"] }).sub);
  } catch {
    return null;
  }
}

export async function addMessage(senderId, receiverId, content) {
  if (typeof content !== "string" || !content.trim()) throw new Refused("Content is required");
  const createdAt = new Date();
  const [done] = await pool.execute(
    "INSERT INTO messages (sender_id, receiver_id, content, created_at) VALUES (?, ?, ?, ?)",
    [senderId, receiverId, content, createdAt],
  );
  return { id: done.insertId, senderId, receiverId, content, createdAt };
}

/** The newest messages that the user may see, newest first; each branch is one range of an index. */
export async function newestMessages(userId, limit) {
  const size = Math.min(Math.max(Math.trunc(limit), 1), 200); // a checked number, part of the text
  const branch = (where) => `(SELECT id FROM messages WHERE ${where} ORDER BY id DESC LIMIT ${size})`;
  const [rows] = await pool.execute(
    `SELECT m.id, m.sender_id AS senderId, m.receiver_id AS receiverId, m.content, m.created_at AS createdAt
     FROM messages m JOIN (
       ${branch("sender_id = ?")} UNION ${branch("receiver_id = ?")} UNION ${branch("receiver_id IS NULL")}
       ORDER BY id DESC LIMIT ${size}
     ) AS page ON page.id = m.id ORDER BY m.id DESC`,
    [userId, userId],
  );
  return rows;
}
