// Preloaded into a node (NODE_OPTIONS=--require): on SIGUSR2 it collects all garbage and writes what it still holds to a
// file named after its process in COLLECTED_FOLDER. With a folder in COLLECTED_SNAPSHOTS a heap snapshot goes there, too.
const { renameSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');
const v8 = require('node:v8');
const { runInNewContext } = require('node:vm');
const { isMainThread } = require('node:worker_threads');

const folder = process.env.COLLECTED_FOLDER;

if (folder !== undefined && isMainThread && process.argv.includes('server')) {
  v8.setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  process.on('SIGUSR2', () => {
    // What the first run finalizes is garbage for the second.
    collect();
    setImmediate(() => {
      collect();
      const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
      const file = join(folder, `${process.pid}.json`);
      writeFileSync(`${file}.new`, JSON.stringify({ heapUsed, arrayBuffers, rss }));
      renameSync(`${file}.new`, file);
      if (process.env.COLLECTED_SNAPSHOTS)
        v8.writeHeapSnapshot(join(process.env.COLLECTED_SNAPSHOTS, `${process.pid}-${Date.now()}.heapsnapshot`));
    });
  });
}
