// The playground: one login is enough for all tabs, subscriptions included.
import { account, graphql, same, script, visitor } from "./browser.mjs";

await script(async (url) => {
  const carol = await account(url, "Carol of the playground");
  const { page } = await visitor(url, "Ada", { path: "/graphql", expected: [/status of 401/] });
  const response = page.locator(".graphiql-response .result-window, .graphiql-response");
  const tab = (name) => page.locator(".graphiql-tab-button", { hasText: name }).click();
  const run = async () => {
    await page.waitForTimeout(500); // a tab that has just been shown begins with its last answer
    await page.locator(".graphiql-execute-button").click();
  };
  const shows = (text) => response.getByText(text).first().waitFor();

  await page.getByText("Not logged in").waitFor();
  await run();
  await page.getByRole("menuitem", { name: "Register" }).click();
  await page.getByText("Logged in as Ada").waitFor();

  await tab("SendMessage");
  await run();
  await shows('"Hello World"');

  await tab("MessageAdded");
  await run();
  await page.waitForTimeout(500);
  await graphql(url, 'mutation { sendMessage(content: "for the subscription") { id } }', {}, carol.token);
  await shows('"for the subscription"');

  // A reload of the window keeps the login; the token is in no storage that other windows read.
  await page.reload();
  await page.getByText("Logged in as Ada").waitFor();
  const stored = await page.evaluate(() => JSON.stringify(localStorage));
  same(/eyJ[\w-]+\.[\w-]+\./.test(stored), false, "a token in localStorage");
  await page.getByRole("button", { name: "Forget the token" }).click();
  await page.getByText("Not logged in").waitFor();
  await tab("SendMessage");
  await run();
  await shows("UNAUTHENTICATED");

  // A token that is no longer good keeps nobody from logging in, and is forgotten when it is refused.
  const setLogin = async (token, name) => {
    const login = JSON.stringify({ token, name });
    await page.evaluate((value) => sessionStorage.setItem("parley:login", value), login);
    await page.reload();
    await page.getByText(`Logged in as ${name}`).waitFor();
  };
  await setLogin(`${carol.token}x`, "Yesterday");
  await run(); // SendMessage
  await page.getByText("Not logged in").waitFor();
  await setLogin(`${carol.token}x`, "Yesterday");
  await tab("Register");
  await run();
  await page.getByRole("menuitem", { name: "LogIn" }).click();
  await page.getByText("Logged in as Ada").waitFor();
});
