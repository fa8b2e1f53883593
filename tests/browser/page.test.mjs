// The sandbox's page in a real browser.
//
//   cargo build -p lime-sandbox && (cd tests/browser && npm ci) && node --test tests/browser/
//
// LIME_SANDBOX_BINARY names another sandbox, CHROMIUM another browser; LIME_SCREENSHOT is where a
// picture of a filled page goes.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { join } from "node:path";
import { openPage, Sandbox, startBrowser, startServer, temporaryFolder } from "./sandbox.mjs";

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

async function open(options) {
  const page = await openPage(browser, sandbox, options);
  pages.push(page);
  return page;
}

const card = (page, summary) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name: summary, exact: true }) });
const decided = (page, summary) => page.locator("#decided li").filter({ hasText: summary });

test("a new approval appears by itself, and every page and the program hear of the decision", async () => {
  const [one, two] = [await open(), await open()];
  await one.getByText("Nothing waits for a decision.").waitFor();
  const id = await sandbox.ask({ action: "payments.refund", summary: "Refund $42", reason: "They asked", severity: "high" });
  const answer = sandbox.poll(id);
  await card(two, "Refund $42").waitFor();
  await card(one, "Refund $42").getByText("They asked").waitFor();
  assert.match(await card(one, "Refund $42").innerText(), /high\s+payments\.refund\s+(1:00:00|59:\d\d) left/);
  await one.getByText("1 program waits").waitFor();
  assert.match(await one.title(), /^\(1\)/);
  assert.match(await one.locator("#announce").textContent(), /New approval: Refund \$42/);

  await card(one, "Refund $42").getByRole("textbox", { name: "Note" }).fill("Looks right");
  await card(one, "Refund $42").getByRole("button", { name: "Approve" }).click();
  for (const page of [one, two]) {
    await decided(page, "Refund $42").getByText("Approved").waitFor();
    await decided(page, "Refund $42").getByText("“Looks right”").waitFor();
    await card(page, "Refund $42").waitFor({ state: "detached" });
  }
  const { status, note } = await answer;
  assert.deepEqual({ status, note }, { status: "approved", note: "Looks right" });
  assert.equal((await sandbox.until(id, "approved")).note, "Looks right");
});

test("two approvals at once go to their own programs", async () => {
  const page = await open();
  const [yes, no] = [await sandbox.ask({ summary: "Yes" }), await sandbox.ask({ summary: "No" })];
  const answers = [sandbox.poll(yes), sandbox.poll(no)];
  await card(page, "No").getByRole("button", { name: "Deny" }).click();
  assert.equal((await answers[1]).status, "denied");
  await card(page, "Yes").getByRole("button", { name: "Approve" }).click();
  assert.equal((await answers[0]).status, "approved");
});

test("foreign text stays text", async () => {
  const page = await open();
  const evil = `<img src=x onerror="alert(1)"><script>alert(2)</script>`;
  const { api_key: key } = await sandbox.control("POST", "/api-keys", { label: evil });
  await sandbox.ask({
    action: evil, summary: evil, reason: evil, severity: evil, callback_url: "http://x/" + encodeURIComponent(evil),
    context: { [evil]: evil, amount: 9007199254740993 },
  }, key);
  await sandbox.control("POST", "/rules", { action: evil, decision: "denied", note: evil });
  await sandbox.ask({ action: "direction", summary: "Pay 100\u202e001 yaP", context: { big: 1 } }, key);
  await sandbox.control("POST", "/faults", { route: "*", status: 200, body: evil, count: 0, skip: 100 });
  await fetch(`${sandbox.info.sesame_url}/${encodeURIComponent(evil)}?${encodeURIComponent(evil)}`);
  await sandbox.control("POST", "/sites", { name: evil });
  // The rule has decided what was pending already; another one still waits.
  await decided(page, evil).first().waitFor();
  await sandbox.control("DELETE", "/rules");
  await sandbox.call("POST", "/v1/approvals", { action: evil, summary: "With context", context: { evil } }, { authorization: `Bearer ${key}` });
  await card(page, "With context").waitFor();
  assert.match(await card(page, "With context").locator("pre").textContent(), /onerror=\\"alert\(1\)\\"/);
  await page.getByText("Pay 100⟨U+202E⟩001 yaP").waitFor();
  await page.getByRole("tab", { name: /Webhooks/ }).click();
  await page.locator("#webhooks tr").first().waitFor();
  assert.equal(await page.locator("body img, body script:not([nonce])").count(), 0);
});

test("numbers too large for a browser are shown as they are", async () => {
  const page = await open();
  // As text, because this program could not write the number either.
  await fetch(sandbox.info.sesame_url + "/v1/approvals", {
    method: "POST",
    headers: { authorization: `Bearer ${sandbox.info.sesame_api_key}` },
    body: `{"action": "a", "summary": "Large", "context": {"amount": 9007199254740993}}`,
  });
  await card(page, "Large").getByText("9007199254740993").waitFor();
});

test("the keyboard is enough", async () => {
  const page = await open();
  const first = await sandbox.ask({ summary: "First", context: { a: 1 } });
  const second = await sandbox.ask({ summary: "Second" });
  await card(page, "Second").waitFor();
  const focused = () => page.evaluate(() => {
    const node = document.activeElement;
    const outline = getComputedStyle(node);
    return {
      card: node.closest(".card")?.querySelector("h3").textContent ?? "",
      name: node.matches("input") ? node.getAttribute("aria-label") : node.matches("button, summary, a") ? node.textContent : node.className,
      seen: outline.outlineStyle !== "none" && parseFloat(outline.outlineWidth) > 0,
    };
  });
  const seen = [];
  const tabTo = async (name, within) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press("Tab");
      const at = await focused();
      seen.push(at);
      if (at.name === name && at.card === within) return;
    }
    assert.fail(`${name} was not reached: ${JSON.stringify(seen)}`);
  };
  await page.keyboard.press("Tab");
  assert.deepEqual(await focused(), { card: "", name: "Skip to the inbox", seen: true });
  await page.keyboard.press("Enter");
  await tabTo("Note", "First");
  await page.keyboard.type("By hand");
  await tabTo("Deny", "First");
  await tabTo("Approve", "First");
  await page.keyboard.press("Enter");
  assert.equal((await sandbox.until(first, "approved")).note, "By hand");
  await card(page, "First").waitFor({ state: "detached" });
  // The next card as a whole has the focus, so that the same key again decides nothing.
  const next = await focused();
  assert.equal(next.card, "Second");
  assert.match(next.name, /card/);
  await page.keyboard.press("Enter");
  await page.keyboard.press("Space");
  await tabTo("Deny", "Second");
  assert.equal((await sandbox.control("GET", `/approvals/${second}`)).status, "pending");
  await page.keyboard.press("Space");
  await sandbox.until(second, "denied");
  assert.ok(seen.every((at) => at.seen), JSON.stringify(seen));
  // The tabs of the log go by arrows.
  await page.getByRole("tab", { name: /Requests/ }).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.getByRole("tab", { name: /Webhooks/ }).getAttribute("aria-selected"), "true");
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowLeft");
  await page.getByRole("tabpanel", { name: /Logins/ }).waitFor();
});

test("what is typed and opened stays while the list changes", async () => {
  const page = await open();
  await sandbox.ask({ summary: "Kept", context: { a: 1 } });
  const note = card(page, "Kept").getByRole("textbox", { name: "Note" });
  await note.fill("half a tho");
  await card(page, "Kept").getByText("Context").click();
  await note.focus();
  const others = [await sandbox.ask({ summary: "Other" }), await sandbox.ask({ summary: "Another" })];
  await card(page, "Another").waitFor();
  await sandbox.control("POST", `/approvals/${others[0]}/decision`, { decision: "denied" });
  await card(page, "Other").waitFor({ state: "detached" });
  await page.keyboard.type("ught");
  assert.equal(await note.inputValue(), "half a thought");
  assert.equal(await card(page, "Kept").locator("details").getAttribute("open"), null);
});

test("faults are switched, here and elsewhere", async () => {
  const page = await open();
  const toggle = page.getByRole("switch", { name: /Broker answers 503/ });
  assert.equal(await toggle.getAttribute("aria-checked"), "false");
  await toggle.click();
  await page.getByRole("switch", { name: /Broker answers 503/, checked: true }).waitFor();
  await assert.rejects(sandbox.ask({}), /503/);
  const { faults } = await sandbox.control("GET", "/faults");
  assert.deepEqual(faults.map(({ fault }) => [fault.route, fault.status, fault.count]), [["trigger_approval", 503, 0], ["read_approval", 503, 0]]);
  await toggle.click();
  await page.getByRole("switch", { name: /Broker answers 503/, checked: false }).waitFor();
  await sandbox.ask({});
  // Every switch is a plan that the sandbox takes, and finds it again.
  for (const one of await page.getByRole("switch").all()) {
    await one.focus();
    await page.keyboard.press("Space");
    await page.waitForFunction((node) => node.getAttribute("aria-checked") === "true", await one.elementHandle());
    await page.keyboard.press("Space");
    await page.waitForFunction((node) => node.getAttribute("aria-checked") === "false", await one.elementHandle());
  }
  assert.deepEqual((await sandbox.control("GET", "/faults")).faults, []);
  // The same rule from elsewhere moves the switch; another one stands in a list and can go.
  await sandbox.control("POST", "/faults", [
    { route: "read_approval", action: "half_open", count: 0 },
    { route: "jwks", status: 500, count: 3 },
  ]);
  await page.getByRole("switch", { name: /Polls hang/, checked: true }).waitFor();
  await page.getByRole("button", { name: "Remove jwks status 500" }).click();
  await page.getByRole("button", { name: "Remove jwks status 500" }).waitFor({ state: "detached" });
  assert.equal((await sandbox.control("GET", "/faults")).faults.length, 1);
});

test("rules decide, and go", async () => {
  const page = await open();
  await page.getByLabel("Actions, with * and ?").fill("email.*");
  await page.getByRole("combobox", { name: "Decision" }).selectOption("Deny");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  const remove = page.getByRole("button", { name: "Remove email.* → deny" });
  await remove.waitFor();
  const id = await sandbox.ask({ action: "email.send", summary: "Mail" });
  await sandbox.until(id, "denied");
  await decided(page, "Mail").getByText("by rule").waitFor();
  await remove.click();
  await page.getByText("No rules: every approval waits for you.").waitFor();
  await sandbox.ask({ action: "email.send", summary: "Another mail" });
  await card(page, "Another mail").waitFor();
});

test("what happened is listed, and a webhook can be sent again", async (t) => {
  const hooks = [];
  const url = await startServer(t, (request, answer) => {
    hooks.push(request.url);
    request.resume().on("end", () => answer.writeHead(204).end());
  });
  const page = await open();
  const id = await sandbox.ask({ callback_url: url + "/hook" });
  await page.locator("#received tr", { hasText: "POST /v1/approvals" }).getByText("202").waitFor();
  await sandbox.control("POST", `/approvals/${id}/decision`, { decision: "approved" });
  await page.getByRole("tab", { name: /Webhooks/ }).click();
  await page.locator("#webhooks tr").getByText("204").waitFor();
  await page.getByRole("button", { name: "Send webhook 1 again" }).click();
  await page.getByRole("button", { name: "Send webhook 2 again" }).waitFor();
  assert.deepEqual(hooks, ["/hook", "/hook"]);
  const login = await sandbox.call("POST", "/api/v1/modules/agent-login/requests", {}, { "x-site-token": sandbox.info.site_token });
  await page.getByRole("tab", { name: /Logins/ }).click();
  await page.locator("#logins tr", { hasText: login.data.login_request_id }).getByText("pending").waitFor();
  await sandbox.control("POST", `/login-requests/${login.data.login_request_id}/approve`);
  await page.locator("#logins tr").getByText("approved").waitFor();
  await page.getByText("Sandbox site ← Sandbox agent").waitFor();
  // After a reset the numbers begin anew, and nothing old is left.
  await sandbox.control("POST", "/reset");
  await page.locator("#logins tr").waitFor({ state: "detached" });
  await page.getByText("Nothing waits for a decision.").waitFor();
  assert.equal(await page.locator("#decided li").count(), 0);
});

test("no secret is shown", async () => {
  const page = await open();
  await page.getByText("Where programs find it").waitFor();
  const whole = await page.content();
  for (const secret of ["sesame_api_key", "webhook_secret", "site_token", "agent_token"]) {
    assert.ok(!whole.includes(sandbox.info[secret]), secret);
  }
  assert.ok(whole.includes(sandbox.info.sesame_api_key.slice(0, 14) + "…"));
});

test("a phone shows all of it without scrolling sideways", async () => {
  const long = "W".repeat(180);
  await sandbox.ask({
    action: "a".repeat(120), summary: long, reason: long, severity: long, context: { [long]: long },
    callback_url: `http://127.0.0.1:1/${long}`,
  });
  const id = await sandbox.ask({ summary: "Short", severity: "critical" });
  await sandbox.control("POST", "/rules", { action: `${long}*`, decision: "approved", note: long });
  await sandbox.control("POST", "/faults", { route: "create_request", status: 503, headers: { "x-long": long } });
  await fetch(`${sandbox.info.sesame_url}/${long}?${long}`);
  const page = await open({ viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true });
  await card(page, "Short").waitFor();
  const tooWide = () => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth || innerWidth > 360);
  for (const tab of [/Requests/, /Webhooks/, /Logins/]) {
    await page.getByRole("tab", { name: tab }).tap();
    assert.equal(await tooWide(), false, String(tab));
  }
  await card(page, "Short").getByRole("button", { name: "Approve" }).tap();
  await sandbox.until(id, "approved");
  await decided(page, "Short").waitFor();
  assert.equal(await tooWide(), false);
  const box = await card(page, long).getByRole("button", { name: "Deny" }).boundingBox();
  assert.ok(box.height >= 40 && box.width >= 100, "large enough for a finger");
});

test("another web site can neither decide nor look", async (t) => {
  const id = await sandbox.ask({ summary: "Mine" });
  const elsewhere = await startServer(t, (_, answer) => {
    answer.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Elsewhere</title>");
  });
  const context = await browser.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  const path = `${sandbox.info.control_url}/approvals/${id}/decision`;
  const refused = async () => {
    const { status } = await sandbox.control("GET", `/approvals/${id}`);
    assert.equal(status, "pending");
  };

  await page.goto(elsewhere);
  const attempts = await page.evaluate(async ({ path, root }) => {
    const body = JSON.stringify({ decision: "approved" });
    const outcomes = {};
    const attempt = async (name, url, options) => {
      try {
        const answer = await fetch(url, options);
        outcomes[name] = answer.type === "opaque" ? "opaque" : answer.status;
      } catch {
        outcomes[name] = "blocked";
      }
    };
    await attempt("simple", path, { method: "POST", mode: "no-cors", body });
    await attempt("text", path, { method: "POST", mode: "no-cors", headers: { "content-type": "text/plain" }, body });
    await attempt("cors", path, { method: "POST", headers: { "x-sandbox-token": "0" }, body });
    await attempt("page", root + "/", {});
    await attempt("page without cors", root + "/", { mode: "no-cors" });
    await attempt("feed", root + "/_sandbox/page/events", {});
    outcomes.beacon = navigator.sendBeacon(path, body);
    return outcomes;
  }, { path, root: sandbox.info.sesame_url });
  // Without CORS a request goes out; what comes back says nothing, or is kept from the page altogether.
  for (const name of ["simple", "text"]) assert.ok(["opaque", "blocked"].includes(attempts[name]), name);
  for (const name of ["cors", "page", "page without cors", "feed"]) assert.equal(attempts[name], "blocked", name);
  await refused();

  // A form is a navigation: its answer shows that it was turned away.
  const [answer] = await Promise.all([
    page.waitForResponse(path),
    page.waitForURL(path),
    page.evaluate((path) => {
      const form = document.createElement("form");
      Object.assign(form, { method: "POST", action: path, enctype: "text/plain" });
      form.append(Object.assign(document.createElement("input"), { name: '{"decision":"approved","note":"', value: '"}' }));
      document.body.append(form);
      form.submit();
    }, path),
  ]);
  assert.equal(answer.status(), 403);
  await refused();

  // Nor can it show the page in a frame, or hold on to a window of it.
  await page.goto(elsewhere);
  await page.evaluate((url) => {
    const frame = document.createElement("iframe");
    frame.src = url;
    document.body.append(frame);
    return new Promise((resolve) => { frame.onload = resolve; });
  }, sandbox.info.sesame_url + "/");
  assert.equal(await page.frames().at(-1).locator("#pending").count(), 0);
  // The sandbox's own origin under another name is another origin, too.
  await page.goto(`http://localhost:${sandbox.info.port}/`);
  await card(page, "Mine").waitFor();
  const crossName = await page.evaluate((path) => fetch(path, { method: "POST", mode: "no-cors", body: '{"decision":"approved"}' }).then(() => "sent", () => "blocked"), path);
  assert.equal(crossName, "blocked");
  await refused();
});

test("a script without the token cannot decide, even on the page's own origin", async () => {
  const id = await sandbox.ask({});
  const page = await open();
  const path = `/_sandbox/approvals/${id}/decision`;
  const status = await page.evaluate((path) => fetch(path, { method: "POST", body: '{"decision":"approved"}' }).then((answer) => answer.status), path);
  assert.equal(status, 403);
  assert.equal((await sandbox.control("GET", `/approvals/${id}`)).status, "pending");
});

test("after a restart the page goes on", async (t) => {
  await sandbox.stop();
  const file = join(temporaryFolder(t), "state");
  sandbox = await Sandbox.start("--state", file);
  const kept = await sandbox.ask({ summary: "Kept" });
  const page = await open();
  await card(page, "Kept").getByRole("textbox", { name: "Note" }).fill("Written before");
  const { port } = sandbox.info;
  await sandbox.kill();
  await page.getByText("Reconnecting…").waitFor();
  // What cannot be sent is said, and can be tried again.
  await card(page, "Kept").getByRole("button", { name: "Approve" }).click();
  await card(page, "Kept").getByText("The sandbox cannot be reached.").waitFor();

  sandbox = await Sandbox.start("--state", file, "--port", String(port));
  await page.getByText("Live", { exact: true }).waitFor();
  await sandbox.ask({ summary: "New" });
  await card(page, "New").waitFor();
  await card(page, "Kept").getByRole("button", { name: "Approve" }).click();
  assert.equal((await sandbox.until(kept, "approved")).note, "Written before");
  await decided(page, "Kept").waitFor();
});

test("a page that is filled looks like this", { skip: !process.env.LIME_SCREENSHOT }, async (t) => {
  const url = await startServer(t, (request, answer) => request.resume().on("end", () => answer.writeHead(204).end()));
  const key = async (label) => (await sandbox.control("POST", "/api-keys", { label })).api_key;
  const [billing, ops] = [await key("billing-worker"), await key("ops-agent")];
  const decide = (id, decision, note) => sandbox.control("POST", `/approvals/${id}/decision`, { decision, note });
  await decide(await sandbox.ask({ action: "payments.payout", summary: "Pay out €1,250.00 to Marlow & Finch Ltd", callback_url: url }, billing), "approved", "Matches invoice 2291");
  await sandbox.control("POST", "/rules", { action: "email.*", decision: "approved", note: "Low risk" });
  await sandbox.ask({ action: "email.send", summary: "Send the weekly report to 14 subscribers" }, ops);
  const refund = await sandbox.ask({
    action: "payments.refund", summary: "Refund $42.00 to Ada Lovelace", severity: "medium",
    reason: "The parcel arrived damaged; photos are in ticket #8812.",
    context: { charge: "ch_3OxK2mBk", amount: 4200, currency: "usd", ticket: 8812 },
  }, billing);
  await sandbox.ask({ action: "db.delete", summary: "Delete 1,204 rows from prod.orders", severity: "critical", reason: "GDPR erasure request #882, due today." }, ops);
  await sandbox.control("POST", "/faults", { route: "approve", action: "status", status: 503, count: 0 });
  const page = await open();
  await card(page, "Refund $42.00 to Ada Lovelace").waitFor();
  await page.locator("#decided li").nth(1).waitFor();
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: process.env.LIME_SCREENSHOT, animations: "disabled" });
  assert.equal((await sandbox.control("GET", `/approvals/${refund}`)).status, "pending");
});
