// Prints each file's failures and warnings in full, everything else in one line, when the file is done: where a run hangs,
// it shows after which file; and the totals that tools/test.py counts.

import path from 'node:path';
import { inspect } from 'node:util';

export default async function* reporter(source) {
  const counts = { pass: 0, fail: 0 };
  const files = new Map();
  for await (const { type, data } of source) {
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
    // What goes wrong after its test has ended makes the file fail, and is told nowhere else.
    if (type === 'test:diagnostic' && /^(Warning|Error): /.test(data.message)) yield `${data.message}\n`;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    // A suite, or a file as such, is no test; but one that fails by itself is a failure.
    const group = data.details.type === 'suite' || data.name === data.file || path.resolve(data.name) === data.file;
    const ok = type === 'test:pass';
    if (group && (ok || data.details.error?.failureType === 'subtestsFailed')) {
      const done = path.basename(data.name);
      if (files.has(done)) yield line(done, files.get(done));
      files.delete(done);
      continue;
    }
    counts[ok ? 'pass' : 'fail'] += 1;
    const file = path.basename(data.file ?? data.name);
    files.set(file, (files.get(file) ?? 0) + 1);
    if (!ok) {
      const { error } = data.details;
      yield `not ok ${file}: ${data.name}\n${inspect(error.cause ?? error, { depth: 4 })}\n`;
    }
  }
  for (const [file, count] of files) yield line(file, count);
  yield `# pass ${counts.pass}\n# fail ${counts.fail}\n`;
}

function line(file, count) {
  return `   ${String(count).padStart(5)}  ${file}\n`;
}
