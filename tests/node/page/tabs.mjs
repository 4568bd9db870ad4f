// web/client in two tabs of one browser: each message is sent once, by the tab that wrote it or by its heir.
import { setTimeout as wait } from "node:timers/promises";
import { account, graphql, same, script, visitor } from "./browser.mjs";

const HISTORY = "query($with: ID!) { messages(with: $with, last: 50) { nodes { content } } }";
const QUEUED = ["queued 0", "queued 1", "queued 2", "queued 3", "queued 4"];

await script(async (url) => {
  const bob = await account(url, "Bob of two tabs");
  const { page: first, context } = await visitor(url, "Alice of two tabs");
  const open = (page) =>
    page.evaluate(async () => {
      const module = document.querySelector('link[href$="client/dist/parley.js"]').href; // as the chat page has it
      const { Parley } = await import(module);
      globalThis.parley = new Parley({ namespace: "two tabs" });
      return parley.restore();
    });
  const said = async () => {
    const { messages } = await graphql(url, HISTORY, { with: alice }, bob.token);
    return messages.nodes.map(({ content }) => content);
  };

  same(await open(first), false, "a session before anybody has logged in");
  const alice = await first.evaluate(async () => {
    const account = { email: `${crypto.randomUUID()}@example.com`, password: "123456", displayName: "Alice" };
    const { id } = await parley.register(account);
    await parley.connect();
    parley.disconnect();
    return id;
  });
  await first.evaluate(([to, texts]) => texts.forEach((text) => parley.send({ with: to }, text)), [bob.id, QUEUED]);

  const second = await context.newPage();
  await second.goto(url);
  same(await open(second), true, "the session in the second tab");
  const shown = await second.evaluate(() => parley.store.outbox.map(({ content }) => content));
  same(shown, QUEUED, "the outbox of the first tab, as the second one shows it");
  await second.evaluate(() => parley.connect());
  await wait(500);
  same(await said(), [], "what the second tab has sent for the first one, which lives");

  await first.close();
  await second.waitForFunction(() => parley.store.outbox.length === 0);
  same(await said(), QUEUED, "what was sent once the first tab was gone");

  // A reload of the only tab, in the middle of a full outbox.
  await second.evaluate(
    ([to]) => {
      parley.disconnect();
      parley.send({ with: to }, "before the reload");
    },
    [bob.id],
  );
  await second.reload();
  await open(second);
  await second.evaluate(() => parley.connect());
  await second.waitForFunction(() => parley.store.outbox.length === 0);
  same(await said(), [...QUEUED, "before the reload"], "what was sent after the reload");

  // Logging out in one tab logs the other one out.
  const third = await context.newPage();
  await third.goto(url);
  await open(third);
  await third.evaluate(() => parley.connect());
  await third.evaluate(() => parley.logout());
  await second.waitForFunction(() => parley.status === "LOGGED_OUT");
});
