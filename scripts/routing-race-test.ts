import { parseArgs } from 'node:util';
import { none, note, runAcceptance } from '../test/cluster/acceptance.ts';
import { raceRoutes } from '../test/cluster/routing-race.ts';
import { DevCluster } from '../test/cluster/warren-cluster.ts';

/**
 * Declare and bind through one node, publish through another at once, 10,000 times.
 *
 *   npm run test:routing-race [-- --rounds 10000]
 */
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '10000' } } });
const rounds = Number(values.rounds);

await runAcceptance(`routing race, ${rounds} rounds`, async () => {
  const cluster = await DevCluster.start();
  try {
    const startMs = performance.now();
    const { published, unrouted } = await raceRoutes(cluster, rounds);
    return [
      note('published', published),
      none('unrouted', unrouted),
      note('declare, bind, publish and delete, ms', (performance.now() - startMs) / published),
    ];
  } finally {
    await cluster.stop();
  }
});
