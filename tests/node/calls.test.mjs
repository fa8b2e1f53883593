// Calls one by one: what they refuse, what they fail with, and how they are given up.

import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import * as lime from 'lime-sdk';
import { closing, ROOT, sandboxFor } from './help.mjs';

const require = createRequire(import.meta.url);

test('import and require give the same classes', () => {
  const required = require('lime-sdk');
  for (const name of Object.keys(lime)) assert.equal(lime[name], required[name], name);
  assert.deepEqual(
    Object.keys(required).sort(),
    Object.keys(lime)
      .filter((name) => name !== 'default')
      .sort(),
  );
  const error = new lime.AuthenticationError('no');
  assert(error instanceof required.LimeError && error instanceof Error);
});

test('every kind of error has a class, and no class is of no kind', () => {
  const { native } = require('../../bindings-node/dist/native.js');
  const { CLASSES, fromRaw } = require('../../bindings-node/dist/raw_errors.js');
  const kinds = JSON.parse(native().errorKinds()).map(([, name]) => name);
  assert.deepEqual(Object.keys(CLASSES).sort(), kinds.sort());
  assert.equal(new Set(Object.values(CLASSES)).size, kinds.length);
  const nothing = { code: null, httpStatus: null, detail: null, requestId: null, approvalId: null, retryAfter: null };
  for (const kind of kinds) {
    const error = fromRaw({ kind, message: 'why', ...nothing });
    assert(error instanceof CLASSES[kind]);
    assert.equal(error.name, CLASSES[kind].name);
    assert.equal(lime[error.name], CLASSES[kind], 'it is exported');
    assert.equal(error.kind, kind);
    assert.equal(error.code, kind === 'cancelled' ? 'ABORT_ERR' : kind.toUpperCase());
    assert(error.stack.startsWith(`${error.name}: why`), error.stack);
    assert(!Object.keys(error).includes('name'));
  }
  // One that a newer core has.
  const unknown = fromRaw({ kind: 'unheard_of', message: 'why', ...nothing, code: 'X' });
  assert.deepEqual([unknown.constructor, unknown.kind, unknown.code], [lime.LimeError, 'unheard_of', 'X']);
});

test('missing tokens and settings that make no sense', async () => {
  const environment = ['LIME_SITE_TOKEN', 'LIME_AGENT_TOKEN', 'SESAME_API_KEY'];
  for (const name of environment) delete process.env[name];
  assert.throws(() => new lime.LimeSite(), {
    name: 'AuthenticationError',
    message: /Pass siteToken or set LIME_SITE_TOKEN/,
  });
  assert.throws(() => new lime.LimeAgent(), {
    name: 'AuthenticationError',
    message: /agentToken or set LIME_AGENT_TOKEN/,
  });
  assert.throws(() => new lime.Sesame(), { name: 'AuthenticationError', message: /apiKey or set the SESAME_API_KEY/ });
  const wrong = [
    { timeout: 0 },
    { timeout: -1 },
    { timeout: Number.NaN },
    { timeout: '30' },
    { siteToken: 7 },
    { siteToken: null },
    { siteToken: 'with space' },
    { baseUrl: 'not a url' },
    { postRetry: 'never' },
    { fetch: 'fetch' },
    { logger: console.log },
  ];
  for (const options of wrong) {
    assert.throws(
      () => new lime.LimeSite({ siteToken: 'st_1', ...options }),
      lime.InvalidArgumentError,
      JSON.stringify(options),
    );
  }
  assert.throws(() => new lime.LimeAgent({ agentToken: 'at_1', powDigest: 'md5' }), lime.InvalidArgumentError);
  // Also where the native side finds it out.
  assert.throws(() => new lime.ReplayGuard({ horizon: 'a day' }), lime.InvalidArgumentError);
  for (const options of [{ apiRoot: 7 }, { requireIssuer: 'yes' }, { jwks: undefined }]) {
    assert.throws(() => lime.verifyPassport('a.b.c', { jwks: { keys: [] }, ...options }), lime.InvalidArgumentError);
  }
  const site = new lime.LimeSite({ siteToken: 'st_1', timeout: Number.POSITIVE_INFINITY });
  for (const work of [
    () => site.readLoginRequest(undefined),
    () => site.waitForLogin({}),
    () => site.waitForLogin('lr_1', { timeout: '1' }),
    () => site.waitForLogin('lr_1', { timeout: Number.NaN }),
    () => site.waitForLogin('../../me'),
    () => site.verifyPassport(),
    () => lime.solvePow('abc', 1.5),
    () => lime.solvePow('abc', 1, { digest: 'md5' }),
    () => lime.solvePow('abc', 1, { timeout: -1 }),
  ]) {
    await assert.rejects(work, lime.LimeError, `${work}`);
  }
  await site.close();
  await site.close();
});

test('what is no signal is refused before anything is sent', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const { approvals } = closing(t, sandbox.sesame());
  const approval = await approvals.trigger({ action: 'a', summary: 's' });
  const before = (await sandbox.received()).length;
  // The controller in place of its signal is what people write.
  for (const signal of [new AbortController(), {}, true, 'signal']) {
    for (const call of [
      () => site.createLoginRequest({ signal }),
      () => site.verifyPassport('a.b.c', { signal }),
      () => site.waitForLogin('lr_1', { signal, onProgress() {} }),
      async () => site.events({ signal }),
      () => approval.wait({ signal }),
      () => lime.solvePow('abc', 1, { signal }),
    ]) {
      await assert.rejects(
        call,
        { name: 'InvalidArgumentError', message: /^signal must be an AbortSignal/ },
        `${call}`,
      );
    }
  }
  assert.equal((await sandbox.received()).length, before);
});

test('errors of the platform', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ maxRetries: 0 }));
  await assert.rejects(site.readLoginRequest('lr_unknown'), (error) => {
    assert(error instanceof lime.ApiError);
    assert.equal(error.httpStatus, 404);
    assert.match(error.code, /^[A-Z_]+$/);
    assert.equal(error.requestId, 'lr_unknown');
    // Who has awaited it is in the stack.
    assert.match(error.stack, /at async LimeSite.readLoginRequest/);
    return true;
  });
  await sandbox.fault('create_request', {
    status: 429,
    headers: { 'retry-after': '7' },
    body: '{"ok":false,"error":{"code":"SLOW_DOWN","message":"later","detail":{"limit":5}}}',
  });
  await assert.rejects(site.createLoginRequest(), {
    name: 'RateLimitError',
    code: 'SLOW_DOWN',
    message: 'later',
    httpStatus: 429,
    retryAfter: 7000,
    detail: { limit: 5 },
  });
  await sandbox.fault('create_request', { body: 'no json', status: 200 });
  await assert.rejects(site.createLoginRequest(), { name: 'BadResponseError', httpStatus: 200 });
  const agent = closing(t, sandbox.agent());
  const { requestId } = await site.createLoginRequest();
  await sandbox.fault('approve', { action: 'drop_after' });
  await assert.rejects(agent.login(requestId), { name: 'OutcomeUnknownError', requestId });
  await sandbox.kill();
  await assert.rejects(site.createLoginRequest(), { name: 'TransportError', kind: 'transport' });
});

/** A server that takes requests and never answers. */
async function silence(t) {
  const server = http.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, baseUrl: `http://127.0.0.1:${server.address().port}/api/v1` };
}

/** An approval of a broker that never answers after that. */
async function pendingApproval(t, baseUrl) {
  let first = true;
  const answer = new Response('{"approval_id":"ap_1","status":"pending"}', { status: 202 });
  const own = async (url, init) => {
    if (!first) return fetch(url, init);
    first = false;
    return answer;
  };
  const { approvals } = closing(t, new lime.Sesame({ apiKey: 'sk_1', baseUrl, maxRetries: 0, fetch: own }));
  return approvals.trigger({ action: 'a', summary: 's' });
}

/** A passport whose signing key has to be fetched. */
const UNKNOWN_KEY = `${Buffer.from('{"alg":"RS256","kid":"k"}').toString('base64url')}.e30.AAAA`;

/** What other libraries have as a signal: it can be listened to, and `AbortSignal.any` does not know it. */
class OtherSignal extends EventTarget {
  aborted = false;
  reason = undefined;

  abort(reason) {
    Object.assign(this, { aborted: true, reason });
    this.dispatchEvent(new Event('abort'));
  }
}

test("a call that reports its progress is given up with another library's signal, too", async (t) => {
  const { server, baseUrl } = await silence(t);
  const site = closing(t, new lime.LimeSite({ siteToken: 'st_1', baseUrl, maxRetries: 0 }));
  const agent = closing(t, new lime.LimeAgent({ agentToken: 'at_1', baseUrl, maxRetries: 0, timeout: 10_000 }));
  const asked = await pendingApproval(t, baseUrl);
  for (const call of [
    (signal) => agent.login('lr_1', { signal, onProgress() {} }),
    (signal) => site.waitForLogin('lr_1', { signal, timeout: 10_000, onProgress() {} }),
    (signal) => asked.wait({ signal, timeout: 10_000, onProgress() {} }),
  ]) {
    const signal = new OtherSignal();
    const arrived = once(server, 'request');
    const running = call(signal);
    const [request] = await arrived;
    request.on('error', () => {});
    const reason = new Error(`${call}`);
    signal.abort(reason);
    await assert.rejects(running, { name: 'AbortError', cause: reason }, `${call}`);
    await assert.rejects(call(signal), { name: 'AbortError', cause: reason }, `${call}`);
  }
});

test('a call is given up before, during and after', async (t) => {
  const { server, baseUrl } = await silence(t);
  const site = closing(t, new lime.LimeSite({ siteToken: 'st_1', baseUrl, maxRetries: 0 }));
  const agent = closing(t, new lime.LimeAgent({ agentToken: 'at_1', baseUrl, maxRetries: 0 }));
  const sesame = closing(t, new lime.Sesame({ apiKey: 'sk_1', baseUrl, maxRetries: 0 }));
  const { approvals } = sesame;
  const asked = await pendingApproval(t, baseUrl);
  const calls = {
    createLoginRequest: (signal) => site.createLoginRequest({ signal }),
    readLoginRequest: (signal) => site.readLoginRequest('lr_1', { signal }),
    waitForLogin: (signal) => site.waitForLogin('lr_1', { signal }),
    login: (signal) => agent.login('lr_1', { signal }),
    'login with progress': (signal) => agent.login('lr_1', { signal, onProgress() {} }),
    getProfile: (signal) => agent.getProfile({ signal }),
    trigger: (signal) => approvals.trigger({ action: 'a', summary: 's' }, { signal }),
    get: (signal) => approvals.get('ap_1', { signal }),
    wait: (signal) => asked.wait({ signal }),
    'wait with progress': (signal) => asked.wait({ signal, onProgress() {} }),
    refresh: (signal) => asked.refresh({ signal }),
    verifyPassport: (signal) => site.verifyPassport(UNKNOWN_KEY, { signal }),
  };
  const about = {
    ...Object.fromEntries(['readLoginRequest', 'waitForLogin', 'login'].map((name) => [name, { requestId: 'lr_1' }])),
    ...Object.fromEntries(['get', 'wait', 'refresh'].map((name) => [name, { approvalId: 'ap_1' }])),
  };
  for (const [name, call] of Object.entries(calls)) {
    const reason = new Error(`${name} is not wanted any more`);
    let requests = 0;
    const count = () => {
      requests += 1;
    };
    if (name !== 'waitForLogin') server.on('request', count);
    await assert.rejects(call(AbortSignal.abort(reason)), (error) => {
      assert.deepEqual([error.name, error.code, error.cause], ['AbortError', 'ABORT_ERR', reason], name);
      assert(error instanceof lime.AbortError);
      return true;
    });
    assert.equal(requests, 0, `${name}: nothing is sent`);
    server.off('request', count);

    const controller = new AbortController();
    const arrived = once(server, 'request');
    const running = call(controller.signal);
    const [request] = await arrived;
    // The event stream is shared, and goes on.
    request.on('error', () => {});
    const gone = name === 'waitForLogin' ? undefined : new Promise((resolve) => request.once('close', resolve));
    controller.abort(reason);
    await assert.rejects(running, { name: 'AbortError', cause: reason, ...about[name] });
    await gone;
    assert.deepEqual(getEventListeners(controller.signal, 'abort'), [], name);
  }

  const sandbox = await sandboxFor(t);
  const real = closing(t, sandbox.site());
  const controller = new AbortController();
  const made = await real.createLoginRequest({ signal: controller.signal });
  assert.deepEqual(getEventListeners(controller.signal, 'abort'), []);
  controller.abort();
  assert.equal((await real.readLoginRequest(made.requestId)).status, 'PENDING');
  await assert.rejects(real.createLoginRequest({ signal: controller.signal }), lime.AbortError);
  await assert.rejects(real.verifyPassport('a.b.c', { signal: controller.signal }), lime.AbortError);
  await assert.rejects(
    real.createLoginRequest({ signal: AbortSignal.abort() }),
    (error) => error.cause.name === 'AbortError',
  );
});

test('aborting stops a proof of work', async () => {
  const { cpuUsage } = process;
  const controller = new AbortController();
  const search = lime.solvePow('abc', 200, { timeout: 600_000, signal: controller.signal });
  // It is running when the process uses more time than this thread does.
  const began = cpuUsage();
  while (cpuUsage(began).user < 20_000) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await assert.rejects(search, lime.AbortError);
  // With one permit to a core, searches that went on would leave none for these.
  const signal = AbortSignal.timeout(60_000);
  for (let number = 0; number < 64; number += 1) {
    const other = new AbortController();
    const given = lime.solvePow('abc', 200, { timeout: 600_000, signal: other.signal });
    setImmediate(() => other.abort());
    await assert.rejects(given, lime.AbortError);
  }
  assert.equal(await lime.solvePow('abc', 8, { signal }), await lime.solvePow('abc', 8, { threads: 4, signal }));
});

test('many calls at once, and one signal for all of them', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site());
  const warnings = [];
  const warned = (warning) => warnings.push(warning);
  process.on('warning', warned);
  t.after(() => process.off('warning', warned));
  const controller = new AbortController();
  const made = await Promise.all(
    Array.from({ length: 200 }, () => site.createLoginRequest({ signal: controller.signal })),
  );
  assert.equal(new Set(made.map(({ requestId }) => requestId)).size, 200);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(warnings, []);
});

test('what a block uses is closed at its end', async (t) => {
  await sandboxFor(t);
  for (const [client, call] of [
    [new lime.LimeSite(), (site) => site.createLoginRequest()],
    [new lime.LimeAgent(), (agent) => agent.getProfile()],
    [new lime.Sesame(), (sesame) => sesame.approvals.get('appr_1')],
    [new lime.TokenVerifier({ expectedDomain: 'tools.example.com' }), (verifier) => verifier.warmUp()],
  ]) {
    // What `await using` calls, which Node 20 does not know.
    await client[Symbol.asyncDispose]();
    await assert.rejects(call(client), { name: 'ClosedError' }, client.constructor.name);
  }
});

test('no memory of the library is lent to JavaScript', () => {
  // Electron and whoever else keeps pointers in a sandbox has no buffers that point outside.
  const binary = readFileSync(path.join(ROOT, 'bindings-node/lime.node'));
  assert(binary.includes('napi_create_string_utf8'), 'names are there');
  assert(!binary.includes('napi_create_external'));
});
