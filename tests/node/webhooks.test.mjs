// Webhooks, and the middleware of Express and Fastify, with real ones from the sandbox.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import express from 'express';
import fastify from 'fastify';
import { ReplayGuard, signWebhook, verifyWebhook, WebhookVerificationError } from 'lime-sdk';
import { webhook } from 'lime-sdk/express';
import { webhooks } from 'lime-sdk/fastify';
import { closing, sandboxFor } from './help.mjs';

const SECRET = 'whsec_test';
const BODY = '{"approval_id":"ap_1","action":"db.delete","status":"approved","decided_at":"2030-01-01T00:00:00Z"}';
const NOW = new Date('2030-01-01T00:00:10Z');

test('headers and bodies in every shape', () => {
  const signed = signWebhook(BODY, SECRET, { timestamp: NOW });
  const { 'X-Sesame-Signature': signature, 'X-Sesame-Timestamp': timestamp } = signed;
  const options = { now: NOW };
  const shapes = {
    'as signed': signed,
    'in lower case': {
      'x-sesame-signature': signature,
      'x-sesame-timestamp': timestamp,
      host: 'x',
      cookie: ['a', 'b'],
    },
    'a Headers': new Headers(signed),
    'a Map': new Map(Object.entries(signed)),
    pairs: Object.entries(signed),
    lists: { 'x-sesame-signature': [signature], 'x-sesame-timestamp': [timestamp], 'set-cookie': undefined },
    bytes: { 'x-sesame-signature': Buffer.from(signature), 'x-sesame-timestamp': Buffer.from(timestamp) },
    'a number': { 'x-sesame-signature': signature, 'x-sesame-timestamp': Number(timestamp) },
  };
  for (const [name, headers] of Object.entries(shapes)) {
    assert.equal(verifyWebhook(headers, BODY, SECRET, options).approval_id, 'ap_1', name);
  }
  for (const body of [Buffer.from(BODY), new TextEncoder().encode(BODY)]) {
    assert.equal(verifyWebhook(signed, body, [Buffer.from('other'), SECRET], options).status, 'approved');
  }
  assert.deepEqual(signWebhook(BODY, SECRET, { timestamp: NOW.getTime() / 1000 }), signed);
  assert.deepEqual(signWebhook(BODY, SECRET, { timestamp: BigInt(NOW.getTime() / 1000) }), signed);
  assert.equal(verifyWebhook(signWebhook(BODY, SECRET), BODY, SECRET).approval_id, 'ap_1');
});

test('there is one error, whatever is wrong, and it says what', () => {
  const signed = signWebhook(BODY, SECRET, { timestamp: NOW });
  const refused = (headers, body, secret, options) => {
    try {
      verifyWebhook(headers, body, secret, { now: NOW, ...options });
    } catch (error) {
      assert(error instanceof WebhookVerificationError, `${error}`);
      assert.equal(error.code, error.reason);
      assert(!`${error.message}${error.stack}`.includes(SECRET));
      return error;
    }
    return assert.fail('it was let in');
  };
  const parsed = refused(signed, JSON.parse(BODY), SECRET);
  assert.equal(parsed.reason, 'invalid_argument');
  assert.match(parsed.message, /raw bytes of the request, not Object.*express\.raw/);
  const getter = {
    get 'x-sesame-signature'() {
      throw new Error('getter');
    },
  };
  for (const [expected, ...call] of [
    ['invalid_argument', signed, undefined, SECRET],
    ['invalid_argument', signed, null, SECRET],
    ['invalid_argument', null, BODY, SECRET],
    ['invalid_argument', 'headers', BODY, SECRET],
    ['invalid_argument', getter, BODY, SECRET],
    ['invalid_argument', [1, 2], BODY, SECRET],
    ['invalid_argument', signed, BODY, SECRET, { tolerance: Number.NaN }],
    ['invalid_argument', signed, BODY, SECRET, { tolerance: '300' }],
    ['invalid_argument', signed, BODY, SECRET, { now: new Date(Number.NaN) }],
    ['empty_secret', signed, BODY, ''],
    ['empty_secret', signed, BODY, []],
    ['empty_secret', signed, BODY, undefined],
    ['empty_secret', signed, BODY, { toString: () => SECRET }],
    ['missing_header', {}, BODY, SECRET],
    ['malformed_header', { ...signed, 'x-sesame-signature': 'again' }, BODY, SECRET],
    ['mismatch', signed, `${BODY} `, SECRET],
    ['mismatch', signed, BODY, 'another'],
    ['too_old', signed, BODY, SECRET, { now: new Date(NOW.getTime() + 300_001) }],
    ['too_new', signed, BODY, SECRET, { now: NOW.getTime() - 300_001 }],
  ]) {
    assert.equal(refused(...call).reason, expected, `${expected}: ${call.slice(2)}`);
  }
  assert.equal(
    verifyWebhook(signed, BODY, SECRET, { now: NOW.getTime() + 1e12, tolerance: Number.POSITIVE_INFINITY }).status,
    'approved',
  );

  const replayGuard = new ReplayGuard();
  assert.equal(verifyWebhook(signed, BODY, SECRET, { now: NOW, replayGuard }).status, 'approved');
  assert.equal(refused(signed, BODY, SECRET, { replayGuard }).reason, 'replayed');
  assert.equal(replayGuard.forget(BODY), true);
  assert.equal(replayGuard.forget(BODY), false);
  assert.equal(verifyWebhook(signed, BODY, SECRET, { now: NOW, replayGuard }).status, 'approved');
  for (const [timestamp, secret] of [
    [NOW, ''],
    [NOW, '   '],
  ]) {
    assert.throws(() => signWebhook(BODY, secret, { timestamp }), {
      name: 'WebhookVerificationError',
      reason: 'empty_secret',
    });
  }
  assert.throws(() => signWebhook(BODY, SECRET, { timestamp: new Date(Number.NaN) }), { name: 'InvalidArgumentError' });
  assert.throws(() => signWebhook({ a: 1 }, SECRET), WebhookVerificationError);
});

/** The servers, each with the route `/hook`. `handled` is what they have let in. */
const servers = {
  async express(t, options, handle) {
    const app = express();
    app.post('/hook', webhook(options), (request, response) => {
      handle(request.body, request.rawBody);
      response.sendStatus(204);
    });
    app.use(express.json());
    app.post('/json', (request, response) => response.json(request.body));
    app.use((error, _request, response, _next) => response.status(500).json({ error: error.message }));
    return listen(t, http.createServer(app));
  },
  async 'express behind a raw parser'(t, options, handle) {
    const app = express();
    app.use('/hook', express.raw({ type: () => true }));
    app.post('/hook', webhook(options), (request, response) => {
      handle(request.body, request.rawBody);
      response.sendStatus(204);
    });
    app.use(express.json());
    app.post('/json', (request, response) => response.json(request.body));
    app.use((error, _request, response, _next) => response.status(500).json({ error: error.message }));
    return listen(t, http.createServer(app));
  },
  async 'node:http'(t, options, handle) {
    const middleware = webhook(options);
    return listen(
      t,
      http.createServer((request, response) => {
        if (request.url === '/json') {
          request.pipe(response);
          return;
        }
        middleware(request, response, (error) => {
          try {
            if (error) throw error;
            handle(request.body, request.rawBody);
            response.writeHead(204).end();
          } catch {
            response.writeHead(500).end();
          }
        });
      }),
    );
  },
  async fastify(t, options, handle) {
    const app = fastify();
    await app.register(webhooks, { url: '/hook', handler: ({ body }) => handle(body), ...options });
    app.post('/json', (request) => request.body);
    const address = await app.listen({ port: 0, host: '127.0.0.1' });
    t.after(() => app.close());
    return address;
  },
};

async function listen(t, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

for (const [name, serve] of Object.entries(servers)) {
  test(`${name} lets signed webhooks through and nothing else`, async (t) => {
    const sandbox = await sandboxFor(t);
    const handled = [];
    const refused = [];
    let broken = false;
    const replayGuard = new ReplayGuard();
    const options = {
      secret: ['rotated', sandbox.webhookSecret],
      replayGuard,
      limit: 4096,
      onRefused: (error) => refused.push(error.reason),
    };
    const url = await serve(t, options, (payload) => {
      if (broken) throw new Error('cannot be handled');
      handled.push([payload.approval_id, payload.status]);
    });
    const { approvals } = closing(t, sandbox.sesame());
    const approval = await approvals.trigger({ action: 'a', summary: 's', callbackUrl: `${url}/hook` });
    await sandbox.decide(approval);
    const [delivery] = await sandbox.webhooks(approval, { atLeast: 1 });
    assert.deepEqual([delivery.delivered, delivery.status], [true, 204]);
    assert.deepEqual(handled, [[approval.approvalId, 'approved']]);

    const post = async (body, headers = signWebhook(body, sandbox.webhookSecret), type = 'application/json') => {
      const response = await fetch(`${url}/hook`, {
        method: 'POST',
        body,
        headers: { 'content-type': type, ...headers },
      });
      return [response.status, await response.text()];
    };
    assert.deepEqual(await post(delivery.body), [204, ''], 'repeated by the broker');
    assert.equal(handled.length, 1);
    assert.deepEqual(await post(`${delivery.body} `, {}), [400, '{"error":"the webhook is refused"}']);
    assert.equal(
      (await post(delivery.body.replace('approved', 'denied'), signWebhook(delivery.body, sandbox.webhookSecret)))[0],
      400,
    );
    assert.equal((await post(delivery.body, {}))[0], 400);
    assert.equal((await post('', {}))[0], 400);
    assert.deepEqual(refused, ['replayed', 'missing_header', 'mismatch', 'missing_header', 'missing_header']);
    if (name !== 'express behind a raw parser') assert.equal((await post('x'.repeat(5000)))[0], 413);

    // What could not be handled may come once more; whatever it is said to be, its bytes count.
    const { decided_at: decidedAt } = JSON.parse(delivery.body);
    const next = `\ufeff${JSON.stringify({ approval_id: 'ap_2', status: 'denied', decided_at: decidedAt })}`.slice(1);
    broken = true;
    assert.equal((await post(next))[0], 500);
    broken = false;
    for (const type of ['text/plain', 'application/x-www-form-urlencoded']) {
      assert.equal((await post(next, undefined, type))[0], 204, type);
      replayGuard.forget(next);
    }
    assert.deepEqual(handled.slice(1), [
      ['ap_2', 'denied'],
      ['ap_2', 'denied'],
    ]);

    const other = await fetch(`${url}/json`, {
      method: 'POST',
      body: '{"a":1}',
      headers: { 'content-type': 'application/json' },
    });
    assert.deepEqual(await other.json(), { a: 1 }, 'other routes parse as before');
  });
}

test('what a handler answers with 500 or more, or not at all, may come once more', async (t) => {
  const replayGuard = new ReplayGuard();
  const options = { secret: SECRET, replayGuard, now: NOW };
  const answers = [];
  const app = express();
  app.post('/hook', webhook(options), (request, response) => {
    const answer = answers.shift();
    if (answer === 'none') request.socket.destroy();
    else response.status(answer).end();
  });
  const other = fastify({ forceCloseConnections: true });
  await other.register(webhooks, {
    ...options,
    url: '/hook',
    handler: (request, reply) => {
      const answer = answers.shift();
      if (answer === 'none') {
        reply.hijack();
        request.raw.socket.destroy();
      } else reply.code(answer).send();
    },
  });
  t.after(() => other.close());
  for (const url of [await listen(t, http.createServer(app)), await other.listen({ port: 0, host: '127.0.0.1' })]) {
    answers.push(503, 'none', 202);
    const headers = signWebhook(BODY, SECRET, { timestamp: NOW });
    const post = () =>
      fetch(`${url}/hook`, { method: 'POST', body: BODY, headers }).then(
        ({ status }) => status,
        () => 'none',
      );
    assert.deepEqual([await post(), await post(), await post(), await post()], [503, 'none', 202, 204], url);
    assert.deepEqual(answers, []);
    replayGuard.forget(BODY);
  }
});

test('an onRefused that fails ends no process: it is an error of the request', async (t) => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on('unhandledRejection', note);
  t.after(() => process.off('unhandledRejection', note));
  for (const onRefused of [
    () => {
      throw new Error('no audit log');
    },
    async () => {
      throw new Error('no audit log');
    },
  ]) {
    const app = express();
    app.post('/hook', webhook({ secret: SECRET, onRefused }), (_request, response) => response.sendStatus(204));
    app.use((error, _request, response, _next) => response.status(500).json({ message: error.message }));
    const other = fastify();
    await other.register(webhooks, { secret: SECRET, url: '/hook', onRefused, handler() {} });
    t.after(() => other.close());
    for (const url of [await listen(t, http.createServer(app)), await other.listen({ port: 0, host: '127.0.0.1' })]) {
      const response = await fetch(`${url}/hook`, { method: 'POST', body: BODY });
      assert.equal(response.status, 500);
      assert.equal((await response.json()).message, 'no audit log');
    }
  }
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(unhandled, []);
});

test('a body that was parsed is an error that says what to do', async (t) => {
  const app = express();
  app.use(express.json());
  app.post('/hook', webhook({ secret: SECRET }), (_request, response) => response.sendStatus(204));
  app.use((error, _request, response, _next) => response.status(500).json({ error: error.message }));
  const url = await listen(t, http.createServer(app));
  const headers = { 'content-type': 'application/json', ...signWebhook(BODY, SECRET) };
  const response = await fetch(`${url}/hook`, { method: 'POST', body: BODY, headers });
  assert.equal(response.status, 500);
  assert.match((await response.json()).error, /raw bytes of the request, not Object/);
  assert.throws(() => webhook({}), { name: 'InvalidArgumentError' });
  await assert.rejects(webhooks(fastify(), { url: '/hook', handler() {} }), { name: 'InvalidArgumentError' });
  await assert.rejects(webhooks(fastify(), { url: '/hook', secret: SECRET }), { name: 'InvalidArgumentError' });
});
