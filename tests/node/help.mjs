// What the Node tests have in common.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { LimeSandbox } from 'lime-sdk/testing';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** A sandbox for each test: many of them count connections and requests. */
export async function sandboxFor(context, options) {
  const sandbox = await LimeSandbox.start(options);
  sandbox.useEnvironment();
  context.after(() => sandbox.close());
  return sandbox;
}

/** A client that is closed after the test. */
export function closing(context, client) {
  context.after(() => client.close());
  return client;
}

/** Is fulfilled when the site's event stream is open. */
export async function untilOpen(site) {
  while (site.streamStatus.state !== 'open') await once(site, 'state', { signal: AbortSignal.timeout(30_000) });
}

/** Runs a program in a process of its own: `[exit code or signal, stdout, stderr]`. */
export function run(source, { flags = [], environment, args = [] } = {}) {
  return spawned([...flags, '--input-type=module', '--eval', source, ...args], environment);
}

/** The same with a file. */
export function runFile(file, { flags = [], environment, args = [] } = {}) {
  return spawned([...flags, file, ...args], environment);
}

async function spawned(args, environment) {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    // The test runner's own variable would make a child one of its.
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = ['', ''];
  child.stdout.on('data', (chunk) => (said[0] += chunk));
  child.stderr.on('data', (chunk) => (said[1] += chunk));
  // Nothing here takes nearly as long; one that hangs is a failure and not the end of everything.
  const watchdog = setTimeout(() => child.kill('SIGKILL'), 120_000);
  const [code, signal] = await once(child, 'close');
  clearTimeout(watchdog);
  return [code ?? signal, ...said];
}

/** A promise and what settles it. */
export function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}
