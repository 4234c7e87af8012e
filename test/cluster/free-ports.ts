import { createServer } from 'node:net';

/** First ports of a cluster: AMQP, MQTT, STOMP, management, client gRPC, node to node. */
const BASES = [5_672, 1_883, 61_613, 15_672, 7_672, 25_672] as const;
const OFFSET_MIN = 100;
/** Above it STOMP's ports would pass 65,535. */
const OFFSET_MAX = 3_900;

/** A `--port-offset` for which every port of a cluster of so many nodes is free at this moment. */
export async function freePortOffset(nodes = 3): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const offset = OFFSET_MIN + Math.floor(Math.random() * (OFFSET_MAX - OFFSET_MIN));
    const ports = BASES.flatMap(base => Array.from({ length: nodes }, (_, node) => base + node + offset));
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return offset;
  }
  throw new Error('found no offset with free ports in 100 attempts');
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
