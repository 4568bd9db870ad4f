// Pictures, files and voice notes between two people, and the picture of a profile.
import { beginWith, message, openConversation, person, same, script, until, write } from "./browser.mjs";

await script(async (url, { picture }) => {
  const { page: a } = await person(url, "Fay");
  const { page: b } = await person(url, "Finn");
  await beginWith(a, "Finn");

  // A picture with a caption: it is there before it is sent, and the other can open it.
  const choose = (files) => a.locator(".composer input[type=file]").setInputFiles(files);
  await choose({ name: "lake.png", mimeType: "image/png", buffer: Buffer.from(picture, "base64") });
  await a.getByRole("list", { name: "Files to send" }).getByText("lake.png").waitFor();
  await write(a, "the lake");
  await openConversation(b, "Fay");
  const shown = message(b, "the lake").getByRole("button", { name: "Open the picture lake.png" });
  await shown.waitFor();
  await until("the picture is drawn", () => shown.locator("img").evaluate((image) => image.naturalWidth > 0));
  await shown.click();
  const full = b.getByRole("dialog", { name: "lake.png" }).locator("img");
  await until("the whole picture is drawn", () => full.evaluate((image) => image.naturalWidth === 320));
  await b.keyboard.press("Escape");
  await until("the dialog is gone", async () => (await b.locator("dialog").count()) === 0);
  same(await shown.evaluate((button) => button === document.activeElement), true, "the focus is back");

  // A file; one that is taken out again is not sent.
  await choose([
    { name: "plan.txt", mimeType: "text/plain", buffer: Buffer.from("the plan") },
    { name: "wrong.txt", mimeType: "text/plain", buffer: Buffer.from("no") },
  ]);
  await a.getByRole("button", { name: "Remove wrong.txt" }).click();
  await a.getByRole("button", { name: "Send", exact: true }).click();
  const file = b.locator("li.message").getByRole("link", { name: "plan.txt" });
  await file.waitFor();
  const [download] = await Promise.all([b.waitForEvent("download"), file.evaluate((link) => link.click())]);
  same(download.suggestedFilename(), "plan.txt", "the name of the file");
  same(await b.locator("li.message").getByRole("link", { name: "wrong.txt" }).count(), 0, "the file that was taken out");

  // A voice note: the other sees it recorded, then plays it.
  await a.getByRole("button", { name: "Record a voice note" }).click();
  await b.locator(".pane-state", { hasText: "recording…" }).waitFor();
  await a.waitForTimeout(1200);
  await a.getByRole("button", { name: "Send the voice note" }).click();
  const note = b.locator("li.message .voice");
  await note.waitFor();
  const bars = await note.locator(".waveform rect").evaluateAll((all) => all.map((bar) => Number(bar.getAttribute("height"))));
  same(bars.some((height) => height > 4), true, `a bar that is no silence, of ${bars}`);
  const length = Number(await note.getByRole("slider").getAttribute("max"));
  same(length > 800 && length < 6000, true, `how long the note is: ${length} ms`);
  await note.getByRole("button", { name: "Play the voice note" }).click();
  await until("it plays", async () => Number(await note.getByRole("slider").inputValue()) > 0);

  // One that is dropped is not sent.
  await a.getByRole("button", { name: "Record a voice note" }).click();
  await a.getByRole("button", { name: "Drop the recording" }).click();
  await write(a, "no more notes");
  await message(b, "no more notes").waitFor();
  same(await b.locator("li.message .voice").count(), 1, "voice notes");

  // The picture of a profile, and a status, at the other at once.
  await a.getByRole("button", { name: "Fay (your profile)" }).click();
  const profile = a.getByRole("dialog", { name: "Your profile" });
  await profile.locator("input[type=file]").setInputFiles({ name: "me.png", mimeType: "image/png", buffer: Buffer.from(picture, "base64") });
  await profile.locator(".avatar img").waitFor();
  await profile.getByLabel("Status").fill("At sea");
  await profile.getByLabel("Name").fill("Fay Fisher");
  await profile.getByRole("button", { name: "Save" }).click();
  await b.getByRole("heading", { name: "Fay Fisher", level: 2 }).waitFor();
  const avatar = b.locator(".pane-head .avatar img");
  await until("the avatar is drawn", () => avatar.evaluate((image) => image.naturalWidth > 0));
  await b.getByRole("button", { name: "Details", exact: true }).click();
  await b.getByRole("dialog").getByText("At sea").waitFor();
});
