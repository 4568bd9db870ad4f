// Chromium for the tests of the chat page: two people, each in a browser context of their own.
//
// Every script is `node page/NAME.mjs URL [OPTIONS]`, with CHROMIUM in the environment. It ends with
// code 0, or prints what it found in place of what it expected, and ends with code 1.
import { setTimeout as wait } from "node:timers/promises";
import { chromium } from "playwright-core";

export const PASSWORD = "123456";
const PATIENCE = 20_000; // a machine that is busy with other tests

let chromiumOnce = null;
const people = [];

/** The browser that all of a script's people share; a microphone that hums is in it. */
function browser() {
  chromiumOnce ??= chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
  });
  return chromiumOnce;
}

/** Run a script: `work(url, options)`. What the pages did wrong on the way counts as well. */
export async function script(work) {
  const [url, options = "{}"] = process.argv.slice(2);
  try {
    await work(url, JSON.parse(options));
    for (const { name, faults } of people) same(faults, [], `what ${name}'s browser complained of`);
    process.stdout.write('{"type": "done"}\n');
  } catch (error) {
    for (const { name, page, faults } of people) {
      const path = `${process.env.SHOTS ?? "/tmp"}/chat-page-${name}.png`;
      await page.screenshot({ path }).catch(() => {});
      process.stderr.write(`${name}: ${path}; complaints: ${JSON.stringify(faults)}\n`);
    }
    process.stderr.write(`${error.stack}\n`);
    process.exitCode = 1;
  }
  await (await browser()).close();
}

/** A browser context with the page open, and nobody logged in. */
export async function visitor(url, name, { expected = [], path = "/", ...options } = {}) {
  const context = await (await browser()).newContext({ viewport: { width: 1180, height: 760 }, locale: "en-GB", permissions: ["microphone"], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  const isExpected = (text) => expected.some((pattern) => pattern.test(text));
  page.on("console", (message) => {
    const text = `${message.text()} ${message.location().url}`;
    if (["error", "warning"].includes(message.type()) && !isExpected(text)) faults.push(text);
  });
  page.on("pageerror", (error) => faults.push(`${error.stack}`));
  page.on("request", (request) => {
    const address = request.url();
    if (!address.startsWith(url) && !address.startsWith("blob:")) faults.push(`a foreign request: ${address}`);
  });
  const person = { name, page, context, faults };
  people.push(person);
  await page.goto(url + path);
  return person;
}

/** An account, made without the page; returns its id and its token. */
export async function account(url, name, email = emailOf(name)) {
  const data = await graphql(url, "mutation($e: String!, $n: String!, $p: String!) { register(email: $e, displayName: $n, password: $p) { token user { id } } }",
    { e: email, n: name, p: PASSWORD });
  return { id: data.register.user.id, token: data.register.token, email };
}

export function emailOf(name) {
  return `${name.toLowerCase().replaceAll(" ", ".")}@example.com`;
}

/** Run an operation past the page. */
export async function graphql(url, query, variables = {}, token = null) {
  const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

/** Somebody with an account who has logged in on the page. */
export async function person(url, name, options = {}) {
  const { id, token, email } = await account(url, name);
  const somebody = await visitor(url, name, options);
  await logIn(somebody.page, email);
  return Object.assign(somebody, { id, token });
}

export async function logIn(page, email) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByRole("button", { name: "your profile" }).waitFor();
}

/** Begin to write to somebody, by the search for people. */
export async function beginWith(page, name) {
  await page.getByRole("button", { name: "New conversation" }).click();
  await page.getByRole("dialog").getByLabel("Search people").fill(name);
  await page.getByRole("dialog").getByRole("button", { name }).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

export async function openConversation(page, name) {
  await page.getByRole("navigation").getByRole("link").filter({ has: page.locator(".row-title", { hasText: name }) }).click();
  await page.getByRole("heading", { name, level: 2 }).waitFor();
}

export async function write(page, text) {
  await field(page).fill(text);
  await field(page).press("Enter");
}

export function field(page) {
  return page.getByRole("textbox", { name: "Message", exact: true });
}

/** The rows of messages that have this text. */
export function message(page, text) {
  return page.locator("li.message").filter({ hasText: text });
}

/** Wait until one message, and only one, has this text. */
export async function hears(page, text) {
  // Its row is another one once it is sent: between the two there is none for a moment.
  await until(`"${text}" is there once`, async () => (await message(page, text).count()) === 1);
}

/** Choose from the menu of a message. */
export async function chooseAction(page, text, action) {
  await message(page, text).hover();
  await message(page, text).getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: action }).click();
}

/** Wait until a function answers something true. */
export async function until(what, works, patience = PATIENCE) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    try {
      last = await works();
    } catch (error) {
      last = error;
    }
    if (last && !(last instanceof Error)) return last;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}; last: ${last}`);
    await wait(30);
  }
}

export function same(found, expected, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${what}: ${one}, not ${other}`);
}

/** The tick of one's own message, in the word that a screen reader says. */
export async function ticked(page, text, word) {
  await until(`"${text}" is ${word}`, async () => (await message(page, text).locator(".tick").getAttribute("title")) === word);
}
