// The hosted connect page in a real browser: a person picks an agent and is sent back to the site.
//
// Runs as page.test.mjs does.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { PATIENCE, Sandbox, startBrowser, startServer } from "./sandbox.mjs";

let browser;
let sandbox;
let pages = [];

before(async () => {
  browser = await startBrowser();
});

after(() => browser?.close());

beforeEach(async () => {
  sandbox = await Sandbox.start();
});

afterEach(async () => {
  const troubles = pages.flatMap((page) => page.troubles);
  await Promise.all(pages.map((page) => page.context().close()));
  pages = [];
  await sandbox.stop();
  assert.deepEqual(troubles, []);
});

/** A page that notes every script error, dialog and refused load. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 900, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.troubles = [];
  page.on("pageerror", (error) => page.troubles.push(error.message));
  page.on("dialog", (dialog) => {
    page.troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (/Content Security Policy|Trusted/.test(message.text())) page.troubles.push(message.text());
  });
  pages.push(page);
  return page;
}

/** A site of somebody's: a link to the connect page, and the page that people come back to. */
async function startSite(t) {
  const site = { requests: [] };
  site.origin = await startServer(t, (request, response) => {
    site.requests.push({ url: request.url, referer: request.headers.referer });
    response.setHeader("content-type", "text/html");
    if (request.url === "/") response.end(`<a href="${site.connectUrl}">Connect an agent</a>`);
    else if (request.url === "/frame") response.end(`<iframe src="${site.connectUrl}" name="inside"></iframe>`);
    else response.end("<h1>Welcome back</h1>");
  });
  return site;
}

/** Asks for a binding as the site's backend does. */
async function ask(redirectUri, token = sandbox.info.site_token) {
  const answer = await sandbox.call(
    "POST", "/api/v1/modules/bindings/requests", { redirect_uri: redirectUri }, { "x-site-token": token },
  );
  return answer.data;
}

async function exchange(code) {
  const body = { binding_code: code };
  const answer = await sandbox.call("POST", "/api/v1/modules/bindings/exchange", body, { "x-site-token": sandbox.info.site_token });
  return JSON.parse(Buffer.from(answer.data.passport.split(".")[1], "base64url"));
}

const bindings = async () => (await sandbox.control("GET", "/bindings")).bindings;

test("a person comes from a site, picks an agent, and is back with a code that the site exchanges", async (t) => {
  const site = await startSite(t);
  const ada = await sandbox.control("POST", "/agents", { display_name: "Ada", description: "Counts things" });
  const asked = await ask(`${site.origin}/back?step=2`);
  site.connectUrl = asked.connect_url;
  const page = await open();
  await page.goto(site.origin);
  await page.getByRole("link", { name: "Connect an agent" }).click();
  await page.getByRole("heading", { name: "Connect an agent with Sandbox site" }).waitFor();
  await page.getByText("Counts things").waitFor();
  assert.match(await page.locator("form").innerText(), new RegExp(`You are sent back to\\s+${site.origin}`));
  // Nothing is picked for somebody who has a choice.
  assert.equal(await page.locator("input:checked").count(), 0);
  await page.getByText("Ada", { exact: true }).click();
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByRole("heading", { name: "Welcome back" }).waitFor();
  const back = new URL(page.url());
  assert.equal(back.searchParams.get("step"), "2");
  const claims = await exchange(back.searchParams.get("binding_code"));
  assert.deepEqual([claims.aud, claims.binding_id, claims.sub], ["lime-binding", asked.binding_id, ada.agent_id]);
  // The site does not learn from where its people come back, and the page is not in their history.
  assert.equal(site.requests.find(({ url }) => url.startsWith("/back")).referer, undefined);
  await page.goBack();
  await page.getByRole("link", { name: "Connect an agent" }).waitFor();
  await page.getByRole("link", { name: "Connect an agent" }).click();
  await page.getByRole("heading", { name: "Already connected" }).waitFor();
  assert.equal(await page.getByRole("button").count(), 0);
});

test("the keyboard is enough, and an agent that is switched off cannot be picked", async (t) => {
  const site = await startSite(t);
  const off = await sandbox.control("POST", "/agents", { display_name: "Off" });
  await sandbox.control("POST", `/agents/${off.agent_id}/deactivate`);
  const { connect_url: url } = await ask(`${site.origin}/back`);
  const page = await open();
  await page.goto(url);
  await page.getByText("Switched off").waitFor();
  assert.equal(await page.getByRole("radio", { name: /Off/ }).isDisabled(), true);
  // There is only one to pick.
  assert.equal(await page.getByRole("radio", { name: /Sandbox agent/ }).isChecked(), true);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Welcome back" }).waitFor();
  assert.equal((await bindings())[0].status, "COMPLETED");
});

test("what is too late, unknown or done elsewhere is said", async (t) => {
  const site = await startSite(t);
  const asked = await ask(`${site.origin}/back`);
  const page = await open();
  await page.goto(`${sandbox.info.sesame_url}/connect/?binding_id=br_nobody`);
  await page.getByRole("heading", { name: "There is nothing to connect" }).waitFor();
  await page.goto(asked.connect_url);
  await page.getByRole("button", { name: "Connect" }).waitFor();
  // Somebody is faster, in another tab.
  await sandbox.control("POST", `/bindings/${asked.binding_id}/complete`, {});
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByRole("heading", { name: "Already connected" }).waitFor();
  assert.match(await page.getByRole("alert").innerText(), /COMPLETED/);
  const late = await ask(`${site.origin}/back`);
  await sandbox.control("POST", "/clock", { advance_seconds: 601 });
  await page.goto(late.connect_url);
  await page.getByRole("heading", { name: "Too late" }).waitFor();
  assert.equal(site.requests.length, 0);
});

test("foreign text stays text", async (t) => {
  const evil = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
  const site = await startSite(t);
  const { site_token: token } = await sandbox.control("POST", "/sites", { name: evil });
  await sandbox.control("POST", "/agents", { display_name: evil, description: evil });
  await sandbox.control("POST", "/agents", { display_name: "Pay\u202eda" });
  const { connect_url: url } = await ask(`${site.origin}/${encodeURIComponent(evil)}?${encodeURIComponent(evil)}`, token);
  const page = await open();
  await page.goto(url);
  await page.getByRole("heading", { name: `Connect an agent with ${evil}` }).waitFor();
  await page.getByText("Pay⟨U+202E⟩da").waitFor();
  assert.equal(await page.locator("main img, body script:not([nonce])").count(), 0);
  await page.goto(`${sandbox.info.sesame_url}/connect/?binding_id=${encodeURIComponent(evil)}`);
  await page.getByRole("heading", { name: "There is nothing to connect" }).waitFor();
});

test("another site can neither frame the page nor press its button", async (t) => {
  const site = await startSite(t);
  const asked = await ask(`${site.origin}/back`);
  site.connectUrl = asked.connect_url;
  const page = await open();
  const framed = page.waitForResponse((response) => response.url() === asked.connect_url);
  await page.goto(`${site.origin}/frame`);
  assert.equal((await framed).status(), 403);
  assert.equal(await page.frames().at(-1).getByRole("button").count(), 0);
  // What a script of the site tries: it sees nothing and changes nothing.
  const tried = await page.evaluate(async ([url, id]) => {
    const root = new URL(url).origin;
    const tries = [
      fetch(url),
      fetch(`${root}/connect/binding?binding_id=${id}`),
      fetch(`${root}/connect/complete?binding_id=${id}`, { method: "POST", body: "{}", headers: { "x-sandbox-token": "x" } }),
      fetch(`${root}/connect/complete?binding_id=${id}`, { method: "POST", body: `{"agent_id":"x"}`, mode: "no-cors" }).then((answer) => answer.text()),
    ];
    return (await Promise.allSettled(tries)).map(({ status }) => status);
  }, [asked.connect_url, asked.binding_id]);
  assert.deepEqual(tried, ["rejected", "rejected", "rejected", "rejected"]);
  assert.equal((await bindings())[0].status, "PENDING");
  page.troubles = page.troubles.filter((trouble) => !/frame-ancestors|frame/.test(trouble));
});

test("it fits a telephone, in light and dark", async (t) => {
  const site = await startSite(t);
  for (let number = 0; number < 20; number += 1) {
    await sandbox.control("POST", "/agents", { display_name: `Agent with quite a long name ${number}`.repeat(3) });
  }
  const { connect_url: url } = await ask(`${site.origin}/back`);
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ viewport: { width: 340, height: 620 }, colorScheme });
    await page.goto(url);
    await page.getByRole("button", { name: "Connect" }).waitFor();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.equal(wide, 0);
  }
});
