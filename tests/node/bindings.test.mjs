// An agent is connected with an account: asked for, completed by a person, exchanged once, verified.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as lime from 'lime-sdk';
import { closing, sandboxFor } from './help.mjs';

const redirectUri = 'https://shop.example/bind?step=2';

/** A binding and the code that its person came back with. */
async function completed(sandbox, site) {
  const request = await site.createBindingRequest({ redirectUri });
  const url = await sandbox.completeBinding(request);
  assert(url.startsWith(`${redirectUri}&binding_code=`), url);
  return [request, new URL(url).searchParams.get('binding_code')];
}

for (const [name, fetch] of [
  ['own transport', undefined],
  ['fetch', (url, init) => globalThis.fetch(url, init)],
]) {
  test(`an agent is connected: ${name}`, async (t) => {
    const sandbox = await sandboxFor(t);
    const site = closing(t, new lime.LimeSite({ fetch }));
    const [request, code] = await completed(sandbox, site);
    assert.equal(request.status, 'PENDING');
    assert(request.expiresAt > new Date());
    assert(request.connectUrl.endsWith(`/connect/?binding_id=${request.bindingId}`));
    const passport = await site.exchangeBindingCode(code);
    // The second time the key is at hand.
    for (const expectedBindingId of [request.bindingId, undefined]) {
      const { agentId, claims } = await site.verifyBindingPassport(passport, { expectedBindingId });
      assert.equal(agentId, (await sandbox.control('GET', '/info')).agent_id);
      assert.equal(claims.binding_id, request.bindingId);
      assert(claims.user_id);
    }
    await assert.rejects(site.verifyBindingPassport(passport, { expectedBindingId: 'br_other' }), {
      name: 'InvalidPassportError',
      message: /binding_id/,
    });
    await assert.rejects(site.verifyPassport(passport), { name: 'InvalidPassportError', message: /audience/ });
    await assert.rejects(site.exchangeBindingCode(code), {
      name: 'ApiError',
      code: 'INVALID_BINDING_CODE',
      httpStatus: 400,
    });
  });
}

test('what cannot be', async (t) => {
  const sandbox = await sandboxFor(t);
  const site = closing(t, new lime.LimeSite({ maxRetries: 1 }));
  for (const uri of ['', 'http://shop.example/', 'javascript:alert(1)']) {
    await assert.rejects(site.createBindingRequest({ redirectUri: uri }), {
      name: 'ApiError',
      code: 'VALIDATION_ERROR',
    });
  }
  await assert.rejects(site.createBindingRequest({}), lime.InvalidArgumentError);
  await assert.rejects(site.exchangeBindingCode(7), lime.InvalidArgumentError);
  await assert.rejects(site.verifyBindingPassport('a.b.c', { expectedBindingId: 7 }), lime.InvalidArgumentError);
  await assert.rejects(site.verifyBindingPassport('a.b.c', { signal: AbortSignal.abort() }), lime.AbortError);
  const [, code] = await completed(sandbox, site);
  await sandbox.fault('exchange_binding', { action: 'drop_after' });
  await assert.rejects(site.exchangeBindingCode(code), lime.OutcomeUnknownError);
  const request = await site.createBindingRequest({ redirectUri });
  await sandbox.expire(request);
  await assert.rejects(sandbox.completeBinding(request.bindingId), { name: 'SandboxError', httpStatus: 409 });
});

test('agents and tokens of today', async (t) => {
  const sandbox = await sandboxFor(t);
  const agent = closing(t, new lime.LimeAgent({ maxRetries: 0 }));
  const site = closing(t, new lime.LimeSite({ maxRetries: 0 }));
  const { agent_id: agentId } = await sandbox.control('GET', '/info');
  const refused = async (kind, parent, name, code) => {
    const error = await agent.getProfile().catch((caught) => caught);
    assert(error instanceof kind && error instanceof parent);
    assert.deepEqual([error.name, error.code], [name, code]);
  };
  await sandbox.control('POST', `/agents/${agentId}/suspend-user`);
  const authentication = lime.AuthenticationError;
  await refused(lime.AgentUserSuspendedError, authentication, 'AgentUserSuspendedError', 'AGENT_USER_SUSPENDED');
  await sandbox.control('POST', `/agents/${agentId}/deactivate`);
  await refused(lime.AgentInactiveError, authentication, 'AgentInactiveError', 'AGENT_INACTIVE');
  await sandbox.control('PUT', '/settings', { auth_unavailable: true });
  await refused(lime.AuthUnavailableError, lime.ApiError, 'AuthUnavailableError', 'AUTH_UNAVAILABLE');
  const error = await site.createLoginRequest().catch((caught) => caught);
  assert(error instanceof lime.SiteAuthUnavailableError && error instanceof lime.ApiError);
});

test('sites and agents for platforms of other times', async (t) => {
  // Difficult enough that the solution of one digest is not by chance one of the other.
  const sandbox = await sandboxFor(t, { platform: 'today', difficulty: 20 });
  await sandbox.control('PUT', '/settings', { issuer: false });
  const asking = closing(t, new lime.LimeSite());
  const [, code] = await completed(sandbox, asking);
  const passport = await asking.exchangeBindingCode(code);
  for (const [settings, taken] of [
    [{}, true],
    [{ requireIssuer: true }, false],
    [{ jwksForm: 'envelope' }, false],
    [{ platform: 'seed' }, false],
    [{ platform: 'seed', jwksForm: 'bare' }, true],
    [{ platform: 'today' }, false],
    [{ platform: 'today', requireIssuer: false }, true],
  ]) {
    const verified = closing(t, new lime.LimeSite(settings)).verifyBindingPassport(passport);
    if (taken) await verified;
    else await assert.rejects(verified, lime.InvalidPassportError, JSON.stringify(settings));
  }
  const { requestId } = await asking.createLoginRequest();
  for (const settings of [{ platform: 'seed' }, { platform: 'today', powDigest: 'seed' }]) {
    const agent = closing(t, new lime.LimeAgent(settings));
    await assert.rejects(agent.login(requestId), { code: 'INVALID_POW' });
  }
  assert.equal((await closing(t, new lime.LimeAgent({ platform: 'today' })).login(requestId)).status, 'APPROVED');
  for (const wrong of [{ platform: 'both' }, { platform: 7 }, { jwksForm: 'both' }]) {
    assert.throws(() => new lime.LimeSite(wrong), lime.InvalidArgumentError);
  }
});
