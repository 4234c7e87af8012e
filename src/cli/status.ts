import { create } from '@bufbuild/protobuf';
import { Client, status as code, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { GetStatusRequestSchema, type GetStatusResponse } from '../gen/warren/v1/admin_pb.ts';
import { SystemClock } from '../lib/clock.ts';
import { adminServiceDefinition } from '../protocols/grpc/admin-service.ts';
import { type FlagSpec, parseFlags, wholeNumber } from './arguments.ts';
import { complain } from './server.ts';

export const STATUS_FLAGS: readonly FlagSpec[] = [
  { name: 'json', takesValue: false, help: 'one JSON object' },
  {
    name: 'address',
    takesValue: true,
    help: 'host:port of the gRPC listener of any node (default: the first that answers)',
  },
  { name: 'port-offset', takesValue: true, help: 'as given to warren dev' },
  { name: 'user', takesValue: true, help: 'user:password (default guest:guest)' },
];

const TIMEOUT_MS = 5_000;
const DEFAULT_PORT = 7672;
const NODES = 3;

/** Asks a node what runs where; without an address the nodes of `warren dev`, one after the other. */
export async function runStatus(given: readonly string[]): Promise<number> {
  const flags = parseFlags('status', given, STATUS_FLAGS);
  if (!flags.ok) return complain(flags.error);
  const offset = wholeNumber('port-offset', flags.values.get('port-offset') ?? '0', 0, 65_535 - DEFAULT_PORT);
  if (typeof offset === 'string') return complain(offset);
  const address = flags.values.get('address');
  const addresses =
    address === undefined
      ? Array.from({ length: NODES }, (_, i) => `127.0.0.1:${DEFAULT_PORT + offset + i}`)
      : [address];
  let lastError = '';
  for (const target of addresses) {
    const answer = await ask(target, flags.values.get('user') ?? 'guest:guest');
    if (typeof answer !== 'string') {
      process.stdout.write(flags.values.has('json') ? `${JSON.stringify(toJson(answer))}\n` : toText(answer));
      return 0;
    }
    lastError = answer;
  }
  return complain(`no node answered at ${addresses.join(', ')}: ${lastError}`);
}

function ask(address: string, user: string): Promise<GetStatusResponse | string> {
  return new Promise(resolve => {
    const client = new Client(address, credentials.createInsecure(), { 'grpc.enable_http_proxy': 0 });
    const metadata = new Metadata();
    metadata.set('authorization', `Basic ${Buffer.from(user).toString('base64')}`);
    const method = Object.values(adminServiceDefinition)[0]!;
    client.makeUnaryRequest<object, GetStatusResponse>(
      method.path,
      method.requestSerialize,
      method.responseDeserialize as (bytes: Buffer) => GetStatusResponse,
      create(GetStatusRequestSchema),
      metadata,
      { deadline: new SystemClock().wallMs() + TIMEOUT_MS },
      (error: ServiceError | null, response?: GetStatusResponse) => {
        client.close();
        if (response !== undefined) resolve(response);
        else resolve(error?.code === code.UNAVAILABLE ? `${error.details}` : (error?.message ?? 'no answer'));
      },
    );
  });
}

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

function table(head: readonly string[], rows: readonly (readonly (string | number | bigint)[])[]): string {
  const lines = [head, ...rows.map(row => row.map(String))];
  const widths = head.map((_, column) => Math.max(...lines.map(line => line[column]!.length)));
  return lines
    .map(line =>
      line
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
