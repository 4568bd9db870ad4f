// Three people: a group with roles, what one sees of it, blocks, and one's own settings.
import { beginWith, field, graphql, hears, message, openConversation, person, same, script, until, write } from "./browser.mjs";

await script(async (url) => {
  const { page: a } = await person(url, "Gina");
  const { page: b } = await person(url, "Gus");
  const hana = await person(url, "Hana");
  const { page: c } = hana;

  // Gina makes a group of two, then adds a third.
  await a.getByRole("button", { name: "New conversation" }).click();
  await a.getByRole("button", { name: "Create a group" }).click();
  const form = a.getByRole("dialog", { name: "Create a group" });
  await form.getByLabel("Title").fill("Sailors");
  await form.getByRole("button", { name: "Gus", pressed: false }).click();
  await form.getByText("Chosen: Gus").waitFor();
  await form.getByRole("button", { name: "Create the group" }).click();
  await a.getByRole("heading", { name: "Sailors", level: 2 }).waitFor();
  await a.locator(".pane-state", { hasText: "2 members, 2 online" }).waitFor();
  await write(a, "welcome aboard");
  await openConversation(b, "Sailors");
  await hears(b, "welcome aboard");
  await message(b, "welcome aboard").locator(".sender", { hasText: "Gina" }).waitFor();

  await field(b).pressSequentially("Ay");
  await a.locator(".pane-state", { hasText: "Gus is typing…" }).waitFor();

  await a.getByRole("button", { name: "Details", exact: true }).click();
  const group = a.getByRole("dialog", { name: "Sailors" });
  await group.getByRole("button", { name: "Add people" }).click();
  await a.getByRole("dialog", { name: "Add people" }).getByRole("button", { name: "Hana" }).click();
  await a.getByRole("dialog", { name: "Add people" }).getByRole("button", { name: "Add", exact: true }).click();
  await group.getByRole("listitem").filter({ hasText: "Hana" }).waitFor();
  await openConversation(c, "Sailors");
  same(await message(c, "welcome aboard").count(), 0, "what was written before Hana came");

  // Hana becomes an admin, and gives the group another title.
  await group.getByRole("button", { name: "Change Hana" }).click();
  await a.getByRole("menuitem", { name: "Make an admin" }).click();
  await group.getByRole("listitem").filter({ hasText: "Hana" }).getByText("Admin").waitFor();
  await a.keyboard.press("Escape");
  await c.getByRole("button", { name: "Details", exact: true }).click();
  await c.getByRole("dialog").getByLabel("Title of the group").fill("Pirates");
  await c.getByRole("dialog").getByRole("button", { name: "Rename" }).click();
  await a.getByRole("heading", { name: "Pirates", level: 2 }).waitFor();
  // A plain member can do none of it.
  await b.getByRole("button", { name: "Details", exact: true }).click();
  await b.getByRole("dialog", { name: "Pirates" }).getByRole("listitem").filter({ hasText: "Gina" }).getByText("Owner").waitFor();
  same(await b.getByRole("dialog").getByRole("button", { name: "Add people" }).count(), 0, "what a member may do");
  await b.keyboard.press("Escape");

  // Hana removes Gus: he keeps what he has, and can write no more.
  await c.getByRole("dialog").getByRole("button", { name: "Change Gus" }).click();
  await c.getByRole("menuitem", { name: "Remove from the group" }).click();
  await until("he is gone", async () => (await c.getByRole("dialog").getByRole("listitem").filter({ hasText: "Gus" }).count()) === 0);
  await b.getByText("You are no longer in this group.").waitFor();
  same(await field(b).isVisible(), false, "where Gus wrote");
  await hears(b, "welcome aboard");
  await c.getByRole("dialog").getByRole("button", { name: "Leave the group" }).click();
  await c.getByRole("dialog", { name: "Leave the group?" }).getByRole("button", { name: "Leave" }).click();
  await c.getByText("You are no longer in this group.").waitFor();

  // One's own settings: pinned to the top, muted, archived and back.
  await beginWith(a, "Hana");
  await write(a, "just us two");
  const names = () => a.locator(".conversations .row-title").allTextContents();
  await until("the newest is first", async () => (await names())[0]?.startsWith("Hana"));
  await openConversation(a, "Pirates");
  await a.getByRole("button", { name: "Details", exact: true }).click();
  await a.getByRole("switch", { name: "Pinned to the top" }).click();
  await until("the pinned one is first", async () => (await names())[0]?.startsWith("Pirates"));
  await a.getByRole("switch", { name: "Muted" }).click();
  await a.getByRole("switch", { name: "Muted", checked: true }).waitFor();
  await a.getByRole("switch", { name: "Archived" }).click();
  await until("the archived one is away", async () => (await names()).length === 1);
  await a.keyboard.press("Escape");
  await a.getByRole("button", { name: "Archived" }).click();
  await a.getByRole("navigation").getByRole("link", { name: "Pirates" }).waitFor();
  await a.getByRole("button", { name: "Back to all conversations" }).last().click();

  // Everybody.
  await a.getByRole("button", { name: "New conversation" }).click();
  await a.getByRole("button", { name: "Write to everybody" }).click();
  await write(a, "hello, all of you");
  await openConversation(b, "Everybody");
  await hears(b, "hello, all of you");

  // Hana blocks Gina, who is told in words that her message did not go out; then no more.
  await openConversation(c, "Gina");
  await c.getByRole("button", { name: "Details", exact: true }).click();
  await c.getByRole("button", { name: "Block Gina" }).click();
  await c.getByRole("dialog", { name: "Block Gina?" }).getByRole("button", { name: "Block", exact: true }).click();
  await c.getByRole("button", { name: "Unblock Gina" }).waitFor();
  await openConversation(a, "Hana");
  await a.locator(".pane-state", { hasText: /^(offline|last seen.*)$/ }).waitFor();
  await write(a, "can you hear me?");
  await a.getByRole("alert").filter({ hasText: "Not sent: Receiver not found" }).waitFor();
  await c.getByRole("button", { name: "Unblock Gina" }).click();
  await c.getByRole("button", { name: "Block Gina" }).waitFor();
  await c.keyboard.press("Escape");
  await a.getByRole("button", { name: "Try again" }).click();
  await hears(c, "can you hear me?");

  // Invisible to others at once.
  await c.getByRole("button", { name: "Hana (your profile)" }).click();
  await a.locator(".pane-state", { hasText: "online" }).waitFor();
  await c.getByRole("switch", { name: "Others see when I am online" }).click();
  await a.locator(".pane-state", { hasText: "last seen" }).waitFor();
  const { settings } = await graphql(url, "{ settings { presence readReceipts } }", {}, hana.token);
  same(settings, { presence: "INVISIBLE", readReceipts: true }, "Hana's settings");
});
