// What the README shows: its programs run, its tests pass, its other pieces are JavaScript, its tables are complete.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import vm from 'node:vm';
import * as lime from 'lime-sdk';
import { LimeSandbox } from 'lime-sdk/testing';
import { ROOT, run, runFile, sandboxFor } from './help.mjs';

/** A folder in the checkout, from where the package is found. */
function temporaryFolder(t) {
  const parent = path.join(ROOT, 'build/node');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, 'readme-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const README = readFileSync(path.join(ROOT, 'bindings-node/README.md'), 'utf8');
const BLOCKS = [...README.matchAll(/(?:<!-- (\w+) -->\n)?```js\n([\s\S]*?)```/g)].map(([, how, source]) => ({
  how,
  source,
}));
const programs = BLOCKS.filter(({ how }) => how === 'run').map(({ source }) => source);

test('its programs do what they say', async (t) => {
  assert.equal(programs.length, 3);
  const sandbox = await sandboxFor(t);
  const [site, agent, gate] = programs;
  // The site listens for ever; when it has told of the login, the test has seen enough.
  const ending = `${site}\nsite.once('login', () => setImmediate(() => site.close()));\n`;
  const running = run(ending);
  const [{ body }] = await sandbox.received('create_request', { atLeast: 1 }).then((found) => found.slice(-1));
  assert.notEqual(body, undefined);
  await sandbox.waitForStreams(1);
  const { login_requests: requests } = await sandbox.control('GET', '/login-requests');
  const { login_request_id: requestId } = requests.at(-1);
  const file = path.join(temporaryFolder(t), 'agent.mjs');
  writeFileSync(file, agent);
  const [code, out, errors] = await runFile(file, { args: [requestId] });
  assert.deepEqual([code, errors], [0, '']);
  assert.match(out, /^(APPROVED|DELIVERED)\n$/);
  const [ended, said, wrong] = await running;
  assert.deepEqual([ended, wrong], [0, '']);
  assert(said.includes(`hand this to the agent: ${requestId}\n`), said);
  assert.match(said, /signed in: \S+\n/);

  await sandbox.autoApprove('*');
  assert.deepEqual(await run(gate), [0, 'refunded 4200 to cus_123\n', '']);
  await sandbox.reset();
  await sandbox.deny('*');
  assert.deepEqual(await run(gate), [0, 'not refunded: denied\n', '']);
});

test('its tests pass', async (t) => {
  const own = temporaryFolder(t);
  const { source } = BLOCKS.find(({ how }) => how === 'test');
  writeFileSync(path.join(own, 'refunds.test.mjs'), source);
  writeFileSync(
    path.join(own, 'refunds.mjs'),
    `import { requireApproval } from 'lime-sdk';
     export const issueRefund = requireApproval('payments.refund', { pollInterval: 10 }, (amount, customer) => 'refunded');`,
  );
  const [code, out, errors] = await runFile(path.join(own, 'refunds.test.mjs'), { flags: ['--test-reporter=tap'] });
  assert.deepEqual([code, errors], [0, ''], out);
  assert.match(out, /# pass 3/);
});

test('its other pieces are JavaScript', () => {
  const pieces = BLOCKS.filter(({ how }) => how === undefined);
  assert.equal(pieces.length, 5);
  for (const { source } of pieces) {
    const body = source.replace(/^import .*$/gm, '');
    assert.doesNotThrow(() => new vm.Script(`async () => { ${body} }`), source);
  }
});

const INTERNAL =
  /^export declare function (text|number|date|settings|ownEnvironment|isThenable|rawBody|forgetDefaultClient|parameterNames)\b/;

test('an editor has a word on everything that is public', () => {
  const folder = path.join(ROOT, 'bindings-node/dist');
  const files = ['agent', 'errors', 'express', 'fastify', 'gate', 'passport', 'pow', 'progress', 'protocol', 'sesame'];
  const silent = [];
  for (const file of [...files, 'site', 'testing', 'webhook', 'fetch', 'client']) {
    const lines = readFileSync(path.join(folder, `${file}.d.ts`), 'utf8').split('\n');
    // Internal, in files with something that is not.
    let inside = '';
    lines.forEach((line, index) => {
      inside = /^(?:export |declare )*(?:class|interface|type|function) (\w+)/.exec(line)?.[1] ?? inside;
      if (/^(Link|FetchTransport|ClosableNative|ReadableStreamLike|Reporter|WaitReporter)$/.test(inside)) return;
      // One word on the whole.
      if (/^(Frame|parseTimestamp)$/.test(inside) && line.startsWith(' ')) return;
      const shown =
        /^export declare (class|function)|^export (interface|type) \w/.test(line) ||
        /^ {4}(readonly |static |get |async )*[a-zA-Z]\w*\??(<.*>)?[(:]/.test(line);
      // What those who read know by themselves, and what index.d.ts does not export.
      const plain = /^ {4}(constructor|private|static readonly kind|readonly name)\b/.test(line);
      if (!shown || plain || INTERNAL.test(line)) return;
      if (!/\*\/$/.test(lines[index - 1])) silent.push(`${file}: ${line.trim()}`);
    });
  }
  assert.deepEqual(silent, []);
});

test('its tables name what there is', () => {
  for (const name of Object.keys(lime)) {
    // Named at least once; not every one has a line of its own.
    if (['Approvals', 'SIGNATURE_HEADER', 'TIMESTAMP_HEADER', 'WouldDeadlockError'].includes(name)) continue;
    assert(README.includes(name), name);
  }
  const methods = Object.getOwnPropertyNames(LimeSandbox.prototype).filter(
    (name) => !/^(constructor|running)$/.test(name),
  );
  for (const name of methods) assert(README.includes(`${name}`), name);
});
