import { connect } from 'amqplib';
import type { WarrenCluster } from './warren-cluster.ts';

export interface RoutingRaceResult {
  readonly published: number;
  /** Mandatory publishes that came back: the publishing node did not know the binding yet. */
  readonly unrouted: number;
}

/**
 * A queue is declared and bound through one node, and a message for it is published through the next node as soon as
 * bind-ok has arrived. What one client was told must hold for every client at once (R2).
 */
export async function raceRoutes(cluster: WarrenCluster, rounds: number): Promise<RoutingRaceResult> {
  const clients = await Promise.all(cluster.nodes.map(node => connect(cluster.url(node.name), { noDelay: true })));
  const channels = await Promise.all(clients.map(client => client.createConfirmChannel()));
  let unrouted = 0;
  for (const channel of channels) {
    channel.on('return', () => {
      unrouted++;
    });
  }
  await channels[0]!.assertExchange('race', 'direct', { durable: true });
  for (let round = 0; round < rounds; round++) {
    const declaring = channels[round % channels.length]!;
    const publishing = channels[(round + 1 + (Math.floor(round / channels.length) % 2)) % channels.length]!;
    const name = `race-${round}`;
    await declaring.assertQueue(name, { durable: true });
    await declaring.bindQueue(name, 'race', name);
    await new Promise<void>((resolve, reject) =>
      publishing.publish('race', name, Buffer.from(name), { mandatory: true }, error =>
        error === null || error === undefined ? resolve() : reject(error as Error),
      ),
    );
    await declaring.deleteQueue(name);
  }
  await Promise.all(clients.map(client => client.close()));
  return { published: rounds, unrouted };
}
