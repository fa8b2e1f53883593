// A site signs an agent in, from both sides.
//
// Reads LIME_API_BASE, LIME_SITE_TOKEN and LIME_AGENT_TOKEN; prints each step and its milliseconds.
// An argument says how often (default once).

import assert from 'node:assert/strict';
import { LimeAgent, LimeSite } from 'lime-sdk';

let last = performance.now();

/** Prints `name<TAB>milliseconds`. */
function done(step) {
  const now = performance.now();
  console.log(`${step}\t${(now - last).toFixed(1)}`);
  last = now;
}

const rounds = Number(process.argv[2] ?? 1);
const site = new LimeSite();
const agent = new LimeAgent();
// From here on: nothing that happens while this is busy elsewhere is missed.
const events = site.events({ signal: AbortSignal.timeout(60_000 * rounds) });

try {
  for (let round = 0; round < rounds; round++) {
    const request = await site.createLoginRequest();
    done('request created');

    await agent.login(request.requestId);
    done('challenge solved and approved');

    const { value: event } = await events.next();
    assert.equal(event.requestId, request.requestId);
    assert(event.passport !== null, 'the login request expired');
    done('event received');

    const passport = await site.verifyPassport(event.passport, { expectedRequestId: event.requestId });
    done('passport verified');

    const profile = await agent.getProfile();
    assert.equal(profile.agentId, passport.agentId);
    done('profile read');
  }
} finally {
  await Promise.all([site.close(), agent.close()]);
}
