// Builds dist/: CommonJS and types by tsc, and for `import` an entry that wraps the CommonJS one, so that both
// have the same classes. Beside the old one, which it then takes the place of: programs that run meanwhile find a whole one.
//
//     node bindings-node/build.mjs

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const require = createRequire(import.meta.url);

const manifest = JSON.parse(readFileSync(path.join(here, 'package.json'), 'utf8'));
const dist = path.join(here, 'dist');
const [fresh, stale] = ['new', 'old'].map((age) => path.join(here, `dist.${age}`));
for (const folder of [fresh, stale]) rmSync(folder, { recursive: true, force: true });
const compiler = path.join(path.dirname(require.resolve('typescript/package.json')), 'bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', here, '--outDir', fresh], { stdio: 'inherit' });
if (status !== 0) process.exit(1);
for (const entry of Object.values(manifest.exports)) {
  if (typeof entry === 'string') continue;
  const inFresh = (file) => path.join(fresh, path.relative('dist', file));
  const wrapped = `./${path.basename(entry.require.default)}`;
  const names = Object.keys(require(path.join(fresh, wrapped))).filter((name) => name !== 'default');
  const lines = [
    `import wrapped from '${wrapped}';`,
    ...names.sort().map((name) => `export const ${name} = wrapped.${name};`),
    '',
  ];
  writeFileSync(inFresh(entry.import.default), lines.join('\n'));
  writeFileSync(inFresh(entry.import.types), `export * from '${wrapped}';\n`);
}
if (existsSync(dist)) renameSync(dist, stale);
renameSync(fresh, dist);
rmSync(stale, { recursive: true, force: true });
