// Two people: register, log in, write, see it typed, delivered and read, edit, react, reply, delete.
import { account, beginWith, chooseAction, emailOf, field, hears, logIn, message, openConversation, PASSWORD, same, script, ticked, until, visitor, write } from "./browser.mjs";

await script(async (url) => {
  await account(url, "Bob");
  const alice = await visitor(url, "Alice");
  const { page: a } = alice;

  // Register; a wrong password and a taken address are told in words.
  await a.getByRole("button", { name: "New here? Create an account" }).click();
  await a.getByLabel("Your name").fill("Alice");
  await a.getByLabel("E-mail").fill(emailOf("Bob"));
  await a.getByLabel("Password").fill(PASSWORD);
  await a.getByRole("button", { name: "Create the account" }).click();
  await a.getByRole("alert").filter({ hasText: "Email already used" }).waitFor();
  await a.getByLabel("E-mail").fill(emailOf("Alice"));
  await a.getByRole("button", { name: "Create the account" }).click();
  await a.getByRole("button", { name: "your profile" }).waitFor();

  const { page: b } = await visitor(url, "Bob");
  await logIn(b, emailOf("Bob"));

  // The first message makes the conversation, at both.
  await beginWith(a, "Bob");
  await write(a, "Hello Bob, see https://example.com/x.");
  await hears(a, "Hello Bob");
  same(await message(a, "Hello Bob").getByRole("link").getAttribute("href"), "https://example.com/x", "the link");
  const row = b.getByRole("navigation").getByRole("link", { name: "Alice" });
  await row.filter({ hasText: "1 unread" }).waitFor();
  await until("the title counts", async () => (await b.title()) === "(1) Parley");
  await ticked(a, "Hello Bob", "Delivered");
  same(/#\/c\/\d+$/.test(a.url()), true, "the address of the conversation that began");

  await openConversation(b, "Alice");
  await hears(b, "Hello Bob");
  await ticked(a, "Hello Bob", "Read");
  await until("nothing is unread", async () => (await b.title()) === "Parley");

  // Typing and presence.
  await a.locator(".pane-state", { hasText: "online" }).waitFor();
  await field(b).pressSequentially("I am");
  await a.locator(".pane-state", { hasText: "typing…" }).waitFor();
  await write(b, "I am here 🎉");
  await hears(a, "I am here 🎉");
  await until("nobody types", async () => !(await a.locator(".pane-state").textContent()).includes("typing"));
  // A screen reader hears of it.
  await until("it is said", async () => (await a.locator("#announcer").textContent()) === "Bob: I am here 🎉");

  // Emoji, by the picker.
  await a.getByRole("button", { name: "Emoji", exact: true }).click();
  await a.getByLabel("Find an emoji").fill("rocket");
  await a.getByRole("button", { name: "🚀" }).click();
  await a.keyboard.press("Escape");
  same(await field(a).inputValue(), "🚀", "what the picker wrote");
  await field(a).press("Enter");
  await b.locator("li.message.emoji-only").waitFor();

  // Edit, by the arrow key; react; reply; delete.
  await write(a, "a mistake");
  await hears(b, "a mistake");
  await field(a).press("ArrowUp");
  same(await field(a).inputValue(), "a mistake", "what is edited");
  await write(a, "no mistake");
  await hears(b, "no mistake");
  await message(b, "no mistake").locator(".stamp", { hasText: "edited" }).waitFor();
  same(await message(b, "a mistake").count(), 0, "the old text");

  await message(b, "no mistake").hover();
  await message(b, "no mistake").getByRole("button", { name: "React" }).click();
  await b.getByRole("dialog", { name: "React" }).getByRole("button", { name: "👍" }).click();
  const reaction = message(a, "no mistake").getByRole("button", { name: "👍 1: Bob" });
  await reaction.waitFor();
  await reaction.click();
  await until("the focus stays", () => message(a, "no mistake").evaluate((row) => row.contains(document.activeElement)));
  await message(b, "no mistake").getByRole("button", { name: "👍 2" }).waitFor();
  await message(b, "no mistake").getByRole("button", { name: "👍 2" }).click();
  await message(a, "no mistake").getByRole("button", { name: "👍 1: Alice" }).waitFor();

  await chooseAction(b, "no mistake", "Reply");
  await write(b, "none indeed");
  await message(a, "none indeed").locator(".quote", { hasText: "no mistake" }).click();
  await a.locator("li.message.shown", { hasText: "no mistake" }).first().waitFor();

  await write(a, "to be deleted");
  await hears(b, "to be deleted");
  await chooseAction(a, "to be deleted", "Delete");
  await a.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await hears(b, "Message deleted");
  same(await message(b, "to be deleted").count(), 0, "the deleted text");

  // What looks like markup, or like a script's address, is text.
  const markup = '<img src=x onerror="alert(1)"> javascript:alert(1) <b>bold</b>';
  await write(a, markup);
  await message(b, "javascript:").waitFor();
  same(await message(b, "javascript:").locator(".text").textContent(), markup, "what looks like markup");
  same(await message(b, "javascript:").locator(".text").locator("a, img, b").count(), 0, "elements in it");

  // A page that is loaded again is where it was, without a login.
  await a.reload();
  await hears(a, "none indeed");
  await message(a, "no mistake").getByRole("button", { name: "👍 1: Alice" }).waitFor();

  // Out, and at the door again.
  await a.getByRole("button", { name: "your profile" }).click();
  await a.getByRole("dialog").getByRole("button", { name: "Log out" }).click();
  await a.getByRole("heading", { name: "Log in" }).waitFor();

  // A second person in the same browser, who does not become the first.
  const other = await alice.context.newPage();
  await other.goto(`${url}/?as=bob`);
  await logIn(other, emailOf("Bob"));
  await a.reload();
  await a.getByRole("heading", { name: "Log in" }).waitFor();
});
