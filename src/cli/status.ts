import type { GetStatusResponse } from '../gen/warren/v1/admin_pb.ts';
import { CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import { type Command, EXIT_OK, print } from './command.ts';
import { type Cell, textTable } from './table.ts';

const TIMEOUT_MS = 5_000;

export const STATUS_COMMAND: Command = {
  name: 'status',
  help: 'Show nodes, shards and queues',
  flags: [{ name: 'json', help: 'for programs: one object' }, ...CONNECTION_FLAGS],
  run: ({ flags }) =>
    withAdmin(flags, async client => {
      const answer = await client.call('getStatus', {}, TIMEOUT_MS);
      print(flags.has('json') ? `${JSON.stringify(toJson(answer))}\n` : toText(answer));
      return EXIT_OK;
    }),
};

const known = (value: bigint | number | undefined): number | null => (value === undefined ? null : Number(value));

/** The shape that DESIGN's scripts rely on: absent values are null. */
function toJson(answer: GetStatusResponse): object {
  return {
    cluster: { id: answer.clusterId, name: answer.clusterName },
    nodes: answer.nodes.map(node => ({
      name: node.name,
      id: node.id,
      pid: known(node.pid),
      up: node.up,
      address: node.address,
      diskAlarm: node.diskAlarm,
      memoryAlarm: node.memoryAlarm,
      connections: known(node.connections),
    })),
    shards: answer.shards.map(shard => ({
      id: shard.id,
      leader: shard.leader ?? null,
      replicas: shard.replicas,
      term: Number(shard.term),
      commit: Number(shard.commit),
      lag: known(shard.lag),
    })),
    queues: answer.queues.map(queue => ({
      vhost: queue.vhost,
      name: queue.name,
      durable: queue.durable,
      shard: known(queue.shard),
      leader: queue.leader ?? null,
      ready: known(queue.ready),
      unacked: known(queue.unacked),
      consumers: known(queue.consumers),
    })),
  };
}

function stateOf({ up, diskAlarm, memoryAlarm }: GetStatusResponse['nodes'][number]): string {
  if (!up) return 'down';
  return ['up', ...(diskAlarm ? ['low on disk'] : []), ...(memoryAlarm ? ['low on memory'] : [])].join(', ');
}

function toText(answer: GetStatusResponse): string {
  const { nodes, shards, queues } = answer;
  const sections = [
    `cluster ${answer.clusterName} (${answer.clusterId})`,
    table(
      ['node', 'id', 'state', 'pid', 'address', 'connections'],
      nodes.map(node => [node.name, node.id, stateOf(node), node.pid ?? '-', node.address, node.connections ?? '-']),
    ),
    table(
      ['shard', 'leader', 'replicas', 'lag'],
      shards.map(shard => [shard.id, shard.leader ?? 'none', shard.replicas.join(' '), shard.lag ?? '-']),
    ),
    table(
      ['vhost', 'queue', 'home', 'leader', 'ready', 'unacked', 'consumers'],
      queues.map(queue => [
        queue.vhost,
        queue.name,
        queue.shard === undefined ? 'memory of one node' : `shard ${queue.shard}`,
        queue.leader ?? 'none',
        queue.ready ?? '-',
        queue.unacked ?? '-',
        queue.consumers ?? '-',
      ]),
    ),
  ];
  return `${sections.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = head.map((name, at) => ({ name, value: (row: readonly Cell[]) => row[at] }));
  return textTable(columns, rows);
}
