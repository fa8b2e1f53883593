const path = require('node:path');

function platform() {
  if (process.platform !== 'linux') return `${process.platform}-${process.arch}`;
  const { report } = process;
  const before = report.excludeNetwork;
  // Or it asks for the name of whoever this process is connected to, and waits for the answers.
  report.excludeNetwork = true;
  const { header } = report.getReport();
  if (before !== undefined) report.excludeNetwork = before;
  return `linux-${process.arch}-${header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}

/** The path of the program. */
exports.binary = function binary() {
  const wanted = `@lime-sdk/sandbox-${platform()}`;
  try {
    return path.join(path.dirname(require.resolve(`${wanted}/package.json`)), 'lime-sandbox');
  } catch (cause) {
    throw new Error(
      `lime-sandbox has no program for ${platform()}: ${wanted} is not installed. If there is one, it is an optional ` +
        'dependency that was left out: remove node_modules and the lock file and install again without --omit=optional',
      { cause },
    );
  }
};
