// An agent's worker: signs in at a site and places orders there, each of which a human approves.
//
//     node main.mjs SITE_URL [JOBS] [AT_ONCE]
//
// Reads LIME_API_BASE, LIME_AGENT_TOKEN, SESAME_BROKER_URL, SESAME_API_KEY, and CALLBACK_URL for the broker's
// webhooks; prints a line for each job. The site is examples/site_express. Ends with 0 when all jobs are done.

import { setTimeout as sleep } from 'node:timers/promises';
import { LimeAgent, requireApproval } from 'lime-sdk';

const [siteUrl, jobs = 1, atOnce = 20] = process.argv.slice(2);

const placeOrder = requireApproval(
  'orders.place',
  {
    summary: (requestId) => `Place the order of ${requestId}`,
    // Whoever does the job again after a crash asks for the same approval, not for another one.
    dedupKey: (requestId) => `order-${requestId}`,
    callbackUrl: process.env.CALLBACK_URL,
    timeout: 120_000,
  },
  async (requestId, session) => {
    // Here the order is sent.
    console.log(`order placed\t${requestId}\t${session}`);
  },
);

// One agent for the process: it is used by all jobs at the same time.
const agent = new LimeAgent();

async function ask(method, path, headers = {}) {
  const response = await fetch(siteUrl + path, { method, headers });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
  return [response.status, await response.json()];
}

/** The login request's id, and the session that it ended in. */
async function signIn() {
  const [, login] = await ask('POST', '/login');
  await agent.login(login.request_id);
  for (;;) {
    const [status, found] = await ask('GET', '/session', { ticket: login.ticket });
    if (status === 200) return [login.request_id, found.session];
    await sleep(100);
  }
}

let left = Number(jobs);

async function lane() {
  while (left > 0) {
    left -= 1;
    try {
      await placeOrder(...(await signIn()));
    } catch (error) {
      console.log(`job failed\t${error}`);
      process.exitCode = 1;
    }
  }
}

await Promise.all(Array.from({ length: Number(atOnce) }, lane));
await agent.close();
