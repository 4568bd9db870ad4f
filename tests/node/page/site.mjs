// The documents' site: its pages load nothing from elsewhere, and complain of nothing.
import { same, script, visitor } from "./browser.mjs";

await script(async (url) => {
  const { page } = await visitor(url, "A reader", { path: "/index.html" });
  await page.getByRole("heading", { name: "Two people chatting, in two minutes" }).waitFor();

  await page.goto(`${url}/concepts.html`);
  const picture = page.locator("img[src$='the-log.svg']");
  await picture.waitFor();
  same(await picture.evaluate((img) => img.decode().then(() => img.naturalWidth > 0)), true, "the picture is drawn");
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/site-concepts.png` });

  await page.getByRole("article").getByRole("link", { name: "typing" }).click();
  await page.waitForURL(/protocol\.html#typing$/);

  await page.goto(`${url}/reference/schema.html#type-message`);
  await page.locator("#type-message").waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/site-schema.png` });

  await page.getByRole("button", { name: /search/i }).first().click();
  await page.keyboard.type("SENDS_PER_USER");
  await page.getByRole("link", { name: /Settings|Rates/ }).first().waitFor();
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/site-search.png` });

  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto(`${url}/reference/settings.html`);
  await page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  same(wide <= 0, true, "a phone scrolls only up and down");
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/site-phone.png` });
  await page.waitForLoadState("networkidle");
});
