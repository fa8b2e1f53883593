// The sandbox as users' tests use it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { requireApproval } from 'lime-sdk';
import { findSandbox, LimeSandbox, SandboxError, SandboxTimeoutError } from 'lime-sdk/testing';
import { closing, run, sandboxFor } from './help.mjs';

test('it starts, says where it is, and ends', async () => {
  const sandbox = await LimeSandbox.start({ requestTtl: 1500, siteToken: 'st_mine' });
  assert.equal(sandbox.siteToken, 'st_mine');
  assert.equal((await sandbox.settings()).request_ttl_seconds, 1.5);
  assert(sandbox.running);
  const other = await LimeSandbox.connect(sandbox.controlUrl);
  assert.equal(other.siteToken, 'st_mine');
  await other.close();
  assert(sandbox.running, 'it was only connected to');
  await assert.rejects(other.kill(), SandboxError);
  await sandbox.close();
  await sandbox.close();
  assert(!sandbox.running);
  await assert.rejects(sandbox.reset(), SandboxError);
});

test('it ends with a program that forgets it, and does not keep it alive', async () => {
  const [code, out, errors] = await run(`
    import { LimeSandbox } from 'lime-sdk/testing';
    console.log((await LimeSandbox.start()).controlUrl);`);
  assert.deepEqual([code, errors], [0, '']);
  await assert.rejects(LimeSandbox.connect(out.trim()), /no sandbox answers/);
});

test('approvals are decided by rule, by hand and by time', async (t) => {
  const sandbox = await sandboxFor(t);
  const { approvals } = closing(t, sandbox.sesame());
  const ask = (action) => approvals.trigger({ action, summary: 's' });
  const rule = await sandbox.autoApprove('payments.*', { note: 'by rule', delay: 10 });
  await sandbox.deny('db.*', { count: 1 });
  assert.deepEqual(
    [(await (await ask('payments.refund')).wait()).note, (await (await ask('db.drop')).wait()).status],
    ['by rule', 'denied'],
  );
  await rule.remove();
  await rule.remove();
  const pending = [await ask('payments.refund'), await ask('db.drop'), await ask('x')];
  assert.deepEqual(
    (await sandbox.approvals({ status: 'pending' })).map(({ action }) => action),
    ['payments.refund', 'db.drop', 'x'],
  );
  await sandbox.decide(pending[0]);
  await sandbox.decide(pending[1].approvalId, 'denied', { note: 'by hand' });
  await sandbox.expire(pending[2]);
  const decided = await Promise.all(pending.map((approval) => approval.wait()));
  assert.deepEqual(
    decided.map(({ status, note }) => [status, note]),
    [
      ['approved', undefined],
      ['denied', 'by hand'],
      ['expired', undefined],
    ],
  );
  await assert.rejects(sandbox.decide(pending[0]), { name: 'SandboxError', httpStatus: 409 });
  const last = await ask('x');
  await sandbox.advance(3_601_000);
  assert.equal((await last.wait()).status, 'expired');
  await assert.rejects(sandbox.approvals({ atLeast: 99, timeout: 10 }), SandboxTimeoutError);
});

test('logins, streams, keys, faults and what was received', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, sandbox.site({ sseBackoffBase: 10, maxRetries: 0 }));
  const agent = closing(t, sandbox.agent());
  const events = site.events();
  await sandbox.waitForStreams(1);
  const request = await site.createLoginRequest();
  await sandbox.approveLogin(request);
  const { value } = await events.next();
  const claims = (await site.verifyPassport(value.passport)).claims;
  await sandbox.rotateKeys({ keepOld: true });
  await sandbox.disconnect({ abort: true });
  await sandbox.waitForStreams(1);
  const second = await site.createLoginRequest();
  await agent.login(second.requestId);
  const passport = (await events.next()).value.passport;
  assert.equal((await site.verifyPassport(passport)).agentId, claims.agent_id);
  await sandbox.expire(await site.createLoginRequest());
  assert.equal((await events.next()).value.passport, null);

  const fault = await sandbox.fault('create_request', { status: 500, count: 0 });
  for (let round = 0; round < 2; round += 1) await assert.rejects(site.createLoginRequest(), { httpStatus: 500 });
  await fault.remove();
  await site.createLoginRequest();
  const statuses = (await sandbox.received('create_request', { atLeast: 6 })).map(({ status }) => status);
  assert.deepEqual(statuses.slice(-3), [500, 500, 201]);
  await assert.rejects(sandbox.fault('nowhere'), { name: 'SandboxError', httpStatus: 400 });
  await sandbox.reset();
  assert.deepEqual(await sandbox.received(), []);
});

test('the environment is put back, and the shared client with it', async (t) => {
  process.env.LIME_API_BASE = 'http://before.invalid';
  delete process.env.SESAME_API_KEY;
  const sandbox = await LimeSandbox.start();
  t.after(() => sandbox.close());
  const gated = requireApproval('a', () => 'ran');
  const restore = sandbox.useEnvironment();
  assert.equal(process.env.LIME_API_BASE, sandbox.apiBase);
  await sandbox.autoApprove('*');
  assert.equal(await gated(), 'ran');
  restore();
  assert.deepEqual([process.env.LIME_API_BASE, process.env.SESAME_API_KEY], ['http://before.invalid', undefined]);
  await assert.rejects(gated(), { name: 'AuthenticationError' });
  delete process.env.LIME_API_BASE;
});

test('nothing is decided for anybody but a sandbox', async (t) => {
  const sandbox = await LimeSandbox.start();
  t.after(() => sandbox.close());
  for (const url of [
    'https://getsesame.dev',
    'http://10.0.0.1/_sandbox',
    'nonsense',
    'http://127.evil.example/_sandbox',
  ]) {
    await assert.rejects(LimeSandbox.connect(url), SandboxError, url);
  }
  const impostor = http.createServer((_request, response) => response.end('{"site_token":"st_x"}'));
  impostor.listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  t.after(() => impostor.close());
  await assert.rejects(LimeSandbox.connect(`http://127.0.0.1:${impostor.address().port}/_sandbox`), /is not a sandbox/);
  process.env.SESAME_BROKER_URL = 'https://getsesame.dev';
  t.after(() => delete process.env.SESAME_BROKER_URL);
  await assert.rejects(sandbox.autoApprove(), /SESAME_BROKER_URL is https.*real people/);
  delete process.env.SESAME_BROKER_URL;
  process.env.SESAME_API_KEY = 'sk_somebodys';
  t.after(() => delete process.env.SESAME_API_KEY);
  await assert.rejects(sandbox.autoApprove(), /is not set.*real people/);
  process.env.SESAME_API_KEY = sandbox.sesameApiKey;
  await sandbox.autoApprove();
});

test('a missing or broken sandbox says what to do', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'lime-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  t.after(() => delete process.env.LIME_SANDBOX_BINARY);
  assert.match(findSandbox(), /lime-sandbox$/);
  process.env.LIME_SANDBOX_BINARY = path.join(folder, 'nothing');
  await assert.rejects(LimeSandbox.start(), /which is no program/);
  const program = path.join(folder, 'program');
  for (const [source, why] of [
    ['echo "it has no port" >&2; exit 1', /did not start: it has no port/],
    ['echo no json', /did not start/],
    ['exit 0', /did not start: it said nothing/],
  ]) {
    writeFileSync(program, `#!/bin/sh\n${source}\n`);
    chmodSync(program, 0o755);
    await assert.rejects(LimeSandbox.start({ binary: program }), why);
  }
  await assert.rejects(LimeSandbox.start({ binary: path.join(folder, 'nothing') }), /did not start/);
  await assert.rejects(LimeSandbox.start({ platform: 'tomorrow' }), SandboxError);
});
