// Access tokens: verified against the sandbox, and the middleware that wants one.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import express from 'express';
import { AbortError, InvalidArgumentError, InvalidTokenError, LimeError, TokenVerifier } from 'lime-sdk';
import { requireToken } from 'lime-sdk/express';
import { closing, sandboxFor } from './help.mjs';

const DOMAIN = 'tools.example.com';

function verifierFor(context, options) {
  return closing(context, new TokenVerifier({ expectedDomain: DOMAIN, ...options }));
}

async function routes(sandbox) {
  return (await sandbox.received()).map(({ route }) => route);
}

test('a token of the platform is verified and says whose it is', async (t) => {
  const sandbox = await sandboxFor(t);
  const verifier = verifierFor(t, { expectedDomain: 'https://Tools.Example.com/mcp' });
  assert.equal(verifier.expectedDomain, DOMAIN);
  assert.deepEqual(await routes(sandbox), [], 'making one sends nothing');
  const token = await sandbox.mcpToken(DOMAIN);
  const all = await Promise.all(Array.from({ length: 50 }, () => verifier.verify(token)));
  for (const { agentId, domain, claims } of all) {
    assert.deepEqual([agentId, domain, claims.aud], [claims.sub, DOMAIN, 'mcp']);
  }
  assert.deepEqual(await routes(sandbox), ['mcp_metadata', 'jwks']);
  assert.equal(verifier.fetches, 1);
  await verifier.warmUp();
  await verifier.warmUp();
  assert.equal(verifier.fetches, 2, 'at most once a minute');
  await sandbox.rotateKeys();
  verifier.forgetKeys();
  await verifier.verify(await sandbox.mcpToken(DOMAIN));
  await assert.rejects(verifier.verify(token), { reason: 'unknown_key' });
  await verifier.close();
  await assert.rejects(verifier.verify(token), { kind: 'closed' });
});

test('tokens that are refused say why', async (t) => {
  const sandbox = await sandboxFor(t);
  const verifier = verifierFor(t);
  for (const [reason, domain, claims] of [
    ['wrong_domain', 'other.example.com'],
    ['invalid_domain', 'Tools.example.com'],
    ['missing_domain', ''],
    ['expired', DOMAIN, { exp: 1 }],
    ['wrong_issuer', DOMAIN, { iss: 'https://lime.pics' }],
    ['wrong_audience', DOMAIN, { aud: 'lime-site-login' }],
    ['forbidden_claim', DOMAIN, { user_id: 'u' }],
    ['missing_subject', DOMAIN, { sub: null }],
    ['invalid_claim', DOMAIN, { exp: null }],
  ]) {
    const error = await verifier.verify(await sandbox.mcpToken(domain, { claims })).catch((error) => error);
    assert(error instanceof InvalidTokenError, reason);
    assert.deepEqual([error.reason, error.code, error.kind], [reason, reason, 'invalid_token']);
  }
  await assert.rejects(verifier.verify('no token'), { reason: 'malformed' });
  await assert.rejects(verifier.verify(7), InvalidArgumentError);
});

test('a verification that is given up says so as every call does', async (t) => {
  const sandbox = await sandboxFor(t);
  const verifier = verifierFor(t);
  const token = await sandbox.mcpToken(DOMAIN);
  // Without keys, and with them at hand, where nothing is called.
  for (const fetches of [0, 1]) {
    assert.equal(verifier.fetches, fetches);
    for (const call of [(options) => verifier.verify(token, options), (options) => verifier.warmUp(options)]) {
      for (const reason of ['user left', new Error('user left')]) {
        await assert.rejects(call({ signal: AbortSignal.abort(reason) }), (error) => {
          assert(error instanceof AbortError, `${error}`);
          assert.deepEqual([error.code, error.cause], ['ABORT_ERR', reason]);
          return true;
        });
      }
      await assert.rejects(call({ signal: new AbortController() }), {
        name: 'InvalidArgumentError',
        message: 'signal must be an AbortSignal; pass the signal of the AbortController',
      });
      await assert.rejects(call({ signal: 'signal' }), InvalidArgumentError);
    }
    await verifier.verify(token, { signal: new AbortController().signal });
  }
});

test('keys that cannot be had say nothing of the token', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.control('POST', '/faults', { route: 'mcp_metadata', status: 503, count: 0 });
  const error = await verifierFor(t)
    .verify(await sandbox.mcpToken(DOMAIN))
    .catch((error) => error);
  assert(error instanceof LimeError && !(error instanceof InvalidTokenError));
  assert.equal(error.httpStatus, 503);
});

test('a host name has to be given, and other settings have to make sense', () => {
  for (const expectedDomain of [undefined, '', 'localhost', 'tools.example.com:80', '10.0.0.1']) {
    assert.throws(() => new TokenVerifier({ expectedDomain }), InvalidArgumentError);
  }
  for (const options of [{ leeway: -1 }, { leeway: '1' }, { baseUrl: 'lime' }, { timeout: Number.NaN }]) {
    assert.throws(() => new TokenVerifier({ expectedDomain: DOMAIN, ...options }), InvalidArgumentError);
  }
});

test('a fetch of the program carries every byte', async (t) => {
  const sandbox = await sandboxFor(t);
  const seen = [];
  const own = (url, init) => {
    seen.push(`${new URL(url).pathname} ${new Headers(init.headers).get('user-agent')}`);
    return fetch(url, init);
  };
  const verifier = verifierFor(t, { fetch: own, userAgent: 'own/1' });
  await verifier.verify(await sandbox.mcpToken(DOMAIN));
  assert.deepEqual(seen, [
    '/api/v1/modules/oauth/.well-known/oauth-authorization-server own/1',
    '/api/v1/core/.well-known/jwks.json own/1',
  ]);
});

const METADATA = `https://${DOMAIN}/.well-known/oauth-protected-resource`;

/** Servers that say who asks: Express, and what is under it. */
async function servers(context, options) {
  const show = (request, response) => response.end(request.limeToken?.agentId);
  const app = express();
  app.use(requireToken(options));
  app.use(show);
  const middleware = requireToken(options);
  const plain = (request, response) => middleware(request, response, () => show(request, response));
  const started = [];
  for (const handler of [app, plain]) {
    const server = http.createServer(handler).listen(0, '127.0.0.1');
    await once(server, 'listening');
    context.after(() => server.close());
    started.push(server.address().port);
  }
  return started;
}

async function get(port, ...authorization) {
  const request = http.request({ port, host: '127.0.0.1', agent: false });
  if (authorization.length > 0) request.setHeader('authorization', authorization);
  request.end();
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, headers: response.headers, body };
}

test('the middleware lets only tokens for this server in', async (t) => {
  const sandbox = await sandboxFor(t);
  const verifier = verifierFor(t);
  const refused = [];
  const onRefused = (error) => refused.push(error.code);
  const token = await sandbox.mcpToken(DOMAIN);
  const { agentId } = await verifier.verify(token);
  for (const port of await servers(t, { verifier, resourceMetadata: METADATA, onRefused })) {
    assert.deepEqual((await get(port, `Bearer ${token}`)).body, agentId);
    assert.deepEqual((await get(port, `bearer  ${token}`)).body, agentId);
    const missing = await get(port);
    assert.equal(missing.status, 401);
    assert.equal(missing.headers['www-authenticate'], `Bearer resource_metadata="${METADATA}"`);
    assert.equal(missing.headers['content-type'], 'application/json');
    const wrong = await get(port, `Bearer ${await sandbox.mcpToken('other.example.com')}`);
    assert.equal(wrong.status, 401);
    assert.deepEqual(JSON.parse(wrong.body), { error: 'invalid_token', error_description: 'Domain mismatch' });
    assert.equal((await get(port, `Bearer ${token}`, `Bearer ${token}`)).status, 400);
    assert.equal((await get(port, 'Basic YTpi')).status, 401);
    assert.deepEqual(refused.splice(0), ['missing_token', 'wrong_domain', 'ambiguous_token', 'missing_token']);
  }
});

test('the middleware answers 503 while nobody can tell, and hands faults of the program on', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.control('POST', '/faults', { route: 'mcp_metadata', status: 500, count: 0 });
  const [port] = await servers(t, { verifier: verifierFor(t) });
  const { status, headers } = await get(port, `Bearer ${await sandbox.mcpToken(DOMAIN)}`);
  assert.equal(status, 503);
  assert(Number(headers['retry-after']) >= 1);
  assert.equal(headers['www-authenticate'], undefined);
  const onRefused = () => {
    throw new Error('a bug of the program');
  };
  const [, faulty] = await Promise.all([
    undefined,
    new Promise((resolve) => {
      requireToken({ verifier: verifierFor(t), onRefused })({ headersDistinct: {} }, {}, resolve);
    }),
  ]);
  assert.equal(faulty.message, 'a bug of the program');
});
