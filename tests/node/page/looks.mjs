// How the page looks and is operated: axe in both schemes, 360 pixels, the keyboard alone, speed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { account, beginWith, emailOf, field, graphql, hears, logIn, message, openConversation, person, same, script, ticked, until, visitor, write } from "./browser.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SEND = "mutation($to: ID!, $c: String!) { sendMessage(receiverId: $to, content: $c) { id } }";

/** Nothing that axe calls serious or critical. */
async function accessible(page, where) {
  const violations = await page.evaluate(`${AXE}; axe.run(document, { resultTypes: ["violations"] }).then((result) => result.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => ({ id, nodes: nodes.slice(0, 5).map(({ html, any }) => [html.slice(0, 200), any.map(({ message }) => message)]) })))`);
  same(violations, [], `axe, ${where}`);
}

/** Nothing sticks out to the right. */
async function fits(page, where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  same(content <= window, true, `${where} is ${content} wide, in ${window}`);
}

/** A long name ends before the time beside it. */
async function rowsAreApart(page, where) {
  const overlaps = await page.evaluate(() => [...document.querySelectorAll(".row")].filter((row) => {
    const [text, side] = [row.querySelector(".name"), row.querySelector("time")].map((each) => each?.getBoundingClientRect());
    return text?.width && side && text.right + 4 > side.left;
  }).map((row) => row.textContent));
  same(overlaps, [], `rows whose name touches the time, ${where}`);
}

await script(async (url, { shots }) => {
  const noa = await account(url, "Noa Novak");
  const otto = await account(url, "Otto Orlov");
  const wilhelmina = await account(url, "Wilhelmina Featherstonehaugh the Third", "wilhelmina@example.com");
  await graphql(url, SEND, { to: noa.id, c: "The morning post is here" }, wilhelmina.token);
  for (const text of ["Good morning!", "Have you seen https://example.com/a?", "🎉"]) {
    await graphql(url, SEND, { to: noa.id, c: text }, otto.token);
  }
  for (const scheme of ["light", "dark"]) {
    const { page, context } = await visitor(url, `Noa-${scheme}`, { colorScheme: scheme, reducedMotion: "reduce" });
    await accessible(page, `the door, ${scheme}`);
    await logIn(page, emailOf("Noa Novak"));
    await openConversation(page, "Otto Orlov");
    await write(page, `It is ${scheme} here`);
    await hears(page, `It is ${scheme} here`);
    await message(page, "Good morning!").hover();
    await accessible(page, `a conversation, ${scheme}`);
    await page.getByRole("button", { name: "Emoji", exact: true }).click();
    await accessible(page, `the emoji picker, ${scheme}`);
    await page.keyboard.press("Escape");
    for (const [button, title] of [["Noa Novak (your profile)", "Your profile"], ["New conversation", "New conversation"], ["Details", "Otto Orlov"]]) {
      await page.getByRole("button", { name: button, exact: true }).click();
      await page.getByRole("dialog", { name: title }).waitFor();
      await page.waitForTimeout(150);
      await accessible(page, `${title}, ${scheme}`);
      await page.keyboard.press("Escape");
    }
    await page.getByLabel("Search messages and people").fill("morning");
    await page.locator("mark").first().waitFor();
    await rowsAreApart(page, "search results");
    await accessible(page, `search results, ${scheme}`);
    await context.close();
  }

  // A phone of 360 pixels shows one pane at a time, and Back leads from one to the other.
  const phone = await visitor(url, "phone", { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
  const { page } = phone;
  await fits(page, "the door");
  await logIn(page, emailOf("Noa Novak"));
  await fits(page, "the list");
  await openConversation(page, "Otto Orlov");
  same(await page.getByRole("navigation").isVisible(), false, "the list beside a conversation");
  await write(page, "averyveryverylongwordthatnevereverends".repeat(8));
  await message(page, "averyvery").first().waitFor();
  await fits(page, "a conversation");
  const { height, y } = await page.locator(".composer").boundingBox();
  same(Math.round(y + height), 640, "the lower edge of where one writes");
  await message(page, "Good morning!").getByRole("button", { name: "More actions" }).tap();
  await page.getByRole("menuitem", { name: "Reply" }).tap();
  await page.getByText("Reply to Otto Orlov").waitFor();
  await page.getByRole("button", { name: "Emoji", exact: true }).tap();
  await fits(page, "the emoji picker");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Details", exact: true }).tap();
  await fits(page, "the details");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Back to all conversations" }).tap();
  await page.getByRole("navigation").waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "Otto Orlov", level: 2 }).waitFor();

  await keyboardAlone(url);
  await speed(url);
});

async function keyboardAlone(url) {
  await account(url, "Pia");
  const { page } = await visitor(url, "keyboard");
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => {
    const { activeElement: element } = document;
    return element.getAttribute("aria-label") ?? element.textContent;
  });
  const ring = () => page.evaluate(() => {
    const { outlineStyle, outlineWidth, borderColor } = getComputedStyle(document.activeElement);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) >= 2) || borderColor === getComputedStyle(document.activeElement).getPropertyValue("--accent");
  });
  await page.keyboard.type(emailOf("Otto Orlov"));
  await press("Tab");
  await page.keyboard.type("123456");
  await press("Enter");
  await page.getByRole("button", { name: "Otto Orlov (your profile)" }).waitFor();
  await until("the list is there", () => page.getByRole("navigation").getByRole("link").first().isVisible());
  // Tab reaches the way past the list, oneself, the colours, a new conversation, the search, the list.
  const reached = [];
  await page.locator("body").press("Tab");
  for (let count = 0; count < 6; count++) {
    reached.push(await focused());
    same(await ring(), true, `the ring of the focus on "${reached.at(-1)}"`);
    await press("Tab");
  }
  same(reached.slice(0, 5), ["Go to the conversation", "OOOtto Orlov (your profile)", "Use dark colours", "New conversation", "Search messages and people"], "what Tab reaches");
  same(reached[5].includes("Noa Novak"), true, `the list: ${reached[5]}`);
  // A new conversation, a message, its menu, a reply; nothing but keys.
  await page.getByRole("button", { name: "New conversation" }).focus();
  await press("Enter");
  await until("the dialog finds", async () => (await focused()) === "Search people");
  await page.keyboard.type("Pia");
  await page.getByRole("dialog").getByRole("button", { name: "Pia" }).waitFor();
  await until("only she is left", async () => (await page.getByRole("dialog").getByRole("listitem").count()) === 1);
  await press("Tab", "Enter");
  await until("one writes", async () => (await focused()) === "Message");
  await page.keyboard.type("by keys alone");
  await press("Enter");
  await hears(page, "by keys alone");
  await ticked(page, "by keys alone", "Sent");
  await press("Shift+Tab", "Shift+Tab");
  await until("the message has the focus", async () => (await focused()).includes("by keys alone"));
  await press("Enter", "ArrowDown", "Enter");
  await page.getByText("Reply to yourself").waitFor();
  await press("Escape");
  same(await page.getByText("Reply to yourself").isVisible(), false, "the reply after Escape");
  same(await focused(), "Message", "where the focus is after Escape");
}

/** How long it takes until somebody who is logged in sees the newest message, and what is loaded. */
async function speed(url) {
  const { page } = await person(url, "Quinn");
  await beginWith(page, "Pia");
  await write(page, "the newest");
  await hears(page, "the newest");
  await until("it is stored", async () => (await page.locator("li.message .tick-waiting").count()) === 0);
  await page.reload();
  await message(page, "the newest").waitFor();
  const { seen, bytes } = await page.evaluate(async () => {
    const rows = document.querySelectorAll("li.message");
    return {
      seen: rows.length && performance.now(),
      bytes: performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
        .filter(({ name }) => !name.includes("/graphql")).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
    };
  });
  process.stdout.write(`${JSON.stringify({ type: "speed", seen: Math.round(seen), bytes })}\n`);
}
