// The boundary: how processes and workers end, what keeps them alive, and what is left behind. Each in a process of its
// own; exit code 0 and a silent stderr say that nothing native has crashed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, sandboxFor } from './help.mjs';

const IMPORTS = `
  import { once } from 'node:events';
  import { LimeAgent, LimeSite, Sesame, TokenVerifier, requireApproval } from 'lime-sdk';
  import { LimeSandbox } from 'lime-sdk/testing';
  const sandbox = await LimeSandbox.connect(process.env.CONTROL);
  const open = async (site) => {
    while (site.streamStatus.state !== 'open') await new Promise((resolve) => site.once('state', resolve));
  };
`;

const start = async (t, source, options = {}) => {
  const sandbox = await sandboxFor(t);
  const environment = { CONTROL: sandbox.controlUrl, ...options.environment };
  return [sandbox, await run(IMPORTS + source, { ...options, environment })];
};

const ends = {
  'nothing was started': ['new LimeSite(); new LimeAgent(); new Sesame();', 0],
  'nothing was closed': ['await new LimeSite().createLoginRequest();', 0],
  'a stream is open and unref was called': [
    "const site = new LimeSite(); site.on('login', () => {}); await open(site); site.unref();",
    0,
  ],
  'an iterator is waiting and unref was called': [
    'const site = new LimeSite(); site.events().next(); await open(site); site.unref();',
    0,
  ],
  'the handler was removed': [
    "const site = new LimeSite(); const handler = () => {}; site.on('login', handler); await open(site); site.off('login', handler);",
    0,
  ],
  'a once handler has run': [
    "const site = new LimeSite(); site.once('login', () => {}); await open(site); await sandbox.approveLogin(await site.createLoginRequest());",
    0,
  ],
  'the loop was left': [
    `const site = new LimeSite();
     setImmediate(async () => { await open(site); await sandbox.approveLogin(await site.createLoginRequest()); });
     for await (const event of site.events()) { void event; break; }`,
    0,
  ],
  'it was closed': [
    "const site = new LimeSite(); site.on('login', () => {}); await open(site); await site.close();",
    0,
  ],
  'it exits in a handler': [
    "const site = new LimeSite(); site.on('login', () => process.exit(7)); await open(site); await sandbox.approveLogin(await site.createLoginRequest());",
    7,
  ],
  'it exits with calls under way': [
    `const site = new LimeSite(); await open((site.events(), site));
     for (let n = 0; n < 50; n += 1) { site.waitForLogin('lr_' + n).catch(() => {}); site.createLoginRequest(); }
     setImmediate(() => process.exit(3));`,
    3,
  ],
  'it aborts a call and ends': [
    `const controller = new AbortController();
     const waiting = new LimeSite().waitForLogin('lr_1', { signal: controller.signal });
     setImmediate(() => controller.abort());
     await waiting.catch((error) => console.log(error.name));`,
    0,
    'AbortError\n',
  ],
  'a fetch of its own is streaming': [
    "const site = new LimeSite({ fetch }); site.on('login', () => {}); await open(site); await site.close();",
    0,
  ],
};

for (const [name, [source, code, out = '']] of Object.entries(ends)) {
  test(`ends: ${name}`, async (t) => {
    const [, [ended, said, errors]] = await start(t, source);
    assert.deepEqual([ended, said, errors], [code, out, '']);
  });
}

test('a handler keeps the process alive until it is told otherwise', async (t) => {
  const [, [code, out, errors]] = await start(
    t,
    `const site = new LimeSite();
     site.unref().on('login', ({ requestId }) => { console.log('handled'); site.unref(); }).ref();
     open(site).then(() => site.createLoginRequest()).then((request) => sandbox.approveLogin(request));`,
  );
  assert.deepEqual([code, out, errors], [0, 'handled\n', '']);
});

test('an uncaught exception and SIGTERM end it as they always do', async (t) => {
  const listening = "const site = new LimeSite(); site.on('login', () => {}); await open(site);";
  const [, [code, , errors]] = await start(t, `${listening} setImmediate(() => { throw new Error('uncaught'); });`);
  assert.equal(code, 1);
  assert.match(errors, /Error: uncaught/);
  const [, [signal]] = await start(t, `${listening} process.kill(process.pid, 'SIGTERM');`);
  assert.equal(signal, 'SIGTERM');
});

const WRONG = `
  const wrong = [
    () => { throw new Error('thrown'); },
    async () => { throw new Error('rejected'); },
    () => ({ then(_, reject) { reject(new Error('thenable')); } }),
    () => ({ then() { throw new Error('then throws'); } }),
    () => ({ get then() { throw new Error('no then'); } }),
    () => { throw null; },
    () => undefined,
  ];
  const site = new LimeSite();
  for (const handler of wrong) site.on('login', handler);
  for (const handler of wrong) site.on('state', handler);
  let handled = 0;
  site.on('login', () => { handled += 1; if (handled === 2) { console.log('both'); site.close(); } });
`;

test('handlers that fail never end the process, with strict rejections and without an error handler', async (t) => {
  const deliver =
    'await open(site); for (let n = 0; n < 2; n += 1) await sandbox.approveLogin(await site.createLoginRequest());';
  const flags = ['--unhandled-rejections=strict'];
  const [, [code, out, errors]] = await start(t, WRONG + deliver, { flags });
  assert.deepEqual([code, out], [0, 'both\n'], errors);
  // They are warnings then: seen, and no more than that.
  for (const what of ['thrown', 'rejected', 'thenable', 'then throws', 'no then', 'null'])
    assert(errors.includes(what), what);

  const listened = await start(t, `${WRONG} site.on('error', (error) => { throw error; });${deliver}`, { flags });
  assert.deepEqual(listened[1].slice(0, 2), [0, 'both\n'], listened[1][2]);
  const rejecting = await start(t, `${WRONG} site.on('error', async (error) => { throw error; });${deliver}`, {
    flags,
  });
  assert.deepEqual(rejecting[1].slice(0, 2), [0, 'both\n'], rejecting[1][2]);
  const quiet = await start(t, `${WRONG} site.on('error', () => {});${deliver}`, { flags });
  assert.deepEqual(quiet[1], [0, 'both\n', '']);
});

test('a logger that throws costs nothing but a warning', async (t) => {
  const [, [code, out, errors]] = await start(
    t,
    `const log = () => { throw new Error('logger'); };
     const site = new LimeSite({ logger: { debug: log, info: log, warn: log, error: log } });
     site.on('login', () => { throw new Error('handler'); });
     await open(site);
     const request = await site.createLoginRequest();
     await sandbox.approveLogin(request);
     await site.waitForLogin(request.requestId);
     await site.close();
     console.log('done');`,
    { flags: ['--unhandled-rejections=strict'] },
  );
  assert.deepEqual([code, out], [0, 'done\n'], errors);
  assert.match(errors, /Error: logger/);

  const rejecting = await start(
    t,
    `const site = new LimeSite({ logger: { debug: async () => { throw new Error('logger'); } } });
     await site.createLoginRequest();
     await site.close();
     console.log('done');`,
    { flags: ['--unhandled-rejections=strict'] },
  );
  assert.deepEqual(rejecting[1].slice(0, 2), [0, 'done\n'], rejecting[1][2]);
  assert.match(rejecting[1][2], /Error: logger/);
});

test('a native module that is not there is no verdict on a webhook, and its search looks up no host', async () => {
  const [code, out, errors] = await run(
    `import { signWebhook, verifyWebhook, WebhookVerificationError } from 'lime-sdk';
     import { webhook } from 'lime-sdk/express';
     import { webhooks } from 'lime-sdk/fastify';
     const seen = [];
     const { report } = process;
     const { getReport } = report;
     report.getReport = () => {
       seen.push(report.excludeNetwork);
       return getReport.call(report);
     };
     for (const work of [
       () => verifyWebhook({}, '{}', 'secret'),
       () => webhook({ secret: 'secret' }),
       () => webhooks({}, { secret: 'secret', url: '/hook', handler() {} }),
     ]) {
       try {
         await work();
       } catch (error) {
         console.log(error instanceof WebhookVerificationError, error.message.split(',')[0]);
       }
     }
     // Names of whoever is connected would be asked for, which may take seconds.
     console.log(seen.every((excluded) => excluded === true), seen.length > 0, report.excludeNetwork);`,
    { environment: { LIME_NODE_BINARY: '/nowhere/lime.node' } },
  );
  assert.deepEqual([code, errors], [0, '']);
  assert.match(out, /^(false lime-sdk has no native module for [\w-]+\n){3}true true false\n$/);
});

test('a hundred workers are started, open a stream and are terminated', async (t) => {
  const worker = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { LimeSite } from 'lime-sdk';
    const site = new LimeSite(workerData);
    site.on('login', () => {});
    for (let n = 0; n < 5; n += 1) site.waitForLogin('lr_' + n).catch(() => {});
    site.on('state', ({ state }) => state === 'open' && parentPort.postMessage('open'));`;
  const source = (loads) => `
    import { Worker } from 'node:worker_threads';
    ${loads ? 'const own = sandbox.site(); own.on("login", () => {}); await open(own);' : ''}
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(Array.from({ length: 5 }, async () => {
        const worker = new Worker(${JSON.stringify(worker)}, {
          eval: true,
          workerData: { siteToken: sandbox.siteToken, baseUrl: sandbox.apiBase },
        });
        await once(worker, 'message');
        await worker.terminate();
      }));
    }
    // Their connections are gone with them.
    await sandbox.control('GET', '/streams?max_open=${loads ? 1 : 0}&wait_ms=20000');
    ${loads ? 'await own.createLoginRequest(); await own.close();' : ''}
    console.log('done');`;
  // With the module loaded by the main thread too, and by workers alone, which unload it.
  for (const loads of [true, false]) {
    const [, ended] = await start(t, source(loads));
    assert.deepEqual(ended, [0, 'done\n', '']);
  }
});

test('a worker has its own environment, and ends by itself', async (t) => {
  const [, ended] = await start(
    t,
    `import { Worker } from 'node:worker_threads';
     for (const name of Object.keys(process.env)) if (/^(LIME|SESAME)_/.test(name)) delete process.env[name];
     const worker = new Worker(\`
       import { LimeSite, requireApproval } from 'lime-sdk';
       const site = new LimeSite();
       const { requestId } = await site.createLoginRequest();
       console.log((await site.readLoginRequest(requestId)).status);
       console.log(await requireApproval('a', () => 'ran')());
     \`, { eval: true, env: sandbox.environment });
     await sandbox.autoApprove('*');
     worker.on('error', (error) => console.error(error));
     console.log('ended', (await once(worker, 'exit'))[0]);`,
  );
  assert.deepEqual(ended, [0, 'PENDING\nran\nended 0\n', '']);
});

test("a worker without a variable does not get the main thread's, and has its own lifetime of keys", async (t) => {
  const [, ended] = await start(
    t,
    `import { Worker } from 'node:worker_threads';
     const inWorker = async (env, source) => {
       const worker = new Worker("import { LimeAgent, LimeSite, Sesame } from 'lime-sdk';" + source, { eval: true, env });
       worker.on('error', (error) => console.error(error));
       await once(worker, 'exit');
     };
     // All are set here, and point at the sandbox.
     await inWorker({}, \`
       for (const Client of [LimeSite, LimeAgent, Sesame]) {
         try { new Client(); console.log('made'); } catch (error) { console.log(error.name); }
       }
     \`);
     const { LIME_API_BASE, ...rest } = sandbox.environment;
     await inWorker(rest, \`
       const seen = [];
       const fetch = (url) => { seen.push(new URL(url).host); throw new Error('not sent'); };
       await new LimeSite({ fetch, maxRetries: 0 }).createLoginRequest().catch(() => {});
       console.log(...seen);
     \`);
     await inWorker({ ...sandbox.environment, LIME_JWKS_CACHE_TTL_SECONDS: 'long' }, \`
       try { new LimeSite(); console.log('made'); } catch (error) { console.log(error.name, error.message); }
     \`);
     await inWorker({ ...sandbox.environment, LIME_JWKS_CACHE_TTL_SECONDS: '0' }, \`
       const seen = [];
       const site = new LimeSite({ fetch: (url, init) => { seen.push(url); return fetch(url, init); } });
       const { requestId } = await site.createLoginRequest();
       const waiting = site.waitForLogin(requestId);
       await new LimeAgent().login(requestId);
       const passport = await waiting;
       for (let round = 0; round < 2; round += 1) await site.verifyPassport(passport);
       console.log(seen.filter((url) => url.endsWith('/jwks.json')).length);
       await site.close();
     \`);`,
  );
  assert.deepEqual(ended, [
    0,
    'AuthenticationError\n'.repeat(3) +
      'lime.pics\n' +
      'InvalidArgumentError LIME_JWKS_CACHE_TTL_SECONDS must be a number of seconds\n' +
      '2\n',
    '',
  ]);
});

/** Whether it can be made, or why not. */
const MADE = `
  const made = (make) => { try { make(); return 'made'; } catch (error) { return error.name + ' ' + error.message; } };
`;

/** Runs an async function, of which there is the source, in a worker with this environment, and tells what it gives. */
const IN_WORKER = `
  import { Worker } from 'node:worker_threads';
  const inWorker = async (env, source) => {
    const worker = new Worker(${JSON.stringify(`
      import { parentPort } from 'node:worker_threads';
      import { LimeAgent, LimeSite, Sesame, TokenVerifier } from 'lime-sdk';
      ${MADE}`)} + 'parentPort.postMessage(await (' + source + ')());', { eval: true, env });
    const [[told]] = await Promise.all([once(worker, 'message'), once(worker, 'exit')]);
    return told;
  };
`;

test('what a variable cannot be is refused in the thread that has it, and in no other', async (t) => {
  const verifier = "new TokenVerifier({ expectedDomain: 'tools.example.com' })";
  const withFetch = "new TokenVerifier({ expectedDomain: 'tools.example.com', fetch })";
  const site = "new LimeSite({ siteToken: 'st_1' })";
  const agent = "new LimeAgent({ agentToken: 'at_1' })";
  const refused = [
    [
      'LIME_JWT_VERIFY_LEEWAY_SECONDS',
      verifier,
      'rubbish',
      'LIME_JWT_VERIFY_LEEWAY_SECONDS must be a number of seconds',
    ],
    ['LIME_JWKS_CACHE_TTL_SECONDS', verifier, 'rubbish', 'LIME_JWKS_CACHE_TTL_SECONDS must be a number of seconds'],
    ['LIME_JWKS_MIN_REFRESH_SECONDS', verifier, 'rubbish', 'LIME_JWKS_MIN_REFRESH_SECONDS must be a number of seconds'],
    ['LIME_JWKS_MIN_REFRESH_SECONDS', verifier, ' ', 'LIME_JWKS_MIN_REFRESH_SECONDS must be a number of seconds'],
    ['LIME_JWKS_CACHE_TTL_SECONDS', site, 'rubbish', 'LIME_JWKS_CACHE_TTL_SECONDS must be a number of seconds'],
    ['LIME_JWKS_CACHE_TTL_SECONDS', site, ' ', 'LIME_JWKS_CACHE_TTL_SECONDS must be a number of seconds'],
    ['LIME_MCP_ADDRESSES', agent, 'rubbish', 'LIME_MCP_ADDRESSES: "rubbish" is no address of an MCP server'],
    ['LIME_MCP_ADDRESSES', agent, 'a.example=fe80::1%lo', 'LIME_MCP_ADDRESSES: "a.example=fe80::1%lo" is no address'],
    ['LIME_MCP_ADDRESSES', agent, 'localhost=127.0.0.1', 'target must not be a reserved or special-use hostname'],
    ['LIME_BASE_URL', verifier, 'rubbish', 'base_url is not a URL'],
    ['LIME_VERIFY_USER_AGENT', verifier, '\u0001', 'user_agent contains characters'],
    ['LIME_VERIFY_USER_AGENT', withFetch, '\u0001', 'user_agent contains characters'],
    ['LIME_TLS_PINS', verifier, 'rubbish', 'tls_pins must be SHA-256 fingerprints'],
    ['LIME_TLS_PINS', site, 'rubbish', 'tls_pins must be SHA-256 fingerprints'],
    ['LIME_TLS_PINS', agent, 'rubbish', 'tls_pins must be SHA-256 fingerprints'],
    ['SESAME_TLS_PINS', "new Sesame({ apiKey: 'sk_1' })", 'rubbish', 'tls_pins must be SHA-256 fingerprints'],
  ];
  const [, [code, out, errors]] = await start(
    t,
    `${IN_WORKER}${MADE}
     for (const [name, source, rubbish] of ${JSON.stringify(refused)}) {
       const make = 'async () => made(() => ' + source + ')';
       delete process.env[name];
       const told = [await inWorker({ [name]: rubbish }, make)];
       process.env[name] = rubbish;
       told.push(await eval(make)(), await inWorker({}, make));
       delete process.env[name];
       console.log(JSON.stringify(told));
     }`,
  );
  assert.deepEqual([code, errors], [0, '']);
  const told = out.trim().split('\n').map(JSON.parse);
  for (const [row, [name, source, rubbish, message]] of refused.entries()) {
    const [own, main, without] = told[row];
    assert(main.startsWith(`InvalidArgumentError ${message}`), main);
    assert.deepEqual([own, without], [main, 'made'], `${name}=${rubbish}: ${source}`);
  }
});

test("a worker's own settings count, and without them the defaults and not the process's", async (t) => {
  const [, ended] = await start(
    t,
    `import { createServer } from 'node:http';
     ${IN_WORKER}
     let asked = 0;
     const server = createServer((_, response) => { asked += 1; response.writeHead(404).end(); }).listen(0, '127.0.0.1');
     await once(server, 'listening');
     const url = 'http://tools.example.invalid:' + server.address().port + '/mcp';
     const past = Math.floor(Date.now() / 1000) - 300;
     const tokens = await Promise.all(
       [{ exp: past, aud: ['mcp', 'own'] }, { aud: 'own' }].map((claims) => sandbox.mcpToken('tools.example.com', { claims })),
     );
     const work = \`async () => {
       const told = [made(() => new TokenVerifier())];
       const verifier = new TokenVerifier({ expectedDomain: 'tools.example.com' });
       for (const token of \${JSON.stringify(tokens)}) {
         told.push(await verifier.verify(token).then(() => 'verified', (error) => error.reason));
       }
       for (let round = 0; round < 2; round += 1) await verifier.warmUp();
       told.push(verifier.fetches);
       await new LimeAgent({ maxRetries: 0 }).sendPing('\${url}').catch(() => {});
       return told.join(', ');
     }\`;
     const own = {
       LIME_EXPECTED_DOMAIN: 'tools.example.com',
       LIME_OAUTH_AUDIENCE: 'own',
       LIME_VERIFY_USER_AGENT: 'own/1',
       LIME_JWT_VERIFY_LEEWAY_SECONDS: '86400',
       LIME_JWKS_CACHE_TTL_SECONDS: '0',
       LIME_JWKS_MIN_REFRESH_SECONDS: '0',
       LIME_MCP_ADDRESSES: ' a.example.com = ::1 ,, tools.example.invalid=127.0.0.1,',
     };
     for (const name of Object.keys(own)) delete process.env[name];
     console.log(await inWorker({ ...sandbox.environment, ...own }, work), asked > 0);
     Object.assign(process.env, own);
     asked = 0;
     console.log(await inWorker(sandbox.environment, work), asked > 0);
     server.close();`,
  );
  assert.deepEqual(ended, [
    0,
    'made, verified, verified, 4 true\n' +
      'InvalidArgumentError expected_domain is required, expired, wrong_audience, 2 false\n',
    '',
  ]);
});

test('a forgotten client is collected, and its stream ends', async (t) => {
  const [, ended] = await start(
    t,
    // In a function of its own: the frame of one that waits may hold the last of them.
    `const forget = async () => {
       const site = new LimeSite();
       await site.waitForLogin((await site.createLoginRequest()).requestId, { timeout: 1 }).catch(() => {});
       new LimeAgent().getProfile();
     };
     for (let round = 0; round < 20; round += 1) await forget();
     for (;;) {
       gc();
       await new Promise((resolve) => setImmediate(resolve));
       if ((await sandbox.control('GET', '/streams')).open === 0) break;
     }
     // One that listens is not forgotten.
     let handled;
     const arrived = new Promise((resolve) => { handled = resolve; });
     await (async () => { const site = new LimeSite(); site.on('login', handled); await open(site); })();
     for (let round = 0; round < 5; round += 1) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
     await sandbox.approveLogin(await new LimeSite().createLoginRequest());
     await arrived;
     console.log('done');
     process.exit();`,
    { flags: ['--expose-gc'] },
  );
  assert.deepEqual(ended, [0, 'done\n', '']);
});

test('a client that nobody holds is there until its call has ended', async (t) => {
  const [, ended] = await start(
    t,
    `for (const options of [{}, { fetch }]) {
       const { requestId } = await new LimeSite().createLoginRequest();
       const waiting = new LimeSite(options).waitForLogin(requestId, { timeout: 60000 });
       await sandbox.control('GET', '/streams?min_open=1&wait_ms=20000');
       for (let round = 0; round < 20; round += 1) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
       await sandbox.approveLogin(requestId);
       console.log(typeof (await waiting));
       for (let turn = 0; turn < 5000 && (await sandbox.control('GET', '/streams')).open > 0; turn += 1) gc();
     }
     // Between its two requests nothing but the call knows the agent.
     await sandbox.settings({ pow_difficulty: 16 });
     const { requestId } = await new LimeSite().createLoginRequest();
     let running = true;
     const login = new LimeAgent({ fetch, timeout: 5000, maxRetries: 0 }).login(requestId).finally(() => { running = false; });
     login.catch(() => {});
     while (running) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
     console.log((await login).requestId === requestId);
     process.exit();`,
    { flags: ['--expose-gc'] },
  );
  assert.deepEqual(ended, [0, 'string\nstring\ntrue\n', '']);
});

test('a forgotten client with a fetch of its own is collected, and its stream ends', async (t) => {
  const [, ended] = await start(
    t,
    `let streams = 0;
     const own = (url, init) => {
       if (url.endsWith('/events')) {
         streams += 1;
         init.signal.addEventListener('abort', () => { streams -= 1; });
       }
       return fetch(url, init);
     };
     const forget = async () => {
       const site = new LimeSite({ fetch: own });
       await site.waitForLogin((await site.createLoginRequest()).requestId, { timeout: 1 }).catch(() => {});
       await open(site);
     };
     for (let round = 0; round < 5; round += 1) await forget();
     for (let turn = 0; streams > 0 && turn < 5000; turn += 1) {
       gc();
       await new Promise((resolve) => setImmediate(resolve));
     }
     console.log(streams);
     process.exit();`,
    { flags: ['--expose-gc'] },
  );
  assert.deepEqual(ended, [0, '0\n', '']);
});

test('ten thousand waits at once share one stream', async (t) => {
  // A fetch that answers by itself: the reads that each wait begins with need no descriptors then.
  const [, ended] = await start(
    t,
    `let push;
     const stream = new ReadableStream({ start(controller) { push = (text) => controller.enqueue(new TextEncoder().encode(text)); } });
     let streams = 0;
     const answer = (data) => new Response(JSON.stringify({ ok: true, data }), { headers: { 'content-type': 'application/json' } });
     const fetch = async (url) => {
       if (!url.endsWith('/events')) return answer({ login_request_id: url.split('/').at(-1), status: 'PENDING' });
       streams += 1;
       return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
     };
     const site = new LimeSite({ fetch });
     const waits = Array.from({ length: 10000 }, (_, n) => site.waitForLogin('lr_' + n, { timeout: 300000 }));
     await open(site);
     for (let n = 0; n < 10000; n += 1) push('data: {"type":"expired","login_request_id":"lr_' + n + '"}\\n\\n');
     const ended = await Promise.all(waits);
     console.log(ended.length, ended.every((passport) => passport === null), streams);
     await site.close();`,
  );
  assert.deepEqual(ended, [0, '10000 true 1\n', '']);
});

test('memory does not grow with what is done over and over', async (t) => {
  const [, [code, out, errors]] = await start(
    t,
    `await sandbox.settings({ pow_difficulty: 1 });
     const agent = new LimeAgent();
     const gated = requireApproval('a', { pollInterval: 1 }, () => {});
     await sandbox.autoApprove('*');
     const one = async () => {
       const site = new LimeSite();
       site.on('login', () => {});
       const events = site.events();
       const { requestId } = await site.createLoginRequest({ signal: new AbortController().signal });
       await Promise.all([events.next(), agent.login(requestId)]);
       await site.verifyPassport(await site.waitForLogin(requestId), { expectedRequestId: requestId });
       await site.readLoginRequest('lr_unknown').catch(() => {});
       await site.waitForLogin('lr_1', { signal: AbortSignal.timeout(1) }).catch(() => {});
       await gated();
       await site.close();
     };
     const batch = async () => {
       for (let n = 0; n < 40; n += 1) { await Promise.all([one(), one(), one()]); }
       for (let n = 0; n < 10; n += 1) { gc(); await new Promise((resolve) => setImmediate(resolve)); }
       return process.memoryUsage();
     };
     await batch();
     await batch();
     const before = await batch();
     for (let round = 0; round < 3; round += 1) await batch();
     const after = await batch();
     console.log(JSON.stringify({ heap: after.heapUsed - before.heapUsed, rss: after.rss - before.rss }));
     process.exit();`,
    { flags: ['--expose-gc'] },
  );
  assert.deepEqual([code, errors], [0, '']);
  const { heap, rss } = JSON.parse(out);
  t.diagnostic(out);
  // 480 more rounds of everything. A leak of one event or one closure each would be a megabyte.
  assert(heap < 512 * 1024, `heap grew by ${heap}`);
  assert(rss < 16 * 1024 * 1024, `the process grew by ${rss}`);
});
