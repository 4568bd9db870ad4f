// Ask by @apollo/client with automatic persisted queries; print what came, and what was sent for it.
//
// apollo_persisted.mjs URL '{"token": …, "get": false}'
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { createHash } from "node:crypto";
import { commandLine, print } from "./lines.mjs";

const [uri, { token, get }] = commandLine("apollo_persisted.mjs URL OPTIONS");
const sent = [];
const http = new HttpLink({
  uri,
  headers: { Authorization: `Bearer ${token}` },
  fetch: (url, options) => {
    const whole = options.method === "GET"
      ? new URL(url).searchParams.has("query")
      : "query" in JSON.parse(options.body);
    sent.push(`${options.method} ${whole ? "query" : "hash"}`);
    return fetch(url, options);
  },
});
const persisted = new PersistedQueryLink({
  sha256: (text) => createHash("sha256").update(text).digest("hex"),
  useGETForHashedQueries: get,
});
const client = new ApolloClient({ cache: new InMemoryCache(), link: persisted.concat(http) });
const MINE = get ? gql`query ByGet { me { id } }` : gql`query ByPost { me { id } }`;

for (const _ of [1, 2]) {
  const { data } = await client.query({ query: MINE, fetchPolicy: "no-cache" });
  print({ data, sent: sent.splice(0) });
}
client.stop();
