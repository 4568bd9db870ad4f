// A long history: it loads as one scrolls, keeps its place, and the search leads anywhere in it.
import { account, emailOf, graphql, hears, logIn, message, openConversation, same, script, until, visitor, write } from "./browser.mjs";

const MESSAGES = 170;
const SEND = "mutation($to: ID!, $c: String!) { sendMessage(receiverId: $to, content: $c) { id } }";

await script(async (url) => {
  const ida = await account(url, "Ida");
  const jon = await account(url, "Jon");
  const texts = Array.from({ length: MESSAGES }, (_, index) => `line ${index + 1}${index === 20 ? " about a zeppelin" : ""}`);
  for (const text of texts) await graphql(url, SEND, { to: ida.id, c: text }, jon.token);

  const { page } = await visitor(url, "Ida");
  await logIn(page, emailOf("Ida"));
  await page.getByRole("link", { name: "Jon" }).filter({ hasText: "99+" }).waitFor();
  await openConversation(page, "Jon");
  await message(page, "line 170").waitFor();
  const rows = () => page.locator("li.message").count();
  const first = await rows();
  same(first < MESSAGES, true, `only the newest pages are loaded: ${first}`);
  await page.getByRole("button", { name: "To the newest messages" }).click().catch(() => {});

  // The message at the top stays where it is while older ones come above it.
  const scroller = page.locator(".scroller");
  await until("the end is read", async () => (await page.title()) === "Parley");
  const top = await scroller.evaluate((element) => {
    element.scrollTop = 300;
    const { top: edge } = element.getBoundingClientRect();
    const row = [...element.querySelectorAll("li.message")].find((one) => one.getBoundingClientRect().top >= edge);
    return { id: row.dataset.id, top: row.getBoundingClientRect().top };
  });
  await until("older messages come", async () => (await rows()) > first);
  await page.waitForTimeout(200);
  const after = await page.locator(`li.message[data-id="${top.id}"]`).evaluate((row) => row.getBoundingClientRect().top);
  same(Math.abs(after - top.top) < 3, true, `the place of the message that was on top: ${top.top}, then ${after}`);

  // A message that comes meanwhile moves nothing either.
  await graphql(url, SEND, { to: ida.id, c: "news" }, jon.token);
  await message(page, "news").waitFor({ state: "attached" });
  const still = await page.locator(`li.message[data-id="${top.id}"]`).evaluate((row) => row.getBoundingClientRect().top);
  same(Math.abs(still - after) < 3, true, "the place, when something new came");

  // To the very beginning.
  await until("the first message is there", async () => {
    await scroller.evaluate((element) => (element.scrollTop = 0));
    return (await page.locator("li.message .text").first().textContent()) === "line 1";
  });
  const lines = await page.locator("li.message .text").allTextContents();
  same(lines, [...texts, "news"], "every message, once and in order");

  // Loaded anew, a hit of the search is shown though its page is not loaded.
  await page.reload();
  await message(page, "line 170").waitFor();
  same(await message(page, "zeppelin").count(), 0, "the page with the hit is not loaded");
  await page.getByLabel("Search messages and people").fill("zeppelin");
  const hit = page.getByRole("region", { name: "Search results" }).getByRole("link", { name: "Jon" });
  await hit.locator("mark", { hasText: "zeppelin" }).waitFor();
  await page.getByLabel("Search messages and people").press("ArrowDown");
  await page.keyboard.press("Enter");
  await message(page, "zeppelin").waitFor();
  await until("the hit has the focus", () => message(page, "zeppelin").evaluate((row) => row === document.activeElement));
  // From there one scrolls on in both directions, as far as the newest message.
  await until("the first message again", async () => {
    await scroller.evaluate((element) => (element.scrollTop = 0));
    return (await page.locator("li.message .text").first().textContent()) === "line 1";
  });
  await until("the newest message again", async () => {
    await scroller.evaluate((element) => (element.scrollTop = element.scrollHeight));
    return (await message(page, "news").count()) === 1;
  });
  await page.getByLabel("Search messages and people").press("Escape");
  await page.getByRole("navigation", { name: "Conversations" }).waitFor();

  // A person who is found can be written to; nonsense finds nothing, in words.
  await account(url, "Kurt Kessel");
  await page.getByLabel("Search messages and people").fill("kessel");
  await page.getByRole("region", { name: "Search results" }).getByRole("link", { name: "Kurt Kessel" }).click();
  await write(page, "found you");
  await hears(page, "found you");
  await page.getByLabel("Search messages and people").fill("xyzzyq");
  await page.getByText("Nothing was found.").waitFor();
});
