import type { Channel, Connection, Consumer } from '../gen/warren/v1/admin_pb.ts';
import { CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import { type Command, EXIT_OK } from './command.ts';
import { argumentsCell, listCommand, VHOST_FLAG, vhostOf } from './list.ts';

const timeText = (ms: bigint): string => new Date(Number(ms)).toISOString();

async function* pagesOf<Message extends { readonly silentNodes: readonly string[] }, Row>(
  messages: AsyncIterable<Message>,
  rowsOf: (message: Message) => readonly Row[],
) {
  for await (const message of messages) yield { rows: rowsOf(message), silentNodes: message.silentNodes };
}

export const CONNECTION_COMMANDS: readonly Command[] = [
  listCommand<Connection>({
    name: 'connections list',
    help: "List clients' connections to all nodes",
    flags: [VHOST_FLAG],
    columns: [
      { name: 'id', value: ({ id }) => id },
      { name: 'node', value: ({ node }) => node },
      { name: 'user', value: ({ user }) => user },
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'peerAddress', value: ({ peerAddress }) => peerAddress },
      { name: 'protocol', value: ({ protocol }) => protocol },
      { name: 'clientName', value: ({ clientName }) => clientName },
      { name: 'product', value: ({ product }) => product },
      { name: 'version', value: ({ version }) => version },
      { name: 'platform', value: ({ platform }) => platform, isDetail: true },
      { name: 'state', value: ({ state }) => state },
      { name: 'channels', value: ({ channels }) => channels },
      { name: 'heartbeatSeconds', value: ({ heartbeatSeconds }) => heartbeatSeconds, isDetail: true },
      { name: 'channelMax', value: ({ channelMax }) => channelMax, isDetail: true },
      { name: 'frameMax', value: ({ frameMax }) => frameMax, isDetail: true },
      { name: 'since', value: ({ connectedAtMs }) => timeText(connectedAtMs) },
    ],
    order: ['node', 'since', 'id'],
    pages: (client, given) => pagesOf(client.stream('listConnections', vhostOf(given)), page => page.connections),
  }),
  {
    name: 'connections close',
    positionals: [{ name: 'ID', count: 'one' }],
    flags: [{ name: 'reason', value: 'TEXT', help: 'the client is told' }, ...CONNECTION_FLAGS],
    help: 'Close a connection, on whichever node it is',
    details: 'The client is told 320 CONNECTION_FORCED and the reason. Ids are in warren connections list.',
    run: ({ positionals: [id], flags }) =>
      withAdmin(flags, async client => {
        await client.call('closeConnection', { id: id!, reason: flags.get('reason') ?? '' });
        return EXIT_OK;
      }),
  },
  listCommand<Channel>({
    name: 'channels list',
    help: 'List channels of all connections',
    flags: [VHOST_FLAG],
    columns: [
      { name: 'connection', value: ({ connection }) => connection },
      { name: 'number', value: ({ number }) => number },
      { name: 'node', value: ({ node }) => node },
      { name: 'user', value: ({ user }) => user },
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'consumers', value: ({ consumers }) => consumers },
      { name: 'unacked', value: ({ unacked }) => unacked },
      { name: 'unconfirmed', value: ({ unconfirmed }) => unconfirmed },
      { name: 'prefetch', value: ({ prefetch }) => prefetch },
      { name: 'globalPrefetch', value: ({ globalPrefetch }) => globalPrefetch },
    ],
    order: ['node', 'connection', 'number'],
    pages: (client, given) => pagesOf(client.stream('listChannels', vhostOf(given)), page => page.channels),
  }),
  listCommand<Consumer>({
    name: 'consumers list',
    help: 'List consumers of all channels',
    flags: [VHOST_FLAG],
    columns: [
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'queue', value: ({ queue }) => queue },
      { name: 'tag', value: ({ tag }) => tag },
      { name: 'connection', value: ({ connection }) => connection },
      { name: 'channel', value: ({ channel }) => channel },
      { name: 'ackRequired', value: ({ ackRequired }) => ackRequired },
      { name: 'prefetch', value: ({ prefetch }) => prefetch },
      { name: 'unacked', value: ({ unacked }) => unacked },
      { name: 'exclusive', value: ({ exclusive }) => exclusive },
      { name: 'active', value: ({ active }) => active },
      { name: 'arguments', value: row => argumentsCell(row.arguments) },
    ],
    order: ['vhost', 'queue', 'tag'],
    pages: (client, given) => pagesOf(client.stream('listConsumers', vhostOf(given)), page => page.consumers),
  }),
];
