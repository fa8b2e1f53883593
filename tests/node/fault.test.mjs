// Faults of the library itself: each becomes an error, is told without what it was about, and everything lives on.
// Only development builds panic on request: the tests run with those.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { InternalError, LimeAgent } from 'lime-sdk';
import { closing, run } from './help.mjs';

const require = createRequire(import.meta.url);
const { native } = require('../../bindings-node/dist/native.js');
const { guarded } = require('../../bindings-node/dist/raw_errors.js');
const { bridge } = require('../../bindings-node/dist/bridge.js');

function isInternal(error) {
  assert(error instanceof InternalError, inspect(error));
  assert.equal(error.kind, 'internal');
  assert.equal(error.code, 'INTERNAL');
  assert.match(error.message, /^A fault of the library was caught: .*\.rs:\d+/);
  // What was put together at run time may be a token: a Rust index into a text shows the text.
  assert(!inspect(error).includes('at_secret'), inspect(error));
  return true;
}

test('a panic in a function is an error', () => {
  for (let round = 0; round < 2; round += 1) {
    assert.throws(() => guarded(() => native().testPanic('at_secret')), isInternal);
  }
});

test('an error of the binding is not told with the place of an earlier panic', () => {
  assert.throws(() => guarded(() => native().testPanic('at_secret')), isInternal);
  const failed = Object.assign(new Error('no memory'), { code: 'GenericFailure' });
  assert.throws(
    () =>
      guarded(() => {
        throw failed;
      }),
    (error) => error instanceof InternalError && /no memory/.test(error.message) && error.cause === failed,
  );
});

test('a panic in the midst of a call ends it', async (context) => {
  const own = native().HostTransport;
  context.after(() => Object.assign(native(), { HostTransport: own }));
  native().HostTransport = function panicking() {
    return native().testPanickingTransport();
  };
  const agent = closing(context, new LimeAgent({ agentToken: 'at_1', fetch: globalThis.fetch }));
  // The client lives on.
  for (let round = 0; round < 2; round += 1) await assert.rejects(agent.getProfile(), isInternal);
});

test('a result that cannot be made ends its call and no other', async () => {
  const { queue } = bridge();
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects(
      bridge().call((call) => native().testEndBadly(queue, call)),
      isInternal,
    );
  }
});

test('nothing is printed', async () => {
  const program = `
    import { createRequire } from 'node:module';
    const require = createRequire(process.cwd() + '/tests/node/');
    const { native } = require('../../bindings-node/dist/native.js');
    const { bridge } = require('../../bindings-node/dist/bridge.js');
    try { native().testPanic('at_secret') } catch {}
    await bridge().call((call) => native().testEndBadly(bridge().queue, call)).catch(() => {});
  `;
  assert.deepEqual(await run(program), [0, '', '']);
});
