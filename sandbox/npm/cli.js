#!/usr/bin/env node

const { spawn } = require('node:child_process');
const { binary } = require('./index.js');

const child = spawn(binary(), process.argv.slice(2), { stdio: 'inherit' });
// The terminal sends Ctrl-C to both; it ends itself, and then this does.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT') child.kill(signal);
  });
}
child.on('error', (error) => {
  console.error(error.message);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code);
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
