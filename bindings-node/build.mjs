// Builds dist/: CommonJS and types by tsc, and for `import` an entry that wraps the CommonJS one, so that both
// have the same classes.
//
//     node bindings-node/build.mjs

import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const require = createRequire(import.meta.url);

const manifest = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));
const dist = path.join(here, 'dist');
rmSync(dist, { recursive: true, force: true });
const compiler = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', here], { stdio: 'inherit' });
if (status !== 0) process.exit(1);
for (const entry of Object.values(manifest.exports)) {
  if (typeof entry === 'string') continue;
  const module = path.join(here, entry.import.default);
  const wrapped = `./${path.basename(entry.require.default)}`;
  const names = Object.keys(require(path.join(dist, wrapped))).filter((name) => name !== 'default');
  const lines = [
    `import wrapped from '${wrapped}';`,
    ...names.sort().map((name) => `export const ${name} = wrapped.${name};`),
    '',
  ];
  writeFileSync(module, lines.join('\n'));
  writeFileSync(path.join(here, entry.import.types), `export * from '${wrapped}';\n`);
}
