import { status } from '@grpc/grpc-js';
import type { GetStatusResponse, Queue } from '../gen/warren/v1/admin_pb.ts';
import { type AdminClient, AdminError, CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import { type Command, EXIT_OK, print } from './command.ts';
import { type Cell, textTable } from './table.ts';

const TIMEOUT_MS = 5_000;

export const STATUS_COMMAND: Command = {
  name: 'status',
  help: 'Show nodes, shards, and how much is in the queues',
  details: 'With --json also the queues, for users who may list them; `warren queues list` shows them to people.',
  flags: [{ name: 'json', help: 'for programs: one object' }, ...CONNECTION_FLAGS],
  run: ({ flags }) =>
    withAdmin(flags, async client => {
      const answer = await client.call('getStatus', {}, TIMEOUT_MS);
      print(flags.has('json') ? `${JSON.stringify(toJson(answer, await listedQueues(client)))}\n` : toText(answer));
      return EXIT_OK;
    }),
};

const known = (value: bigint | number | undefined): number | null => (value === undefined ? null : Number(value));

/** Undefined, with a sentence on standard error: the user may not see them, or the node has no place in the cluster. */
async function listedQueues(client: AdminClient): Promise<readonly Queue[] | undefined> {
  const queues: Queue[] = [];
  try {
    for await (const page of client.stream('listQueues', {})) queues.push(...page.queues);
    return queues;
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    if (error.code !== status.PERMISSION_DENIED && error.code !== status.UNAVAILABLE) throw error;
    process.stderr.write(`warren: the queues are not listed: ${error.message}\n`);
    return undefined;
  }
}

/** The shape that DESIGN's scripts rely on: absent values are null. */
function toJson(answer: GetStatusResponse, queues: readonly Queue[] | undefined): object {
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
    queueCount: answer.queueCount,
    ready: known(answer.ready),
    unacked: known(answer.unacked),
    queues:
      queues?.map(queue => ({
        vhost: queue.vhost,
        name: queue.name,
        durable: queue.durable,
        shard: known(queue.shard),
        leader: queue.leader ?? null,
        ready: known(queue.ready),
        unacked: known(queue.unacked),
        consumers: known(queue.consumers),
      })) ?? null,
  };
}

function stateOf({ up, diskAlarm, memoryAlarm }: GetStatusResponse['nodes'][number]): string {
  if (!up) return 'down';
  return ['up', ...(diskAlarm ? ['low on disk'] : []), ...(memoryAlarm ? ['low on memory'] : [])].join(', ');
}

function toText(answer: GetStatusResponse): string {
  const { nodes, shards, queueCount, ready, unacked } = answer;
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
    table(['queues', 'ready', 'unacked'], [[queueCount, ready, unacked]]),
  ];
  return `${sections.join('\n\n')}\n`;
}

function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const columns = head.map((name, at) => ({ name, value: (row: readonly Cell[]) => row[at] }));
  return textTable(columns, rows);
}
