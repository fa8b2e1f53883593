// What the event stream did not bring, and what it brought twice.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as lime from 'lime-sdk';
import { closing, deferred, sandboxFor, untilOpen } from './help.mjs';

/** Lets an agent sign in, loses the event, and breaks the stream. */
async function loseALogin(sandbox, requestId) {
  await sandbox.fault('events', { action: 'lose' });
  await sandbox.approveLogin(requestId);
  await sandbox.control('GET', `/login-requests/${requestId}?status=DELIVERED&wait_ms=30000`);
  await sandbox.disconnect({ abort: true });
}

test('a login that was lost is reported', async (t) => {
  const sandbox = await sandboxFor(t);
  const logged = [];
  const logger = { error: (text) => logged.push(text) };
  const site = closing(t, sandbox.site({ logger, sseBackoffBase: 10 }));
  site.on('login', () => {});
  await untilOpen(site);
  const failures = [];
  const gaps = [deferred(), deferred()];
  let count = 0;
  site.on('gap', (gap) => gaps[count++].resolve(gap));
  site.on('gap', () => {
    throw new Error('at once');
  });
  site.on('gap', async () => {
    throw new Error('later');
  });
  const { requestId } = await site.createLoginRequest();
  await loseALogin(sandbox, requestId);
  await assert.rejects(site.waitForLogin(requestId), {
    name: 'OutcomeUnknownError',
    code: 'LOGIN_EVENT_LOST',
    requestId,
  });
  assert.deepEqual(await gaps[0].promise, { requestIds: [requestId] });
  assert.ok(logged.some((text) => text.includes(requestId)));
  // Who has a logger hears there of handlers that fail; who listens for errors, there.
  while (logged.filter((text) => text.startsWith('A gap handler failed')).length < 2) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  site.on('error', (error) => failures.push(error.message));
  const again = await site.createLoginRequest();
  await loseALogin(sandbox, again.requestId);
  assert.deepEqual(await gaps[1].promise, { requestIds: [again.requestId] });
  while (failures.length < 2) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(failures.toSorted(), ['at once', 'later']);
  assert.ok(lime.OutcomeUnknownError.prototype instanceof lime.LimeError);
});

test('an expiry that was lost is asked for, and what is sent twice is told once', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ sseBackoffBase: 10 }));
  const events = site.events();
  await untilOpen(site);
  const { requestId } = await site.createLoginRequest();
  await sandbox.fault('events', { action: 'lose' });
  await sandbox.expire(requestId);
  const undelivered = async () => (await sandbox.control('GET', '/streams')).sites.some((found) => found.undelivered);
  while (await undelivered());
  await sandbox.disconnect({ abort: true });
  assert.deepEqual((await events.next()).value, { requestId, passport: null });
  await sandbox.fault('events', { action: 'repeat' });
  for (let turn = 0; turn < 3; turn += 1) {
    const next = await site.createLoginRequest();
    await sandbox.expire(next);
    assert.deepEqual((await events.next()).value, { requestId: next.requestId, passport: null });
  }
});
