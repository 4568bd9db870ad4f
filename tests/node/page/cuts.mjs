// What the network does: offline and back, a reload with a full outbox, and a server that restarts.
//
// The test restarts the server when this prints {"type": "restart"}, and says "go" when it is back.
import { createInterface } from "node:readline";
import { beginWith, field, hears, message, openConversation, person, same, script, ticked, until, write } from "./browser.mjs";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
// A browser complains of each connection that fails, whatever the page does about it.
const expected = [/ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|WebSocket connection to|ERR_EMPTY_RESPONSE|503/];

await script(async (url) => {
  const lea = await person(url, "Lea", { expected });
  const max = await person(url, "Max", { expected });
  const { page: a } = lea;
  const { page: b } = max;
  await beginWith(a, "Max");
  await write(a, "before");
  await openConversation(b, "Lea");
  await hears(b, "before");

  // Offline: what one writes waits, and is said to wait; what others write comes afterwards.
  await lea.context.setOffline(true);
  await a.getByRole("status").filter({ hasText: "Offline" }).waitFor({ timeout: 25_000 });
  for (const text of ["first while away", "second while away"]) await write(a, text);
  await ticked(a, "first while away", "Waiting to be sent");
  await write(b, "meanwhile");
  await lea.context.setOffline(false);
  for (const text of ["first while away", "second while away"]) await hears(b, text);
  await hears(a, "meanwhile");
  await ticked(a, "second while away", "Read");
  await until("the word of it is gone", async () => !(await a.locator(".status").isVisible()));

  // The server restarts while both write.
  await write(a, "just before");
  process.stdout.write('{"type": "restart"}\n');
  await until("the connection is lost", async () => {
    await write(a, `during ${Date.now()}`);
    return (await a.locator("li.message .tick-waiting").count()) > 0;
  });
  await write(a, "during the restart");
  await write(b, "Max, during the restart");
  await lines.next();
  await hears(b, "during the restart");
  await hears(a, "Max, during the restart");
  await until("all has gone out", async () => (await a.locator("li.message .tick-waiting").count()) === 0);
  const texts = (page) => page.locator("li.message .text").allTextContents();
  await until("both have the same", async () => JSON.stringify(await texts(a)) === JSON.stringify(await texts(b)), 20_000);
  const all = await texts(a);
  same(new Set(all).size, all.length, "no message is there twice");

  // A reload with a full outbox: it is still there, and goes out.
  await lea.context.setOffline(true);
  await write(a, "survives a reload");
  await ticked(a, "survives a reload", "Waiting to be sent");
  await lea.context.setOffline(false);
  await a.reload();
  await hears(a, "survives a reload");
  await hears(b, "survives a reload");
  same(await field(a).inputValue(), "", "the field");
  same((await message(b, "survives a reload").count()), 1, "what the reload sent");
});
process.exit();
