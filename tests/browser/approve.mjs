// A person at the sandbox's page: opens it and clicks Approve on whatever comes, COUNT times.
//
//     node approve.mjs http://127.0.0.1:PORT COUNT
//
// Prints "ready" when the page is open. The demo's human.

import { openPage, startBrowser } from "./sandbox.mjs";

const [url, count] = process.argv.slice(2);
const browser = await startBrowser();
try {
  const page = await openPage(browser, { info: { sesame_url: url } });
  process.stdout.write("ready\n");
  for (let clicked = 0; clicked < Number(count); clicked += 1) {
    const button = page.getByRole("button", { name: /^Approve/ }).first();
    await button.click();
    // The card goes when the decision is made.
    await button.waitFor({ state: "detached" });
  }
} finally {
  await browser.close();
}
