// Measurements in Node: `node.mjs ours|jose|crypto passport JWT KEYS-FILE`, `node.mjs ours|fetch requests TASKS`.
// Reads LIME_API_BASE and LIME_SITE_TOKEN. Prints `ready`, then does as much as each line of standard input says and
// answers with a line of JSON, as turns.py does.

import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [who, what, argument, keysFile] = process.argv.slice(2);
const base = process.env.LIME_API_BASE;

const work = {
  'ours passport': async () => {
    const { LimeSite } = await import('lime-sdk');
    const site = new LimeSite();
    return async (count) => {
      for (let i = 0; i < count; i++) await site.verifyPassport(argument);
    };
  },
  // What jose does for a site: signature, audience, times.
  'jose passport': async () => {
    const { createLocalJWKSet, jwtVerify } = await import('jose');
    const keys = createLocalJWKSet(JSON.parse(readFileSync(keysFile, 'utf8')));
    return async (count) => {
      for (let i = 0; i < count; i++) await jwtVerify(argument, keys, { audience: 'lime-site-login', algorithms: ['RS256'] });
    };
  },
  // The signature and the parsing alone, as few lines as there can be.
  'crypto passport': async () => {
    const key = createPublicKey({ key: JSON.parse(readFileSync(keysFile, 'utf8')).keys[0], format: 'jwk' });
    return async (count) => {
      for (let i = 0; i < count; i++) {
        const [header, payload, signature] = argument.split('.');
        if (!verify('sha256', Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url'))) throw new Error('bad');
        JSON.parse(Buffer.from(payload, 'base64url').toString());
      }
    };
  },
  'ours requests': async () => {
    const { LimeSite } = await import('lime-sdk');
    const site = new LimeSite();
    return (count) => atOnce(count, () => site.createLoginRequest());
  },
  'fetch requests': async () => {
    const address = `${base}/modules/agent-login/requests`;
    const headers = { 'x-site-token': process.env.LIME_SITE_TOKEN, 'content-type': 'application/json' };
    return (count) =>
      atOnce(count, async () => {
        const answer = await fetch(address, { method: 'POST', headers, body: '{}' });
        const { data } = await answer.json();
        return data.login_request_id;
      });
  },
};

async function atOnce(count, one) {
  const tasks = Number(argument);
  const share = Math.max(Math.floor(count / tasks), 1);
  await Promise.all(
    Array.from({ length: tasks }, async () => {
      for (let i = 0; i < share; i++) await one();
    }),
  );
  return share * tasks;
}

const run = await work[`${who} ${what}`]();
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const cpu = process.cpuUsage();
  const begun = performance.now();
  const count = (await run(Number(line))) ?? Number(line);
  const wall = (performance.now() - begun) / 1e3;
  const used = process.cpuUsage(cpu);
  console.log(JSON.stringify({ count, wall, cpu: (used.user + used.system) / 1e6 }));
}
process.exit(0);
