// Compile tests/node/relay with relay-compiler, run its queries with relay-runtime, print what the store has.
//
// relay.mjs URL '{"token": …, "to": id}'
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { commitMutation, Environment, fetchQuery, Network, RecordSource, Store } from "relay-runtime";
import { commandLine, print } from "./lines.mjs";

const [uri, { token, to }] = commandLine("relay.mjs URL OPTIONS");
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "relay-"));

try {
  // The two lines that Relay is told: this one, and getDataID below.
  const schemaConfig = { nodeInterfaceIdField: "globalId" };
  cpSync(here("./relay"), join(folder, "src"), { recursive: true });
  cpSync(here("../../schema/schema.graphql"), join(folder, "schema.graphql"));
  const config = { src: "./src", schema: "./schema.graphql", language: "javascript", eagerEsModules: true };
  writeFileSync(
    join(folder, "relay.config.json"),
    JSON.stringify({ ...config, artifactDirectory: "./made", schemaConfig }),
  );
  mkdirSync(join(folder, "made"));
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
  execFileSync(process.execPath, [here("./node_modules/relay-compiler/cli.js"), "relay.config.json"], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const made = async (name) => (await import(join(folder, "made", `${name}.graphql.js`))).default;

  const environment = new Environment({
    network: Network.create(async ({ text: query }, variables) => {
      const answer = await fetch(uri, {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
        body: JSON.stringify({ query, variables }),
      });
      return answer.json();
    }),
    store: new Store(new RecordSource()),
    getDataID: (value) => value.globalId,
  });

  const sent = await new Promise(async (onCompleted, onError) =>
    commitMutation(environment, {
      mutation: await made("appSendMutation"),
      variables: { to, content: "by Relay" },
      onCompleted,
      onError,
    }),
  );
  print({ name: "sent", data: sent.sendMessage });
  const query = await made("appMessagesQuery");
  const { messages } = await fetchQuery(environment, query, { with: to }).toPromise();
  print({ name: "messages", data: messages.edges.map(({ node }) => node) });
  const records = environment.getStore().getSource().toJSON();
  print({ name: "records", data: Object.values(records) });
  const node = await made("appNodeQuery");
  for (const { __id: id, __typename: type } of Object.values(records))
    if (type === "User" || type === "Message")
      print({ name: "node", type, data: (await fetchQuery(environment, node, { id }).toPromise()).node });
} finally {
  rmSync(folder, { recursive: true });
}
