// Who has logged out leaves nothing on the page for the next user of this browser.
import { account, beginWith, emailOf, field, hears, logIn, openConversation, same, script, until, visitor, write } from "./browser.mjs";

const DRAFT = "half of a secret";

await script(async (url) => {
  const carol = await account(url, "Carol of the door");
  await account(url, "Dave of the door");
  for (const name of ["Alice", "Bob"]) await account(url, `${name} of the door`);
  const { page, context } = await visitor(url, "Alice of the door");
  await logIn(page, emailOf("Alice of the door"));
  const logOut = async () => {
    await page.getByRole("button", { name: "your profile" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Log out", exact: true }).click();
    await page.getByLabel("E-mail").waitFor();
  };
  const { page: other } = await visitor(url, "Carol of the door");
  await logIn(other, carol.email);
  await beginWith(other, "Alice of the door");
  await write(other, "for Alice alone");

  // What was begun and not sent is there again for its writer, and for nobody else.
  await openConversation(page, "Carol of the door");
  await hears(page, "for Alice alone");
  await beginWith(page, "Dave of the door");
  await field(page).fill(DRAFT);
  await openConversation(page, "Carol of the door");
  await beginWith(page, "Dave of the door");
  same(await field(page).inputValue(), DRAFT, "what Alice has begun, when she is back");
  await logOut();
  same((await page.content()).includes("of the door"), false, "a name on the page at the door");
  await logIn(page, emailOf("Bob of the door"));
  await beginWith(page, "Dave of the door");
  same(await field(page).inputValue(), "", "what the next user finds begun");
  same((await page.content()).includes("for Alice alone"), false, "a message of Alice's in the next user's page");

  // A dialog that is open goes too when another tab logs out.
  await page.getByRole("button", { name: "your profile" }).click();
  await page.getByRole("dialog").waitFor();
  const second = await context.newPage();
  await second.goto(url);
  await second.getByRole("button", { name: "your profile" }).click();
  await second.getByRole("dialog").getByRole("button", { name: "Log out", exact: true }).click();
  await page.getByLabel("E-mail").waitFor();
  await until("no dialog is over the door", async () => (await page.getByRole("dialog").count()) === 0);
  same((await page.content()).includes("Bob of the door"), false, "the name of who was here");
});
