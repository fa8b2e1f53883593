// Approvals, and functions that are gated by them.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import vm from 'node:vm';
import * as lime from 'lime-sdk';
import { requireApproval } from 'lime-sdk';
import { LimeSandbox } from 'lime-sdk/testing';
import { closing, run, sandboxFor } from './help.mjs';

function temporaryFolder(t) {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'lime-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test('ask, wait and read', async (t) => {
  const sandbox = await sandboxFor(t);
  const { approvals } = closing(t, sandbox.sesame());
  const approval = await approvals.trigger({
    action: 'db.delete',
    summary: 'Delete 1,204 rows',
    reason: 'GDPR request',
    severity: 'high',
    dedupKey: 'gdpr-882',
    context: { rows: 1204, nested: { table: 'orders', when: new Date(0) } },
  });
  assert.deepEqual([approval.status, approval.approved, approval.terminal], ['pending', false, false]);
  assert(approval.expiresAt > new Date());
  const [asked] = await sandbox.approvals();
  assert.deepEqual(asked.context, { rows: 1204, nested: { table: 'orders', when: '1970-01-01T00:00:00.000Z' } });
  assert.deepEqual([asked.reason, asked.severity], ['GDPR request', 'high']);
  const same = await approvals.trigger({ action: 'db.delete', summary: 'again', dedupKey: 'gdpr-882' });
  assert.equal(same.approvalId, approval.approvalId);
  const seen = [];
  const waiting = approval.wait({ timeout: Number.POSITIVE_INFINITY, onProgress: (progress) => seen.push(progress) });
  await sandbox.decide(approval, 'approved', { note: 'fine' });
  assert.equal(await waiting, approval);
  assert.equal(seen[0].left, Number.POSITIVE_INFINITY);
  assert.deepEqual(
    [approval.status, approval.approved, approval.terminal, approval.note],
    ['approved', true, true, 'fine'],
  );
  assert(approval.decidedAt instanceof Date);
  assert.equal((await same.refresh()).status, 'approved');
  const picked = await approvals.get(approval.approvalId, { wait: true });
  assert.equal(picked.status, 'approved');
  await approvals.get(approval.approvalId);
  const queries = (await sandbox.received('read_approval')).map(({ query }) => query);
  assert.deepEqual(queries.slice(-2), ['wait=true', null], 'the broker is asked to hold the one and not the other');
  assert.equal(JSON.parse(JSON.stringify(picked)).approvalId, approval.approvalId);
  assert.match(inspect(picked), /^Approval \{[\s\S]*approved/);

  const expiring = await approvals.trigger({ action: 'a', summary: 's' });
  await sandbox.expire(expiring);
  assert.deepEqual([(await expiring.wait()).status, expiring.approved], ['expired', false]);
  const pending = await approvals.trigger({ action: 'a', summary: 's' });
  const { approvalId } = pending;
  await assert.rejects(pending.wait({ timeout: 20 }), { name: 'TimeoutError', approvalId });
  assert.equal(pending.status, 'pending');
});

test('errors of the broker', async (t) => {
  const sandbox = await sandboxFor(t);
  const { approvals } = closing(t, sandbox.sesame({ maxRetries: 0 }));
  await assert.rejects(approvals.get('ap_unknown'), {
    name: 'NotFoundError',
    httpStatus: 404,
    approvalId: 'ap_unknown',
  });
  await assert.rejects(approvals.get('../secrets'), { name: 'NotFoundError' });
  const wrong = closing(t, sandbox.sesame({ apiKey: 'sk_wrong' }));
  await assert.rejects(wrong.approvals.get('ap_1'), { name: 'AuthenticationError', httpStatus: 401 });
  await sandbox.fault('trigger_approval', { action: 'drop_after' });
  const request = { action: 'a', summary: 's' };
  await assert.rejects(approvals.trigger(request), lime.OutcomeUnknownError);
  await sandbox.fault('trigger_approval', { status: 429, headers: { 'retry-after': '3' } });
  await assert.rejects(approvals.trigger(request), { name: 'RateLimitError', retryAfter: 3000 });
  const cyclic = {};
  cyclic.self = cyclic;
  for (const context of [cyclic, [1], 'text', { big: 1n }, () => 1]) {
    await assert.rejects(approvals.trigger({ ...request, context }), lime.InvalidArgumentError, inspect(context));
  }
  await assert.rejects(approvals.trigger({ action: 'a' }), lime.InvalidArgumentError);
  await assert.rejects(approvals.trigger({ ...request, reason: 5 }), lime.InvalidArgumentError);
});

test('waits ride out two kills of the broker', async (t) => {
  const state = path.join(temporaryFolder(t), 'state.json');
  let sandbox = await LimeSandbox.start({ state });
  t.after(() => sandbox.close());
  const options = {
    port: Number(new URL(sandbox.sesameUrl).port),
    state,
    sesameApiKey: sandbox.sesameApiKey,
  };
  const { approvals } = closing(t, sandbox.sesame());
  const asked = await Promise.all(
    Array.from({ length: 50 }, (_, number) =>
      approvals.trigger({ action: 'a', summary: 's', dedupKey: `key-${number}` }),
    ),
  );
  const waiting = Promise.all(asked.map((approval) => approval.wait({ timeout: 60_000, pollInterval: 10 })));
  for (let round = 0; round < 2; round += 1) {
    await sandbox.kill();
    sandbox = await LimeSandbox.start(options);
    await sandbox.received('read_approval', { atLeast: round === 0 ? 0 : 1 });
  }
  await sandbox.autoApprove('*');
  assert((await waiting).every((approval) => approval.approved));
});

test('every kind of function runs once when approved, and is asynchronous', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  let runs = 0;
  const plain = requireApproval('a.plain', function add(left, right) {
    runs += 1;
    return this === undefined ? left + right : this.base + left + right;
  });
  assert.equal(plain.name, 'add');
  assert.equal(plain.length, 2);
  assert.equal(await plain(1, 2), 3);
  assert.equal(await plain.call({ base: 10 }, 1, 2), 13);
  assert.equal(await requireApproval('a.async', async (value) => value)('x'), 'x');
  assert.equal(await requireApproval('a.curried')((value) => value)('x'), 'x');
  const { asked } = { asked: (await sandbox.approvals()).map(({ action, summary }) => [action, summary]) };
  assert.deepEqual(asked[0], ['a.plain', 'Approval required for a.plain (via add)']);
  assert.equal(runs, 2);

  const log = [];
  const numbers = requireApproval('a.generator', function* numbers(first) {
    try {
      const sent = yield first;
      log.push(sent);
      yield first + 1;
    } catch (error) {
      log.push(error.message);
      return 'caught';
    } finally {
      log.push('ended');
    }
  });
  const before = (await sandbox.approvals()).length;
  const iterator = numbers(5);
  assert.equal((await sandbox.approvals()).length, before, 'nobody is asked before it is advanced');
  assert.deepEqual(await iterator.next(), { done: false, value: 5 });
  assert.equal((await sandbox.approvals()).length, before + 1, 'and somebody is asked then');
  assert.deepEqual(await iterator.next('sent'), { done: false, value: 6 });
  assert.deepEqual(await iterator.throw(new Error('thrown')), { done: true, value: 'caught' });
  assert.deepEqual(log, ['sent', 'thrown', 'ended']);
  const taken = [];
  for await (const value of requireApproval('a.async-generator', async function* () {
    yield 1;
    yield 2;
  })()) {
    taken.push(value);
  }
  assert.deepEqual(taken, [1, 2]);

  // What tsc makes of `@requireApproval('a.method', …)`.
  class Account {
    balance = 7;
    withdraw(amount) {
      this.balance -= amount;
      return this.balance;
    }
  }
  const context = { kind: 'method', name: 'withdraw' };
  Account.prototype.withdraw = requireApproval('a.method', { bind: (amount) => amount })(
    Account.prototype.withdraw,
    context,
  );
  assert.equal(await new Account().withdraw(3), 4);
});

test('nothing but approved lets a call through, and whatever goes wrong the function does not run', async (t) => {
  const sandbox = await sandboxFor(t);
  let runs = 0;
  const gated = (options = {}) => requireApproval('a', { pollInterval: 10, ...options }, (..._args) => (runs += 1));
  await using_(await sandbox.deny('*', { note: 'too much' }), async () => {
    await assert.rejects(gated()(), {
      name: 'ApprovalDeniedError',
      code: 'denied',
      reason: 'denied',
      status: 'denied',
      note: 'too much',
      message: "Approval for 'a' was denied: too much",
    });
    const generators = [
      function* () {
        runs += 1;
        yield runs;
      },
      async function* () {
        runs += 1;
        yield runs;
      },
    ];
    for (const generator of generators) {
      await assert.rejects(requireApproval('a', generator)().next(), { name: 'ApprovalDeniedError' });
    }
  });
  const expired = gated()();
  const [{ approval_id: approvalId }] = await sandbox.approvals({ status: 'pending', atLeast: 1 });
  await sandbox.expire(approvalId);
  await assert.rejects(expired, { name: 'ApprovalDeniedError', reason: 'expired', approvalId });
  await assert.rejects(gated({ timeout: 20 })(), lime.TimeoutError);

  await sandbox.autoApprove('*');
  const broken = () => {
    throw new RangeError('broken');
  };
  for (const name of [
    'when',
    'summary',
    'reason',
    'severity',
    'callbackUrl',
    'context',
    'dedupKey',
    'bind',
    'signal',
  ]) {
    await assert.rejects(gated({ [name]: broken })('x'), RangeError, name);
  }
  await assert.rejects(gated({ onProgress: broken })(), RangeError);
  await assert.rejects(gated({ onProgress: async () => broken() })(), RangeError);
  await assert.rejects(gated({ context: { a: 1 }, redact: broken })(), RangeError);
  await assert.rejects(gated({ when: () => undefined })(), lime.InvalidArgumentError);
  await assert.rejects(gated({ when: () => 1 })(), lime.InvalidArgumentError);
  await assert.rejects(gated({ summary: () => 7 })(), lime.InvalidArgumentError);
  await assert.rejects(gated({ dedupKey: () => '' })(), lime.InvalidArgumentError);
  await assert.rejects(gated({ signal: AbortSignal.abort() })(), lime.AbortError);
  await assert.rejects(
    gated({ client: new lime.Sesame({ baseUrl: 'http://127.0.0.1:1', maxRetries: 0 }) })(),
    lime.TransportError,
  );
  // Only `true` is true.
  const looksTrue = {
    approvals: { trigger: async () => ({ approved: 'yes', status: 'approved', wait: async () => {} }) },
  };
  await assert.rejects(gated({ client: looksTrue })(), lime.ApprovalDeniedError);
  assert.equal(runs, 0);
  assert.throws(() => requireApproval('', () => 1), lime.InvalidArgumentError);
  assert.throws(() => requireApproval('a')('no function'), lime.InvalidArgumentError);

  // Changed between the decision and the call, while the journal is written: `bind` is asked before, then, and after that.
  let asked = 0;
  const late = gated({ journal: temporaryFolder(t), bind: () => (asked++ < 2 ? 'before' : 'after') });
  await assert.rejects(late(), { reason: 'args_changed' });
  assert.equal(runs, 0);

  const controller = new AbortController();
  await sandbox.reset();
  const waiting = gated({ signal: (wanted) => wanted })(controller.signal);
  await sandbox.approvals({ status: 'pending', atLeast: 1 });
  controller.abort();
  await assert.rejects(waiting, lime.AbortError);
  // Its own error comes out as it is.
  await sandbox.autoApprove('*');
  await assert.rejects(requireApproval('a', broken)(), RangeError);
});

test('what the settings of a gate do not take is refused before anybody is asked', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  const run_ = () => assert.fail('it ran');
  for (const options of [
    { timeout: '5' },
    { timeout: Number.NaN },
    { pollInterval: '1' },
    { pollInterval: -1 },
    { pollInterval: Number.POSITIVE_INFINITY },
    { onProgress: 'often' },
    { bind: 'amount' },
    { redact: [7] },
    { redact: true },
    { parameters: 'amount' },
    { client: {} },
    { signal: new AbortController() },
    { when: 'yes' },
    { summary: 7 },
    { reason: {} },
    { severity: 1 },
    { callbackUrl: new URL('http://a/') },
    { dedupKey: 5 },
    { dedupKey: '  ' },
    { context: 'all' },
    { context: [] },
    // Misspelt, it would be left out without a word.
    { dedup_key: 'auto' },
    { jurnal: '/tmp' },
    'auto',
    7,
  ]) {
    assert.throws(() => requireApproval('a', options, run_), lime.InvalidArgumentError, inspect(options));
    assert.throws(() => requireApproval('a', options), lime.InvalidArgumentError, inspect(options));
  }
  // In the wrong order the settings would not count; what is not there cannot be gated.
  assert.throws(() => requireApproval('a', run_, { when: false }), /before the function/);
  assert.throws(() => requireApproval('a', {}, undefined), /must be a function/);
  for (const options of [{ timeout: () => 5 }, { dedupKey: () => '  ' }, { signal: () => new AbortController() }]) {
    await assert.rejects(
      async () => requireApproval('a', options, run_)(),
      lime.InvalidArgumentError,
      inspect(options),
    );
  }
  assert.deepEqual(await sandbox.approvals(), []);
  for (const options of [undefined, null, {}, { timeout: undefined, redact: 'x', client: sandbox.sesame() }]) {
    assert.equal(await requireApproval('a', options, () => 'ran')(), 'ran');
  }
});

test('the names of parameters are found whatever stands beside them', () => {
  const { parameterNames } = createRequire(import.meta.url)('../../bindings-node/dist/gate.js');
  const holder = {
    async method(
      first,
      /* , ( */ second = ')', // third
      third,
    ) {},
    async *'odd (name, )'(first, token) {},
    [['computed', '('].at(0)](first, token) {},
  };
  for (const [run_, names] of [
    [(amount, url = 'https://example.com', token) => [amount, url, token], ['amount', 'url', 'token']],
    [
      (one = ',', two = "a)'(", three = `}),${1}`, four = '\\', five = '"') => [one, two, three, four, five],
      ['one', 'two', 'three', 'four', 'five'],
    ],
    [(pattern = /[/,)]\/\)/g, password) => [pattern, password], ['pattern', 'password']],
    [(ratio = 4 / 2, half = 1 / 2, password) => [ratio, half, password], ['ratio', 'half', 'password']],
    [
      (one, { two, three } = {}, [four] = [], ...tokens) => [one, two, three, four, tokens],
      ['one', undefined, undefined, '...tokens'],
    ],
    [(größe, $, _) => [größe, $, _], ['größe', '$', '_']],
    [(call = (a, b) => [a, b], next) => [call, next], ['call', 'next']],
    [(x) => x, ['x']],
    [async (x) => x, ['x']],
    [vm.runInThisContext('x => x'), ['x']],
    [vm.runInThisContext('async /* ( */ x => x'), ['x']],
    [vm.runInThisContext('async => async'), ['async']],
    [() => {}, []],
    [function named(first, second) {}, ['first', 'second']],
    [async function* (first) {}, ['first']],
    [holder.method, ['first', 'second', 'third']],
    [holder['odd (name, )'], ['first', 'token']],
    [holder.computed, ['first', 'token']],
    [Math.max, []],
  ]) {
    assert.deepEqual(parameterNames(run_), names, `${run_}`);
  }
});

/** `await using`, which Node 20 does not know. */
async function using_(rule, work) {
  try {
    await work();
  } finally {
    await rule[Symbol.asyncDispose]();
  }
}

test('settings are values or functions of the arguments, and when decides whether anybody is asked', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  const refund = requireApproval(
    'payments.refund',
    {
      when: (amount) => amount > 1000,
      summary: (amount, customer) => `Refund ${amount} to ${customer}`,
      reason: async () => 'charged twice',
      severity: 'high',
      dedupKey: (amount, customer) => `refund-${customer}-${amount}`,
      context: (amount) => ({ amount, password: 'shown, since it is the caller who says so' }),
    },
    (amount) => amount,
  );
  assert.equal(await refund(1000, 'cus_1'), 1000);
  assert.deepEqual(await sandbox.approvals(), []);
  assert.equal(await refund(1001, 'cus_1'), 1001);
  const [asked] = await sandbox.approvals();
  assert.deepEqual(
    [asked.summary, asked.reason, asked.severity, asked.dedup_key],
    ['Refund 1001 to cus_1', 'charged twice', 'high', 'refund-cus_1-1001'],
  );
  assert.deepEqual(asked.context, { amount: 1001, password: 'shown, since it is the caller who says so' });
});

test('an approval counts for the arguments that it was asked for', async (t) => {
  const sandbox = await sandboxFor(t);
  const socket = new EventEmitter();
  class Order {
    constructor() {
      this.items = ['book'];
    }
  }
  class Pool {
    used = 0;
    connections = [new EventEmitter()];
  }
  class Hidden {
    shown = 1;
    #hidden = 1;
    change() {
      this.#hidden += 1;
      this.shown += 1;
    }
  }
  class Callback {
    amount = 1;
    done = () => {};
  }
  class Money {
    #cents = 1;
    set cents(value) {
      this.#cents = value;
    }
    toJSON() {
      return { cents: this.#cents };
    }
  }
  class List extends Array {}
  const shared = { a: 1 };
  const looped = new Order();
  looped.next = { back: looped };
  const changes = {
    'an object': [{ amount: 1 }, (value) => (value.amount = 2)],
    'a nested object': [{ list: [{ a: 1 }] }, (value) => (value.list[0].a = 2)],
    'a new key': [{}, (value) => (value.b = undefined)],
    'an array': [[1, 2], (value) => value.reverse()],
    'a map': [new Map([['a', { b: 1 }]]), (value) => (value.get('a').b = 2)],
    'a set': [new Set([1]), (value) => value.add(2)],
    'a date': [new Date(0), (value) => value.setTime(1)],
    bytes: [Buffer.from('ab'), (value) => (value[0] = 0)],
    'an instance': [new Order(), (value) => value.items.push('pen')],
    'minus zero': [{ x: 0 }, (value) => (value.x = -0)],
    'an instance with a function': [new Callback(), (value) => (value.amount = 2)],
    'what toJSON gives': [new Money(), (value) => (value.cents = 2)],
    'a list of a class of its own': [List.from([{ a: 1 }]), (value) => (value[0].a = 2)],
    'what is in two places': [[shared, { shared }], () => (shared.a = 2)],
    'what is in a cycle': [looped, () => looped.items.push('pen')],
    'the order of a set': [new Set([1, 2]), (value) => value.delete(1) && value.add(1)],
    'a field of an array': [[1], (value) => (value.note = 'x')],
    'an error': [new Error('a'), (value) => (value.message = 'b')],
    'a long text': [{ text: 'a'.repeat(1000) }, (value) => (value.text = `${'a'.repeat(999)}b`)],
    'a symbol': [{ [Symbol.for('k')]: 1 }, (value) => (value[Symbol.for('k')] = 2)],
  };
  const call = async (value, change, options = {}) => {
    let runs = 0;
    const pending = requireApproval('a', { pollInterval: 10, ...options }, () => (runs += 1))(value);
    pending.catch(() => {});
    const [{ approval_id: id }] = await sandbox.approvals({ status: 'pending', atLeast: 1 });
    change(value);
    await sandbox.decide(id);
    const error = await pending.then(
      () => undefined,
      (reason) => reason,
    );
    assert.equal(runs, error ? 0 : 1);
    return error;
  };
  for (const [name, [value, change]] of Object.entries(changes)) {
    const error = await call(value, change);
    assert.deepEqual(
      [error?.name, error?.reason, error?.status],
      ['ApprovalDeniedError', 'args_changed', 'approved'],
      name,
    );
  }
  const machine = { socket };
  machine.self = machine;
  for (const [value, change] of [
    [machine, () => socket.on('x', () => {})],
    [new Pool(), (pool) => (pool.used += 1)],
    [new Hidden(), (hidden) => hidden.change()],
    [new Proxy({}, {}), () => {}],
    [new WeakMap(), () => {}],
    [Promise.resolve(), () => {}],
  ]) {
    assert.equal(await call(value, change), undefined, inspect(value));
  }
  // What is incidental can be left out.
  const value = { amount: 1, text: 'a' };
  assert.equal(await call(value, (given) => (given.text = 'b'), { bind: ({ amount }) => amount }), undefined);
  const error = await call(value, (given) => (given.amount = 2), { bind: ({ amount }) => amount });
  assert.equal(error.reason, 'args_changed');
});

test('arguments are bound however large and entangled they are', async () => {
  const { fingerprint } = createRequire(import.meta.url)('../../bindings-node/dist/fingerprint.js');
  let chain = {};
  const last = chain;
  for (let length = 0; length < 200_000; length += 1) chain = { chain };
  const before = fingerprint(chain, 'refused');
  last.changed = true;
  assert.notEqual(fingerprint(chain, 'refused'), before);
  // Two to the power of sixty ways from the first to the last.
  let lattice = { end: 1 };
  const end = lattice;
  for (let depth = 0; depth < 60; depth += 1) lattice = { left: lattice, right: lattice };
  const whole = fingerprint(lattice, 'refused');
  end.end = 2;
  assert.notEqual(fingerprint(lattice, 'refused'), whole);
  const everything = Array.from({ length: 300 }, (_, id) => ({ id, others: [] }));
  for (const one of everything) one.others = everything;
  const all = fingerprint(everything, 'refused');
  everything[299].id = 0;
  assert.notEqual(fingerprint(everything, 'refused'), all);
  // What is shared and what is equal are the same data, and the order of names is none.
  const part = { x: 1, y: 2 };
  assert.equal(
    fingerprint([part, part], 'refused'),
    fingerprint(
      [
        { y: 2, x: 1 },
        { x: 1, y: 2 },
      ],
      'refused',
    ),
  );
  const different = [
    1,
    '1',
    1n,
    true,
    'true',
    null,
    'null',
    undefined,
    [],
    {},
    [1],
    [[1]],
    ['1'],
    { 0: 1 },
    new Set([1]),
    [1, undefined],
    new Map([[1, 1]]),
    new Date(1),
    Buffer.from([1]),
    new Uint16Array([1]),
    Object(1),
    /1/,
    new URL('http://a/'),
    'http://a/',
    [[], 1],
    [[1], []],
  ];
  assert.equal(new Set(different.map((value) => fingerprint(value, 'refused'))).size, different.length);
});

test('an approval lets one call through, and only for its arguments', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  let runs = 0;
  const once_ = requireApproval(
    'a',
    { dedupKey: (key) => `key-${key}`, pollInterval: 10 },
    (_key, _more) => (runs += 1),
  );
  assert.equal(await once_('one'), 1);
  await assert.rejects(once_('one'), { name: 'ApprovalDeniedError', reason: 'already_used' });
  await assert.rejects(once_('one', 'other'), { reason: 'args_changed' });
  const many = await Promise.allSettled(Array.from({ length: 20 }, () => once_('two')));
  assert.equal(many.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal(runs, 2);
});

test('the automatic key is the call, the same in every process', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  const gated = requireApproval('a', { dedupKey: 'auto', pollInterval: 10 }, function pay(..._args) {});
  const keys = async () => (await sandbox.approvals()).map((approval) => approval.dedup_key);
  await gated({ a: 1, b: [2] });
  await gated({ b: [2], a: 2 });
  await assert.rejects(gated({ b: [2], a: 1 }), { reason: 'already_used' });
  await assert.rejects(
    gated(() => 1),
    lime.InvalidArgumentError,
  );
  await assert.rejects(gated({ at: { deep: new EventEmitter() } }), lime.InvalidArgumentError);
  // One that was given up is pending, and picked up; one that was granted meanwhile is not.
  const patient = (timeout) =>
    requireApproval('b', { dedupKey: 'auto', pollInterval: 10, timeout }, function pay(..._args) {});
  await sandbox.reset();
  await assert.rejects(patient(20)(1), lime.TimeoutError);
  const again = patient(60_000)(1);
  await sandbox.received('read_approval', { atLeast: 2 });
  const [given] = await sandbox.approvals();
  await sandbox.decide(given.approval_id);
  await again;
  await assert.rejects(patient(20)(2), lime.TimeoutError);
  await sandbox.decide((await sandbox.approvals({ status: 'pending' }))[0].approval_id);
  await assert.rejects(patient(20)(2), { reason: 'already_used' });
  await sandbox.reset();
  await sandbox.autoApprove('*');
  await gated({ a: 1, b: [2] });
  await gated({ b: [2], a: 2 });
  const [first, second, ...more] = await keys();
  assert.notEqual(first, second);
  assert.deepEqual(more, []);
  const source = `
    import { requireApproval } from 'lime-sdk';
    const gated = requireApproval('a', { dedupKey: 'auto' }, function pay() { console.log('ran'); });
    await gated({ a: 1, b: [2] }).catch((error) => console.log(error.reason));`;
  assert.deepEqual(await run(source), [0, 'already_used\n', '']);
  assert.equal((await keys()).length, 2);
});

test('processes that share a journal let an approval through once', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  const journal = path.join(temporaryFolder(t), 'journal');
  const source = `
    import { requireApproval } from 'lime-sdk';
    const gated = requireApproval('a', { dedupKey: 'job-1', journal: process.env.JOURNAL, pollInterval: 10 }, () => 'ran');
    console.log(await gated().catch((error) => error.reason));`;
  const runs = await Promise.all(Array.from({ length: 4 }, () => run(source, { environment: { JOURNAL: journal } })));
  assert.deepEqual(runs.map(([code, out, errors]) => [code, errors, out]).sort(), [
    ...Array(3).fill([0, '', 'already_used\n']),
    [0, '', 'ran\n'],
  ]);
  assert.equal(readdirSync(journal).length, 1);
  // Of where the program was when it gated, and made with what is above it.
  const before = process.cwd();
  process.chdir(path.dirname(journal));
  t.after(() => process.chdir(before));
  const relative = requireApproval('a', { dedupKey: 'job-2', journal: 'made/below', pollInterval: 10 }, () => 'ran');
  process.chdir(before);
  assert.equal(await relative(), 'ran');
  assert.equal(readdirSync(path.join(path.dirname(journal), 'made/below')).length, 1);
  const file = path.join(journal, readdirSync(journal)[0]);
  let ran = false;
  const broken = requireApproval('a', { journal: path.join(file, 'below') }, () => (ran = true));
  await assert.rejects(broken(), { code: 'ENOTDIR' });
  assert(!ran);
  for (const wrong of ['', 7]) assert.throws(() => requireApproval('a', { journal: wrong }), lime.InvalidArgumentError);
  // The same name as the other languages give it.
  const { createHash } = await import('node:crypto');
  const [{ approval_id: id }] = await sandbox.approvals();
  assert(existsSync(path.join(journal, createHash('sha256').update(id).digest('hex'))));
});

test('shown arguments hide secrets and stay JSON', async (t) => {
  const sandbox = await sandboxFor(t);
  await sandbox.autoApprove('*');
  class Secret {
    #hidden = 'x';
    field = 'y';
    value() {
      return this.#hidden;
    }
  }
  const show = async (args, run_, options = {}) => {
    await requireApproval('a', { context: 'auto', ...options }, run_)(...args);
    return (await sandbox.approvals()).at(-1).context.arguments;
  };
  assert.deepEqual(
    await show([1, 'hunter2', 'Bearer abcdefgh'], (amount, password, note) => [amount, password, note]),
    {
      amount: 1,
      password: '[redacted]',
      note: 'Bearer [redacted]',
    },
  );
  const deep = { user: 'u', apiKey: 'k', list: [['password', 'p'], ['--token', 't', '--pin=1'], { Cookie: 'c' }] };
  assert.deepEqual(await show([deep], ({ user }) => user), {
    'argument 1': {
      user: 'u',
      apiKey: '[redacted]',
      list: [['password', '[redacted]'], ['--token', '[redacted]', '--pin=[redacted]'], { Cookie: '[redacted]' }],
    },
  });
  const kinds = [
    10n ** 30n,
    Number.NaN,
    undefined,
    Symbol('s'),
    () => 1,
    new Date(0),
    Buffer.from('abc'),
    new Secret(),
    new Map([
      ['secret', 1],
      ['b', new Set([2])],
    ]),
    'x'.repeat(2000),
    'postgres://u:p@host/db',
    '\ud800',
  ];
  const { values } = await show([kinds], (values) => values);
  assert.deepEqual(values.slice(0, 9), [
    `1${'0'.repeat(30)}`,
    'NaN',
    null,
    '<symbol>',
    '<function>',
    '1970-01-01T00:00:00.000Z',
    '<3 bytes>',
    '<Secret>',
    { secret: '[redacted]', b: [2] },
  ]);
  assert.equal(values[9].length, 1001);
  assert.deepEqual(values.slice(10), ['postgres://[redacted]@host/db', '\ufffd']);
  assert.deepEqual(await show(['a', 'b', 'c'], (one, { two } = {}, ...rest) => [one, two, rest]), {
    one: 'a',
    'argument 2': 'b',
    rest: ['c'],
  });
  assert.deepEqual(await show(['a', 'b'], (url = 'http://a/', ...passwords) => [url, passwords]), {
    url: 'a',
    passwords: '[redacted]',
  });
  assert.deepEqual(await show(['a', 'b'], (...rest) => rest, { parameters: ['shown', 'hidden'], redact: ['HIDDEN'] }), {
    shown: 'a',
    hidden: '[redacted]',
  });
  await requireApproval('a', { context: { a: 1 }, redact: (context) => ({ ...context, b: 2 }) }, () => {})();
  assert.deepEqual((await sandbox.approvals()).at(-1).context, { a: 1, b: 2 });
});

test('a process that was killed is followed by one that finishes the call', async (t) => {
  const sandbox = await sandboxFor(t);
  const source = `
    import { requireApproval } from 'lime-sdk';
    const gated = requireApproval('a', { dedupKey: 'job-7', pollInterval: 10 }, () => console.log('ran'));
    await gated();`;
  const { spawn } = await import('node:child_process');
  const first = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: 'ignore' });
  const [{ approval_id: id }] = await sandbox.approvals({ status: 'pending', atLeast: 1 });
  first.kill('SIGKILL');
  await once(first, 'close');
  await sandbox.decide(id);
  assert.deepEqual(await run(source), [0, 'ran\n', '']);
  assert.equal((await sandbox.approvals()).length, 1);
});
