// A sandbox in a process of its own, a browser, and the calls that the tests make.

import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = process.env.LIME_SANDBOX_BINARY ?? join(ROOT, "target", "debug", "lime-sandbox");

/** Long enough for a loaded machine; nothing waits that long when all is well. */
export const PATIENCE = 30_000;

function browserPath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    for (const folder of (process.env.PATH ?? "").split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not there; perhaps in the next one.
      }
    }
  }
  throw new Error("there is no chromium, chromium-browser or google-chrome on PATH; set CHROMIUM");
}

/** A browser with a profile of its own, which goes with it. */
export async function startBrowser() {
  const browser = await chromium.launch({
    executablePath: browserPath(),
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
  return browser;
}

/** A page at the sandbox's inbox that notes every script error, dialog and refused load. */
export async function openPage(browser, sandbox, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
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
  await page.goto(sandbox.info.sesame_url + "/");
  await page.getByText("Live", { exact: true }).waitFor();
  return page;
}

export class Sandbox {
  static async start(...more) {
    const child = spawn(BINARY, ["--json", "--exit-with-parent", ...more], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const lines = createInterface(child.stdout);
    const [line] = await Promise.race([
      once(lines, "line"),
      once(child, "exit").then(([code]) => { throw new Error(`the sandbox ended with ${code}`); }),
    ]);
    return Object.assign(new Sandbox(), { child, info: JSON.parse(line) });
  }

  /** SIGKILL: it has no time for anything. */
  async kill() {
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }

  async stop() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await exit;
  }

  async call(method, path, body, headers = {}) {
    const answer = await fetch(this.info.sesame_url + path, {
      method,
      headers: { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const json = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(json)}`);
    return json;
  }

  control(method, path, body) {
    return this.call(method, "/_sandbox" + path, body);
  }

  /** Asks for an approval and returns its id. */
  async ask(body, key = this.info.sesame_api_key) {
    const whole = { action: "test.action", summary: "Please", ...body };
    return (await this.call("POST", "/v1/approvals", whole, { authorization: `Bearer ${key}` })).approval_id;
  }

  /** A long poll, as a client makes it. */
  poll(id) {
    return this.call("GET", `/v1/approvals/${id}?wait=true`, undefined, {
      authorization: `Bearer ${this.info.sesame_api_key}`,
    });
  }

  /** The approval as soon as it has this status. */
  until(id, status) {
    return this.control("GET", `/approvals/${id}?status=${status}&wait_ms=${PATIENCE}`);
  }
}

/** A folder that goes with its test. */
export function temporaryFolder(t) {
  const folder = mkdtempSync(join(tmpdir(), "lime-browser-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A server of somebody else, on another port. */
export async function startServer(t, answer) {
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}
