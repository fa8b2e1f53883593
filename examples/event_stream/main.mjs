// A site that waits for agents: the event stream alone.
//
// Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `listening` once the stream is open, then makes as many login
// requests as the argument says (default 3) and prints `request<TAB>ID` for each, and `event<TAB>ID<TAB>signed in`,
// `expired` or `lost` when it has ended; the stream's state goes to stderr. Ends with 0 when all have ended.

import { once } from 'node:events';
import { LimeSite } from 'lime-sdk';

const count = Number(process.argv[2] ?? 3);
const site = new LimeSite();
const pending = new Set();
let created = 0;

site.on('state', ({ state }) => console.error(`state\t${state}`));
site.on('login', async ({ requestId, passport }) => {
  // What another process of this site has begun is not ours.
  if (!pending.has(requestId)) return;
  if (passport !== null) await site.verifyPassport(passport, { expectedRequestId: requestId });
  await ended(requestId, passport === null ? 'expired' : 'signed in');
});
site.on('gap', async ({ requestIds }) => {
  for (const requestId of requestIds) await ended(requestId, 'lost');
});

async function ended(requestId, how) {
  console.log(`event\t${requestId}\t${how}`);
  pending.delete(requestId);
  if (created === count && pending.size === 0) await site.close();
}

// A handler that fails, a token that is refused.
site.on('error', (error) => {
  console.error(error);
  process.exitCode = 1;
  site.close();
});

while (site.streamStatus.state !== 'open') await once(site, 'state');
console.log('listening');
for (; created < count; created += 1) {
  const { requestId } = await site.createLoginRequest();
  pending.add(requestId);
  console.log(`request\t${requestId}`);
}
