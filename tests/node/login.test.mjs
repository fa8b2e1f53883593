// The main job: a site and an agent, plainly and through faults.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import { test } from 'node:test';
import * as lime from 'lime-sdk';
import { closing, deferred, sandboxFor, untilOpen } from './help.mjs';

async function signIn(site, agent, events) {
  const request = await site.createLoginRequest();
  assert.equal(request.status, 'PENDING');
  assert(request.expiresAt > new Date());
  const result = await agent.login(request.requestId);
  assert.equal(result.requestId, request.requestId);
  const { value: event } = await events.next();
  assert.equal(event.requestId, request.requestId);
  const passport = await site.verifyPassport(event.passport, { expectedRequestId: event.requestId });
  const profile = await agent.getProfile();
  assert.equal(profile.agentId, passport.agentId);
  assert.equal(result.approvedAgentId, passport.agentId);
  assert.equal(profile.data.agent_id, passport.agentId);
  await assert.rejects(
    site.verifyPassport(event.passport, { expectedRequestId: 'another' }),
    lime.InvalidPassportError,
  );
}

for (const [name, fetch] of [
  ['own transport', undefined],
  ['fetch', (url, init) => globalThis.fetch(url, init)],
]) {
  test(`signs in and through a fault plan: ${name}`, async (t) => {
    const sandbox = await sandboxFor(t);
    const site = closing(t, new lime.LimeSite({ fetch, sseBackoffBase: 10 }));
    const agent = closing(t, new lime.LimeAgent({ fetch }));
    const events = site.events();
    await signIn(site, agent, events);
    await sandbox.fault('approve', { status: 503, headers: { 'retry-after': '0' } });
    await sandbox.fault('events', { action: 'cut' });
    await sandbox.rotateKeys();
    await signIn(site, agent, events);
    assert(site.streamStatus.connections >= 2);
    const approvals = (await sandbox.received('approve')).map((request) => request.status);
    assert.deepEqual(approvals, [200, 503, 200]);
  });
}

test('handlers run one after the other, in order; one that fails is reported and the next one still runs', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const log = [];
  const errors = [];
  const all = deferred();
  site.on('error', (error, event) => errors.push([error?.message ?? error, event.requestId]));
  site.on('login', async ({ requestId }) => {
    log.push(`begin ${requestId}`);
    await new Promise((resolve) => setImmediate(resolve));
    log.push(`end ${requestId}`);
  });
  site.on('login', () => {
    throw new Error('thrown');
  });
  site.on('login', () => Promise.reject(new Error('rejected')));
  // biome-ignore lint/suspicious/noThenProperty: that is what is tested
  site.on('login', () => ({ then: (_, reject) => reject(new Error('thenable')) }));
  site.on('login', () => {
    throw undefined;
  });
  const requests = [];
  site.on('login', ({ requestId }) => {
    log.push(`last ${requestId}`);
    if (log.filter((line) => line.startsWith('last')).length === 5) all.resolve();
  });
  await untilOpen(site);
  for (let number = 0; number < 5; number += 1) requests.push((await site.createLoginRequest()).requestId);
  for (const request of requests) await sandbox.approveLogin(request);
  await all.promise;
  assert.deepEqual(
    log,
    requests.flatMap((request) => [`begin ${request}`, `end ${request}`, `last ${request}`]),
  );
  const failures = ['thrown', 'rejected', 'thenable', undefined];
  assert.deepEqual(
    errors,
    requests.flatMap((request) => failures.map((failure) => [failure, request])),
  );
});

test('a handler that throws at once, alone, is called for the next event too', { timeout: 20_000 }, async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const handled = [];
  let arrived = deferred();
  site.on('error', () => {});
  site.on('login', ({ requestId }) => {
    handled.push(requestId);
    arrived.resolve();
    throw new Error('at once');
  });
  await untilOpen(site);
  const requests = [];
  for (let number = 0; number < 3; number += 1) {
    arrived = deferred();
    const { requestId } = await site.createLoginRequest();
    requests.push(requestId);
    await sandbox.approveLogin(requestId);
    await arrived.promise;
  }
  assert.deepEqual(handled, requests);
});

test('a slow handler does not hold up the stream, and more events than the limit hold up the platform', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ eventQueueLimit: 3 }));
  const release = deferred();
  const handled = [];
  const all = deferred();
  site.on('login', async ({ requestId }) => {
    await release.promise;
    handled.push(requestId);
    if (handled.length === 8) all.resolve();
  });
  await untilOpen(site);
  const requests = [];
  for (let number = 0; number < 8; number += 1) {
    const { requestId } = await site.createLoginRequest();
    requests.push(requestId);
    await sandbox.approveLogin(requestId);
  }
  // Told at once, though its turn has not come.
  assert.notEqual(await site.waitForLogin(requests[1]), null);
  assert(site.streamStatus.events <= 3, `${site.streamStatus.events}`);
  release.resolve();
  await all.promise;
  assert.deepEqual(handled, requests);
  assert.equal(site.streamStatus.events, 8);
});

test('the event loop stays free while the proof of work runs', async (t) => {
  const sandbox = await sandboxFor(t, { difficulty: 60 });
  const site = closing(t, sandbox.site());
  const agent = closing(t, sandbox.agent({ powTimeout: 1000, powDigest: 'seed' }));
  const stages = [];
  const onProgress = ({ stage }) => stage !== stages.at(-1) && stages.push(stage);
  let turns = 0;
  let running = true;
  const turn = () => {
    turns += 1;
    if (running) setImmediate(turn);
  };
  turn();
  t.after(() => {
    running = false;
  });
  // Nobody solves that in a second; what matters is what else happens meanwhile.
  const { requestId } = await site.createLoginRequest();
  await assert.rejects(agent.login(requestId, { onProgress }), { name: 'PowTimeoutError', requestId });
  running = false;
  assert(turns > 50, `${turns}`);
  assert.deepEqual(stages, ['challenge', 'pow']);
  await sandbox.settings({ pow_difficulty: 8 });
  stages.length = 0;
  const seen = [];
  await agent.login((await site.createLoginRequest()).requestId, { onProgress: (progress) => seen.push(progress) });
  const { stage, expected, hashes, left } = seen.at(-1);
  assert.deepEqual([seen[0].stage, stage, expected], ['challenge', 'done', 256]);
  assert(hashes > 0 && left <= 1000);
});

test('closing inside a handler returns; from outside it waits for the handler', async (t) => {
  const sandbox = await sandboxFor(t);
  const agent = closing(t, sandbox.agent());
  for (const inside of [true, false]) {
    const site = sandbox.site();
    const begun = deferred();
    const go = deferred();
    const log = [];
    site.on('login', async () => {
      begun.resolve();
      if (inside) await site.close();
      else await go.promise;
      for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      log.push('handled');
    });
    site.on('login', () => log.push('called after close'));
    await untilOpen(site);
    await agent.login((await site.createLoginRequest()).requestId);
    await begun.promise;
    const closed = site.close().then(() => log.push('closed'));
    go.resolve();
    await closed;
    assert.deepEqual(log, ['handled', 'closed']);
    await assert.rejects(site.createLoginRequest(), { name: 'ClosedError', code: 'CLOSED' });
    assert.equal(site.streamStatus.state, 'closed');
  }
});

test('waiting for one request', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const agent = closing(t, sandbox.agent());
  const [signed, expired, pending] = await Promise.all([1, 2, 3].map(() => site.createLoginRequest()));
  const seen = [];
  const waiting = site.waitForLogin(signed.requestId, { onProgress: (progress) => seen.push(progress) });
  await agent.login(signed.requestId);
  const passport = await waiting;
  assert((await site.verifyPassport(passport, { expectedRequestId: signed.requestId })).agentId);
  assert(seen.length >= 1 && seen[0].left <= 120_000);
  // An event that came before the wait began counts.
  assert.equal(await site.waitForLogin(signed.requestId), passport);
  await sandbox.expire(expired);
  assert.equal(await site.waitForLogin(expired.requestId), null);
  await assert.rejects(site.waitForLogin(pending.requestId, { timeout: 20 }), {
    name: 'TimeoutError',
    kind: 'timeout',
    requestId: pending.requestId,
  });
  const broken = site.waitForLogin(pending.requestId, {
    onProgress: ({ elapsed }) => {
      if (elapsed > 0.001) throw new RangeError('enough');
    },
  });
  await assert.rejects(broken, RangeError);
  assert.equal((await site.readLoginRequest(pending.requestId)).status, 'PENDING');
});

test('a passport is for its login request, also where the keys have to be fetched first', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const { requestId } = await site.createLoginRequest();
  const waiting = site.waitForLogin(requestId);
  await sandbox.approveLogin(requestId);
  const passport = await waiting;
  for (const [expectedRequestId, error] of [
    ['another', lime.InvalidPassportError],
    [requestId, undefined],
  ]) {
    // A client of its own has no keys at hand.
    const verified = closing(t, sandbox.site()).verifyPassport(passport, { expectedRequestId });
    if (error) await assert.rejects(verified, error);
    else assert.equal((await verified).claims.request_id, requestId);
  }
});

test('a refused token is seen in the state, in an error, and where somebody waits', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ siteToken: 'st_wrong' }));
  const states = [];
  site.on('state', ({ state }) => states.push(state));
  const refused = once(site, 'login', { signal: AbortSignal.timeout(30_000) });
  await assert.rejects(refused, { name: 'AuthenticationError', httpStatus: 401 });
  assert.deepEqual(states.at(-1), 'refused');
  assert.equal(site.streamStatus.lastError.name, 'AuthenticationError');
  await assert.rejects(site.waitForLogin('lr_1'), lime.AuthenticationError);
});

test('handlers run in the asynchronous context that the site was made in', async (t) => {
  const sandbox = await sandboxFor(t);
  const storage = new AsyncLocalStorage();
  // Another one is first: what all clients of a thread share is not made in that context.
  closing(t, sandbox.site());
  const site = closing(
    t,
    storage.run('constructor', () => sandbox.site()),
  );
  const seen = deferred();
  storage.run('registration', () => site.on('login', () => seen.resolve(storage.getStore())));
  await untilOpen(site);
  const { requestId } = await storage.run('call', () => site.createLoginRequest());
  await storage.run('approve', () => sandbox.approveLogin(requestId));
  assert.equal(await seen.promise, 'constructor');
});

test('iterators get every event from their beginning on, each at its own pace', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ eventQueueLimit: 4 }));
  const [first, second] = [site.events(), site.events()];
  await untilOpen(site);
  const requests = [];
  const create = async () => {
    const { requestId } = await site.createLoginRequest();
    requests.push(requestId);
    await sandbox.approveLogin(requestId);
  };
  for (let number = 0; number < 4; number += 1) await create();
  const take = async (iterator, count) => {
    const taken = [];
    for (let number = 0; number < count; number += 1) taken.push((await iterator.next()).value.requestId);
    return taken;
  };
  assert.deepEqual(await take(first, 4), requests);
  // The second has taken nothing: there is no place for a fifth.
  await create();
  assert.deepEqual(await take(second, 2), requests.slice(0, 2));
  assert.deepEqual(await take(first, 1), requests.slice(4));
  await second.return();
  assert.deepEqual(await second.next(), { done: true, value: undefined });
  for (let number = 0; number < 4; number += 1) await create();
  assert.deepEqual(await take(first, 4), requests.slice(5));

  const controller = new AbortController();
  const aborted = site.events({ signal: controller.signal });
  const asked = aborted.next();
  controller.abort(new Error('enough'));
  await assert.rejects(asked, { name: 'AbortError', cause: new Error('enough') });
  await assert.rejects(aborted.next(), lime.AbortError);
  await assert.rejects(site.events({ signal: AbortSignal.abort() }).next(), lime.AbortError);

  const last = first.next();
  await site.close();
  assert.deepEqual(await last, { done: true, value: undefined });
  assert.deepEqual(await site.events().next(), { done: true, value: undefined });
});

test('an event is handled when the loop asks for the next one, and not before', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ eventQueueLimit: 2 }));
  const events = site.events();
  await untilOpen(site);
  const requests = [];
  for (let number = 0; number < 4; number += 1) {
    const { requestId } = await site.createLoginRequest();
    requests.push(requestId);
    await sandbox.approveLogin(requestId);
  }
  assert.notEqual(await site.waitForLogin(requests[1]), null);
  assert.equal((await events.next()).value.requestId, requests[0]);
  // The first is being handled, the second waits, the third is read and has no place: the stream is read no further.
  await assert.rejects(site.waitForLogin(requests[3], { timeout: 300 }), { name: 'TimeoutError' });
  assert.equal((await events.next()).value.requestId, requests[1]);
  assert.notEqual(await site.waitForLogin(requests[3]), null);
});

test('an iterator that is asked twice at once gives every place back', { timeout: 20_000 }, async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ eventQueueLimit: 2 }));
  const events = site.events();
  await untilOpen(site);
  // Places for two: one that is not given back in a round is missing in the next one.
  for (let round = 0; round < 3; round += 1) {
    const asked = [events.next(), events.next()];
    const requests = [await site.createLoginRequest(), await site.createLoginRequest()];
    for (const request of requests) await sandbox.approveLogin(request);
    const taken = (await Promise.all(asked)).map(({ value }) => value.requestId);
    assert.deepEqual(
      taken,
      requests.map(({ requestId }) => requestId),
    );
  }
});

test('once, off and removeAllListeners are those of an EventEmitter', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const seen = [];
  const removed = () => seen.push('removed');
  const done = deferred();
  assert.equal(
    site.on('login', removed).once('login', () => seen.push('once')),
    site,
  );
  site.prependListener('login', () => seen.push('first'));
  site.off('login', removed);
  site.addListener('login', () => {
    if (seen.filter((name) => name === 'first').length === 2) done.resolve();
  });
  await untilOpen(site);
  for (let number = 0; number < 2; number += 1) await sandbox.approveLogin(await site.createLoginRequest());
  await done.promise;
  assert.deepEqual(seen, ['first', 'once', 'first']);
  site.removeAllListeners('login');
  assert.equal(site.listenerCount('login'), 0);
  // Each way of adding the first one starts the stream, also where no other handler is added.
  let streams = 1;
  for (const name of ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener']) {
    closing(t, sandbox.site())[name]('login', () => {});
    streams += 1;
    await sandbox.waitForStreams(streams);
  }
});

test('log records go to the logger, and nothing secret is in them or in errors', async (t) => {
  const sandbox = await sandboxFor(t);
  const records = [];
  const logger = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map((level) => [level, (message) => records.push([level, message])]),
  );
  const site = closing(t, sandbox.site({ logger, sseBackoffBase: 1 }));
  const agent = closing(t, sandbox.agent({ logger }));
  const events = site.events();
  await untilOpen(site);
  await sandbox.control('POST', '/events', { raw: 'data: {nonsense\n\n' });
  const { requestId } = await site.createLoginRequest();
  await agent.login(requestId);
  const { value } = await events.next();
  site.on('login', () => {
    throw new Error('boom');
  });
  const told = deferred();
  logger.error = (message) => {
    records.push(['error', message]);
    told.resolve();
  };
  await sandbox.approveLogin(await site.createLoginRequest());
  await told.promise;
  assert(records.some(([level, message]) => level === 'debug' && message.includes('/agent-login/requests')));
  assert(records.some(([level, message]) => level === 'error' && /[Mm]alformed/.test(message)));
  assert(records.some(([level, message]) => level === 'error' && /login handler failed.*boom/.test(message)));
  const text = records.map(([, message]) => message).join('\n');
  const { inspect } = await import('node:util');
  const refused = await sandbox
    .site({ siteToken: `${sandbox.siteToken}x` })
    .createLoginRequest()
    .catch((error) => error);
  const everything = text + inspect([site, agent, refused], { depth: 8, showHidden: true });
  for (const secret of [sandbox.siteToken, sandbox.agentToken, value.passport]) assert(!everything.includes(secret));

  const quiet = [];
  const few = closing(t, sandbox.site({ logger: { warn: (message) => quiet.push(message) } }));
  await few.createLoginRequest();
  assert.deepEqual(quiet, []);
});
