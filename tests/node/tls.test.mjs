// Servers with the right key and with another, through every client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { test } from 'node:test';
import { InvalidArgumentError, LimeAgent, LimeError, LimeSite, Sesame, TokenVerifier } from 'lime-sdk';
import { ROOT } from './help.mjs';

const file = (name) => path.join(ROOT, 'tests/tls', name);
const PINS = JSON.parse(fs.readFileSync(file('pins.json'), 'utf8'));
// Well-formed, signed by nobody: its key is asked for.
const TOKEN = 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.e30.AAAA';

/** A platform over TLS that answers a few calls, and notes them. */
async function serverFor(context) {
  const requests = [];
  const tls = { cert: fs.readFileSync(file('good.pem')), key: fs.readFileSync(file('key.pem')) };
  const server = https.createServer(tls, (request, response) => {
    requests.push(request.url);
    const origin = `https://127.0.0.1:${server.address().port}`;
    const data = {
      login_request_id: 'lr_1',
      status: 'PENDING',
      expires_at: '2126-01-01T00:00:00Z',
      agent_id: 'a',
      owner_id: 'o',
    };
    const said = request.url.startsWith('/v1/')
      ? { approval_id: 'apr_1', status: 'pending' }
      : request.url.endsWith('/oauth-authorization-server')
        ? { issuer: origin, jwks_uri: `${origin}/keys` }
        : request.url === '/keys'
          ? { keys: [{ kid: 'of nobody' }] }
          : { ok: true, data };
    response.end(JSON.stringify(said));
  });
  server.on('tlsClientError', () => {}); // the other side has looked at the certificate and has gone
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { requests, origin: `https://127.0.0.1:${server.address().port}` };
}

async function closed(client, call) {
  try {
    return await call(client);
  } finally {
    await client.close();
  }
}

/** What each client asks for with these pins. */
function calls(origin, tlsPins) {
  const api = { baseUrl: `${origin}/api/v1`, maxRetries: 0, tlsPins };
  return [
    async () => closed(new LimeSite({ ...api, siteToken: 'st_x' }), (site) => site.createLoginRequest()),
    async () => closed(new LimeAgent({ ...api, agentToken: 'at_x' }), (agent) => agent.getProfile()),
    async () =>
      closed(new Sesame({ baseUrl: origin, apiKey: 'sk_x', maxRetries: 0, tlsPins }), (sesame) =>
        sesame.approvals.get('apr_1'),
      ),
    async () =>
      closed(new TokenVerifier({ baseUrl: origin, expectedDomain: 'tools.example.com', tlsPins }), (verifier) =>
        verifier.verify(TOKEN).catch((error) => {
          // Which keys there are is known: not that one.
          if (error.reason !== 'unknown_key') throw error;
        }),
      ),
  ];
}

test('the key of a server has to be one of the pins', async (t) => {
  process.env.SSL_CERT_FILE = file('roots.pem');
  t.after(() => delete process.env.SSL_CERT_FILE);
  const { requests, origin } = await serverFor(t);
  for (const call of calls(origin, [PINS.other, PINS.good])) await call();
  assert.equal(requests.length, 5);
  const refused = (error) => error instanceof LimeError && error.message.includes('is none of tls_pins');
  for (const call of calls(origin, [PINS.other])) await assert.rejects(call, refused);
  process.env.LIME_TLS_PINS = process.env.SESAME_TLS_PINS = `${PINS.other}, ${PINS.next}`;
  t.after(() => {
    delete process.env.LIME_TLS_PINS;
    delete process.env.SESAME_TLS_PINS;
  });
  for (const call of calls(origin)) await assert.rejects(call, refused);
  assert.equal(requests.length, 5);
  for (const call of calls(origin, [PINS.good])) await call();
  assert.equal(requests.length, 10);
});

test('pins that make no sense are refused', async () => {
  for (const pins of [['sha256/'], [''], PINS.good, [7], [PINS.good, null]]) {
    for (const call of calls('https://127.0.0.1', pins)) await assert.rejects(call, InvalidArgumentError);
  }
  for (const call of calls('http://127.0.0.1', [PINS.good])) await assert.rejects(call, InvalidArgumentError);
  const options = { agentToken: 'at_x', tlsPins: [PINS.good] };
  assert.throws(() => new LimeAgent({ ...options, fetch: globalThis.fetch }), InvalidArgumentError);
});
