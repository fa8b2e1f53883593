// The shared vectors, run through the package; the ids that ran go to the parity check.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import * as lime from 'lime-sdk';
import { EventParser, openEnvelope, parseFrame, parseTimestamp } from 'lime-sdk/protocol';
import { ROOT } from './help.mjs';

const ran = [];

after(() => {
  const folder = path.join(ROOT, 'build/parity');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'node.txt'), ran.map((id) => `${id}\n`).join(''));
});

function vectors(name, check) {
  const document = JSON.parse(readFileSync(path.join(ROOT, 'tests/vectors', name), 'utf8'));
  describe(name, { concurrency: false }, () => {
    for (const vector of document.cases) {
      test(vector.id, async () => {
        ran.push(`${name}:${vector.id}`);
        await check(vector, document);
      });
    }
  });
}

function raw(vector, field) {
  return field in vector ? Buffer.from(vector[field]) : Buffer.from(vector[`${field}_base64`], 'base64');
}

async function thrown(work) {
  try {
    await work();
  } catch (error) {
    assert(error instanceof lime.LimeError, `${error}`);
    return error;
  }
  return assert.fail('nothing was thrown');
}

function expectError(error, expected) {
  assert.equal(error.kind, expected.error);
  assert(error.message.includes(expected.message_contains ?? ''), error.message);
}

vectors('pow.json', async ({ challenge, difficulty, digest, timeout_ms: timeout = 60_000, ...expected }) => {
  const solve = () => lime.solvePow(challenge, difficulty, { digest, timeout });
  if (!expected.error) {
    assert.equal(await solve(), expected.nonce);
    return;
  }
  const error = await thrown(solve);
  assert(error instanceof lime.PowTimeoutError);
  expectError(error, expected);
});

vectors('passports.json', async (vector, document) => {
  const options = {
    jwks: document.jwks[vector.jwks],
    apiRoot: vector.api_root,
    expectedRequestId: vector.expected_request_id,
    requireIssuer: vector.require_issuer,
    now: vector.now * 1000,
  };
  const verify = () => lime.verifyPassport(vector.jwt, options);
  if (vector.expect.error) {
    const error = await thrown(verify);
    assert(error instanceof lime.InvalidPassportError);
    expectError(error, vector.expect);
  } else {
    assert.deepEqual(verify().claims, vector.expect.claims);
  }
});

vectors('bindings.json', async (vector, document) => {
  const options = {
    jwks: document.jwks[vector.jwks],
    apiRoot: vector.api_root,
    expectedBindingId: vector.expected_binding_id,
    requireIssuer: vector.require_issuer,
    now: vector.now * 1000,
  };
  const verify = () => lime.verifyBindingPassport(vector.jwt, options);
  if (vector.expect.error) {
    const error = await thrown(verify);
    assert(error instanceof lime.InvalidPassportError);
    expectError(error, vector.expect);
  } else {
    assert.deepEqual(verify().claims, vector.expect.claims);
  }
});

vectors('access_tokens.json', async (vector, document) => {
  const verify = () =>
    lime.verifyAccessToken(vector.jwt, {
      jwks: document.jwks[vector.jwks],
      issuer: vector.issuer,
      expectedDomain: vector.expected_domain,
      audience: vector.audience,
      leeway: vector.leeway === undefined ? undefined : vector.leeway * 1000,
      now: vector.now * 1000,
    });
  if (vector.expect.error) {
    const error = await thrown(verify);
    assert(error instanceof lime.InvalidTokenError);
    expectError(error, vector.expect);
    assert.equal(error.reason, vector.expect.code);
  } else {
    const { claims, agentId, domain } = verify();
    assert.deepEqual(claims, vector.expect.claims);
    assert.deepEqual([agentId, domain], [claims.sub, vector.expected_domain]);
  }
});

vectors('mcp_domains.json', async ({ domain, expect }) => {
  if (expect.canonical) assert.equal(lime.normalizeMcpDomain(domain), expect.canonical);
  else assert((await thrown(() => lime.normalizeMcpDomain(domain))).message.includes(expect.message_contains));
});

vectors('sse.json', (vector) => {
  const data = raw(vector, 'input');
  for (const size of [Math.max(data.length, 1), 1, 2]) {
    const parser = new EventParser();
    const events = [];
    for (let start = 0; start < data.length; start += size) {
      events.push(...parser.feed(data.subarray(start, start + size)));
    }
    assert.deepEqual(events, vector.events);
    assert.equal(parser.retryMillis ?? null, vector.retry_ms);
    assert.equal(parser.lastEventId, vector.last_event_id);
    if (vector.frames) assert.deepEqual(events.map(frame), vector.frames);
  }
});

function frame({ data }) {
  const { kind, requestId, passport, code, message } = parseFrame(data);
  const found = { kind, request_id: requestId, passport, code, message };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

vectors('envelopes.json', async (vector) => {
  const body = raw(vector, 'body');
  if (vector.expect.data) {
    assert.deepEqual(openEnvelope(vector.http_status, body), vector.expect.data);
    return;
  }
  const { kind, code, message, httpStatus, detail } = await thrown(() => openEnvelope(vector.http_status, body));
  const expected = vector.expect.error;
  assert.deepEqual(
    { kind, code, message, http_status: httpStatus, detail: detail ?? null },
    // Where the platform gave no code, ours is the kind.
    { ...expected, code: expected.code ?? expected.kind.toUpperCase() },
  );
});

vectors('timestamps.json', async (vector) => {
  if (vector.error) {
    expectError(await thrown(() => parseTimestamp(vector.text)), vector);
    return;
  }
  const { date, micros, offsetSeconds } = parseTimestamp(vector.text);
  assert.equal(micros, vector.unix_micros);
  assert.equal(offsetSeconds ?? null, vector.offset_seconds);
  assert.equal(date.getTime(), Math.floor(vector.unix_micros / 1000));
});

vectors('mcp_targets.json', async ({ target, expect }) => {
  for (const [member, read] of [
    ['domain', lime.extractAndNormalizeDomain],
    ['url', lime.resolveMcpHttpUrl],
  ]) {
    if (expect.error) expectError(await thrown(() => read(target)), expect);
    else assert.equal(read(target), expect[member]);
  }
});

vectors('webhooks.json', async (vector) => {
  if (vector.sign) {
    // Beyond what a number holds exactly; JSON.parse rounds both sides alike, but not to what is signed.
    const timestamp = BigInt(/"timestamp":\s*(\d+)/.exec(text(vector.id))[1]);
    const sign = () => lime.signWebhook(raw(vector.sign, 'body'), raw(vector.sign, 'secret'), { timestamp });
    if (vector.expect.error) {
      const error = await thrown(sign);
      assert.deepEqual([error.kind, error.reason], [vector.expect.error, vector.expect.code]);
    } else {
      const { signature, timestamp: sent } = vector.expect;
      assert.deepEqual(sign(), { 'X-Sesame-Signature': signature, 'X-Sesame-Timestamp': sent });
    }
    return;
  }
  const secrets = vector.secrets.map((secret) => raw(secret, 'secret'));
  const { guard, tolerance_ms: tolerance } = vector;
  const replayGuard = guard && new lime.ReplayGuard({ horizon: guard.horizon_ms, capacity: guard.capacity });
  for (const delivery of vector.deliveries) {
    const headers = delivery.headers.map((header) => [header.name, raw(header, 'value')]);
    const body = raw(delivery, 'body');
    const options = { tolerance, now: delivery.now * 1000, replayGuard };
    const verify = () => lime.verifyWebhook(headers, body, secrets, options);
    if (delivery.expect.error) {
      const error = await thrown(verify);
      assert(error instanceof lime.WebhookVerificationError);
      assert.deepEqual([error.kind, error.reason], [delivery.expect.error, delivery.expect.code]);
      assert(error.message.includes(delivery.expect.message_contains ?? ''), error.message);
    } else {
      assert.deepEqual(verify(), delivery.expect.payload);
    }
    if ('forget' in delivery) assert.equal(replayGuard.forget(body), delivery.forget);
  }
});

const lines = readFileSync(path.join(ROOT, 'tests/vectors/webhooks.json'), 'utf8').split('\n');

/** A case as it is written: one line. */
function text(id) {
  return lines.find(
    (line) => line.includes(`"id": ${JSON.stringify(id)}`) || line.includes(`"id":${JSON.stringify(id)}`),
  );
}
