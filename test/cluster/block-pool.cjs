// Preloaded into a node (NODE_OPTIONS=--require): on SIGUSR2 sixteen jobs block libuv's thread pool, as a hanging name
// server or disk would. They read a FIFO that nobody writes to and end when somebody opens it for writing.
const { open, close } = require('node:fs');

const JOBS = 16;
const fifo = process.env.BLOCK_POOL_FIFO;

if (fifo !== undefined && process.argv.includes('server')) {
  process.on('SIGUSR2', () => {
    for (let i = 0; i < JOBS; i++) open(fifo, 'r', (error, descriptor) => error ?? close(descriptor, () => {}));
  });
}
