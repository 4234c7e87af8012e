import type { Binding, Exchange, Queue } from '../gen/warren/v1/admin_pb.ts';
import { CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import type { FlagSpec } from './arguments.ts';
import { type Command, EXIT_OK, print } from './command.ts';
import { argumentsCell, JSON_FLAG, listCommand, numberCell, onlyRows, VHOST_FLAG, vhostOf } from './list.ts';

const IN_VHOST: FlagSpec = { name: 'vhost', value: 'VHOST', help: 'in this virtual host (default /)' };

/** How many messages are gone. */
const printGone = (verb: string, count: bigint, flags: ReadonlyMap<string, string>): void =>
  print(flags.has('json') ? `{"messages":${count}}\n` : `${verb} ${count} ${count === 1n ? 'message' : 'messages'}\n`);

export const TOPOLOGY_COMMANDS: readonly Command[] = [
  listCommand<Queue>({
    name: 'queues list',
    help: 'List queues',
    details: 'The counts are those of the nodes that lead the queues; where none answers they are not known.',
    flags: [VHOST_FLAG],
    columns: [
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'name', value: ({ name }) => name },
      { name: 'type', value: ({ type }) => type },
      { name: 'durable', value: ({ durable }) => durable },
      { name: 'autoDelete', value: ({ autoDelete }) => autoDelete, isDetail: true },
      { name: 'exclusiveOwner', value: ({ exclusiveOwner }) => exclusiveOwner, isDetail: true },
      { name: 'arguments', value: row => argumentsCell(row.arguments) },
      { name: 'shard', value: ({ shard }) => shard, isDetail: true },
      { name: 'home', value: ({ shard }) => (shard === undefined ? 'memory of one node' : `shard ${shard}`) },
      { name: 'leader', value: ({ leader }) => leader },
      { name: 'ready', value: ({ ready }) => numberCell(ready) },
      { name: 'unacked', value: ({ unacked }) => numberCell(unacked) },
      { name: 'bytes', value: ({ bytes }) => numberCell(bytes), isDetail: true },
      { name: 'consumers', value: ({ consumers }) => consumers },
    ],
    order: ['vhost', 'name'],
    pages: (client, given) => onlyRows(client.stream('listQueues', vhostOf(given)), ({ queues }) => queues),
  }),
  {
    name: 'queues purge',
    positionals: [{ name: 'QUEUE', count: 'one' }],
    flags: [IN_VHOST, JSON_FLAG, ...CONNECTION_FLAGS],
    help: 'Remove all ready messages of a queue',
    run: ({ positionals: [name], flags }) =>
      withAdmin(flags, async client => {
        const request = { vhost: flags.get('vhost') ?? '/', name: name! };
        printGone('purged', (await client.call('purgeQueue', request)).messageCount, flags);
        return EXIT_OK;
      }),
  },
  {
    name: 'queues delete',
    positionals: [{ name: 'QUEUE', count: 'one' }],
    flags: [
      IN_VHOST,
      { name: 'if-empty', help: 'only if it has no ready messages' },
      { name: 'if-unused', help: 'only if it has no consumers' },
      JSON_FLAG,
      ...CONNECTION_FLAGS,
    ],
    help: 'Delete a queue with its messages; its consumers are cancelled',
    run: ({ positionals: [name], flags }) =>
      withAdmin(flags, async client => {
        const conditions = { ifEmpty: flags.has('if-empty'), ifUnused: flags.has('if-unused') };
        const request = { vhost: flags.get('vhost') ?? '/', name: name!, ...conditions };
        printGone('deleted the queue and', (await client.call('deleteQueue', request)).messageCount, flags);
        return EXIT_OK;
      }),
  },
  listCommand<Exchange>({
    name: 'exchanges list',
    help: 'List exchanges',
    flags: [VHOST_FLAG],
    columns: [
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'name', value: ({ name }) => name },
      { name: 'type', value: ({ type }) => type },
      { name: 'durable', value: ({ durable }) => durable },
      { name: 'autoDelete', value: ({ autoDelete }) => autoDelete },
      { name: 'internal', value: ({ internal }) => internal },
      { name: 'arguments', value: row => argumentsCell(row.arguments) },
    ],
    order: ['vhost', 'name'],
    pages: (client, given) => onlyRows(client.stream('listExchanges', vhostOf(given)), ({ exchanges }) => exchanges),
  }),
  listCommand<Binding>({
    name: 'bindings list',
    help: 'List bindings, also those of the default exchange to every queue',
    flags: [VHOST_FLAG],
    columns: [
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'source', value: ({ source }) => source },
      { name: 'destinationType', value: ({ destinationType }) => destinationType },
      { name: 'destination', value: ({ destination }) => destination },
      { name: 'routingKey', value: ({ routingKey }) => routingKey },
      { name: 'arguments', value: row => argumentsCell(row.arguments) },
    ],
    order: ['vhost', 'source', 'destinationType', 'destination', 'routingKey'],
    pages: (client, given) => onlyRows(client.stream('listBindings', vhostOf(given)), ({ bindings }) => bindings),
  }),
];
