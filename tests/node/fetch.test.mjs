// The host's own client: every byte goes through the given function.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { test } from 'node:test';
import * as lime from 'lime-sdk';
import { closing, deferred, sandboxFor, untilOpen } from './help.mjs';

const JSON_TYPE = { 'content-type': 'application/json' };

test('every request goes through it, the event stream too, and nothing beside it', async (t) => {
  const sandbox = await sandboxFor(t);
  const seen = [];
  const fetch = (url, init) => {
    seen.push([init.method, new URL(url).pathname, init]);
    return globalThis.fetch(url.replace('nowhere.invalid', new URL(sandbox.apiBase).host), init);
  };
  const [siteUrl, sesameUrl] = ['http://nowhere.invalid/api/v1', 'http://nowhere.invalid'];
  const site = closing(t, sandbox.site({ fetch, baseUrl: siteUrl }));
  const agent = closing(t, sandbox.agent({ fetch, baseUrl: siteUrl }));
  const sesame = closing(t, sandbox.sesame({ fetch, baseUrl: sesameUrl }));
  await sandbox.autoApprove('*');
  const events = site.events();
  const { requestId } = await site.createLoginRequest();
  await agent.login(requestId);
  const { value } = await events.next();
  // The issuer is the sandbox's own address: so far the keys were fetched.
  await assert.rejects(site.verifyPassport(value.passport), lime.InvalidPassportError);
  await agent.getProfile();
  const approval = await sesame.approvals.trigger({ action: 'a', summary: 's' });
  await approval.wait();
  assert(approval.approved);
  const paths = new Set(seen.map(([method, path]) => `${method} ${path.replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'ID')}`));
  for (const wanted of [
    'POST /api/v1/modules/agent-login/requests',
    'GET /api/v1/modules/agent-login/events',
    'GET /api/v1/auth/requests/ID',
    'POST /api/v1/modules/agent-login/requests/ID/approve',
    'GET /api/v1/core/agents/me/profile',
    'GET /api/v1/core/.well-known/jwks.json',
    'POST /v1/approvals',
    'GET /v1/approvals/ID',
  ]) {
    assert(paths.has(wanted), `${wanted} of ${[...paths]}`);
  }
  assert(seen.every(([, , init]) => init.redirect === 'manual' && init.signal instanceof AbortSignal));
  // What the sandbox has seen came through it, every time.
  const arrived = (await sandbox.received()).filter(
    ({ headers }) => !JSON.stringify(headers).includes('user-agent":"node'),
  );
  assert.deepEqual(arrived, []);
});

test('its failures are causes: the network is tried again, a bug is not', async (t) => {
  const sandbox = await sandboxFor(t);
  const failures = [];
  let failure;
  const fetch = () => {
    const error = failure();
    failures.push(error);
    return Promise.reject(error);
  };
  const site = closing(t, sandbox.site({ fetch, maxRetries: 1 }));
  const network = (code) => () => new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });
  const cases = [
    [network('ECONNREFUSED'), 2, 'transport'],
    [network('ECONNRESET'), 2, 'transport'],
    [network('UND_ERR_CONNECT_TIMEOUT'), 2, 'transport_timeout'],
    [() => new DOMException('too slow', 'TimeoutError'), 2, 'transport_timeout'],
    [() => new TypeError('Failed to fetch'), 2, 'transport'],
    [() => new ReferenceError('bug'), 1, 'transport'],
    [() => new TypeError('undefined is not a function'), 1, 'transport'],
    [() => 'a text', 1, 'transport'],
  ];
  for (const [make, attempts, kind] of cases) {
    failures.length = 0;
    failure = make;
    await assert.rejects(site.readLoginRequest('lr_1'), (error) => {
      assert.equal(error.kind, kind, `${error}`);
      assert.equal(error.cause, failures.at(-1));
      return true;
    });
    assert.equal(failures.length, attempts, `${make}`);
  }
  // What has not left may be sent again, also where a human would be asked twice otherwise.
  const { approvals } = closing(t, sandbox.sesame({ fetch, maxRetries: 1 }));
  for (const [code, attempts, name] of [
    ['ECONNREFUSED', 2, 'TransportError'],
    ['ECONNRESET', 1, 'OutcomeUnknownError'],
  ]) {
    failures.length = 0;
    failure = network(code);
    await assert.rejects(approvals.trigger({ action: 'a', summary: 's' }), (error) => {
      assert.deepEqual([error.name, error.cause], [name, failures.at(-1)]);
      return true;
    });
    assert.equal(failures.length, attempts, code);
  }
  const nonsense = [
    null,
    {},
    { status: 200, headers: [], body: { getReader: null } },
    { status: 99, headers: [], body: null },
  ];
  for (const answer of nonsense) {
    const odd = closing(t, sandbox.site({ fetch: async () => answer, maxRetries: 0 }));
    await assert.rejects(odd.createLoginRequest(), lime.LimeError);
  }
  const thrower = closing(
    t,
    sandbox.site({
      fetch: () => {
        throw new Error('thrown, not rejected');
      },
    }),
  );
  await assert.rejects(thrower.createLoginRequest(), (error) => error.cause.message === 'thrown, not rejected');
});

test('an abort and a timeout reach its signal, and closing ends the stream', async (t) => {
  const sandbox = await sandboxFor(t);
  const signals = [];
  const begun = [deferred(), deferred()];
  const fetch = (_url, { signal }) => {
    signals.push(signal);
    begun[signals.length - 1]?.resolve();
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  const site = closing(t, sandbox.site({ fetch, maxRetries: 0, timeout: 30_000 }));
  const controller = new AbortController();
  const given = site.createLoginRequest({ signal: controller.signal });
  await begun[0].promise;
  controller.abort();
  await assert.rejects(given, lime.AbortError);
  assert(signals[0].aborted);

  const hasty = closing(t, sandbox.site({ fetch, maxRetries: 0, timeout: 20 }));
  await assert.rejects(hasty.createLoginRequest(), { kind: 'transport_timeout' });
  assert(signals[1].aborted);

  const ended = deferred();
  let streamed;
  const streaming = closing(
    t,
    sandbox.site({
      fetch: async (url, init) => {
        const response = await globalThis.fetch(url, init);
        if (url.endsWith('/events')) {
          streamed = init.signal;
          init.signal.addEventListener('abort', ended.resolve);
        }
        return response;
      },
    }),
  );
  streaming.on('login', () => {});
  await untilOpen(streaming);
  await streaming.close();
  assert(streamed.aborted, 'when it is closed, and not some time later');
  await ended.promise;
});

test('a body that never runs dry leaves the loop its turns', { timeout: 20_000 }, async (t) => {
  const sandbox = await sandboxFor(t);
  let pieces = 0;
  const body = async function* () {
    for (;;) {
      pieces += 1;
      yield ':\n';
    }
  };
  const headers = [['content-type', 'text/event-stream']];
  const site = closing(t, sandbox.site({ fetch: async () => ({ status: 200, headers, body: body() }) }));
  site.on('login', () => {});
  while (pieces < 1000) await new Promise((resolve) => setImmediate(resolve));
  await site.close();
});

test('one that does not heed its signal holds up nothing', { timeout: 20_000 }, async (t) => {
  const sandbox = await sandboxFor(t);
  const never = () => new Promise(() => {});
  const begun = deferred();
  const silent = sandbox.site({
    timeout: 20,
    maxRetries: 0,
    fetch: () => {
      begun.resolve();
      return never();
    },
  });
  silent.on('login', () => {});
  await begun.promise;
  await assert.rejects(silent.createLoginRequest(), { kind: 'transport_timeout' });
  await silent.close();

  const ended = deferred();
  const body = async function* () {
    try {
      yield ': here I am\n\n';
      await never();
    } finally {
      ended.resolve();
    }
  };
  const headers = [['content-type', 'text/event-stream']];
  const stuck = sandbox.site({ fetch: async () => ({ status: 200, headers, body: body() }) });
  stuck.on('login', () => {});
  await untilOpen(stuck);
  await stuck.close();

  // What comes too late is not left open.
  const late = deferred();
  const asked = deferred();
  const tardy = sandbox.site({
    fetch: () => {
      asked.resolve();
      return late.promise;
    },
  });
  tardy.on('login', () => {});
  await asked.promise;
  await tardy.close();
  const cancelled = deferred();
  late.resolve({ status: 200, headers, body: new ReadableStream({ cancel: cancelled.resolve }) });
  await cancelled.promise;
});

test('a body that comes faster than it is read is paused, and one without end is refused', async (t) => {
  const sandbox = await sandboxFor(t);
  let pulled = 0;
  let cancelled = false;
  const held = deferred();
  const frame = (number) => `data: {"type":"expired","login_request_id":"lr_${number}"}\n\n`;
  const body = () =>
    new ReadableStream(
      {
        pull(controller) {
          pulled += 1;
          const lines = Array.from({ length: 64 }, (_, number) => frame(pulled * 64 + number)).join('');
          controller.enqueue(new TextEncoder().encode(`:${' '.repeat(60_000)}\n\n${lines}`));
        },
        cancel() {
          cancelled = true;
          held.resolve();
        },
      },
      { highWaterMark: 0 },
    );
  const fetch = async () => new Response(body(), { headers: { 'content-type': 'text/event-stream' } });
  const site = closing(t, sandbox.site({ fetch, eventQueueLimit: 10 }));
  const events = site.events();
  const first = await events.next();
  assert.equal(first.done, false);
  // Nobody takes the next one: it comes to rest, long before there are megabytes.
  let before;
  do {
    before = pulled;
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (pulled !== before);
  assert(pulled < 64, `${pulled} pieces of 64 KiB`);
  for (let number = 0; number < 2000; number += 1) assert.equal((await events.next()).done, false);
  assert(pulled > before, 'it goes on when there is room');
  await site.close();
  await held.promise;
  assert(cancelled);

  const endless = closing(
    t,
    sandbox.site({
      maxRetries: 0,
      fetch: async () => new Response(body(), { headers: JSON_TYPE }),
    }),
  );
  await assert.rejects(endless.createLoginRequest(), { kind: 'bad_response' });
});

test('it runs in the asynchronous context of the call', async (t) => {
  const sandbox = await sandboxFor(t);
  const storage = new AsyncLocalStorage();
  const seen = [];
  const fetch = (url, init) => {
    seen.push([storage.getStore(), new URL(url).pathname.split('/').at(-1)]);
    return globalThis.fetch(url, init);
  };
  const site = storage.run('constructor', () => sandbox.site({ fetch }));
  closing(t, site);
  await storage.run('call', () => site.createLoginRequest());
  site.on('login', () => {});
  await untilOpen(site);
  assert.deepEqual(seen.slice(0, 2), [
    ['call', 'requests'],
    ['constructor', 'events'],
  ]);
  // It asks for the request by itself, when the stream is open.
  assert(seen.slice(2).every(([context]) => context === 'constructor'));
});

test('bodies may be streams of any kind, and headers are bytes', async (t) => {
  const sandbox = await sandboxFor(t);
  const made = JSON.stringify({
    ok: true,
    data: { login_request_id: 'lr_ü', status: 'PENDING', expires_at: '2030-01-01T00:00:00Z' },
  });
  const bodies = [
    new Response(made).body,
    (async function* () {
      for (const byte of Buffer.from(made)) yield Uint8Array.of(byte);
    })(),
    (async function* () {
      yield made;
    })(),
  ];
  for (const body of bodies) {
    const fetch = async () => ({
      status: 200,
      headers: new Map([
        ['x-odd', 'caf\u00e9'],
        ['x-odder', '\u0100'],
      ]),
      body,
    });
    const site = closing(t, sandbox.site({ fetch }));
    const { requestId, expiresAt } = await site.createLoginRequest();
    assert.deepEqual([requestId, expiresAt], ['lr_ü', new Date('2030-01-01T00:00:00Z')]);
  }
});

test('the least time between two polls is the one that is given', async (t) => {
  const sandbox = await sandboxFor(t);
  let polls = 0;
  const answer = () => new Response('{"approval_id":"ap_1","status":"pending"}', { status: 200, headers: JSON_TYPE });
  const fetch = async (_url, { method }) => {
    if (method === 'GET') polls += 1;
    return answer();
  };
  const { approvals } = closing(t, sandbox.sesame({ fetch }));
  const approval = await approvals.get('ap_1');
  for (const [pollInterval, enough] of [
    [0, () => polls > 1],
    [Number.POSITIVE_INFINITY, () => polls === 1],
  ]) {
    polls = 0;
    await assert.rejects(approval.wait({ timeout: 300, pollInterval }), { name: 'TimeoutError' });
    assert(enough(), `${polls} polls, not closer than ${pollInterval} ms`);
  }
});
