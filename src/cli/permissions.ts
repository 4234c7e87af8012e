import type { Permission, TopicPermission } from '../gen/warren/v1/admin_pb.ts';
import type { FlagSpec, Given } from './arguments.ts';
import { changeCommand } from './change.ts';
import type { Command } from './command.ts';
import { listCommand, onlyRows, VHOST_FLAG } from './list.ts';

const IN_VHOST: FlagSpec = { name: 'vhost', value: 'VHOST', help: 'in this virtual host (default /)' };
const OF_USER: FlagSpec = { name: 'of', value: 'USER', help: 'of one user (default: of all)' };
const PATTERNS =
  'Patterns are regular expressions that are found anywhere in a name; an empty one allows nothing. Behind -- a pattern may\n' +
  'begin with a hyphen.';

interface Place {
  readonly user: string;
  readonly vhost: string;
}

const isWanted =
  ({ flags }: Given) =>
  ({ user, vhost }: Place): boolean =>
    user === (flags.get('of') ?? user) && vhost === (flags.get('vhost') ?? vhost);

const vhostIn = (flags: ReadonlyMap<string, string>): string => flags.get('vhost') ?? '/';

export const PERMISSION_COMMANDS: readonly Command[] = [
  listCommand<Permission>({
    name: 'permissions list',
    help: 'List what users may configure, write and read',
    flags: [VHOST_FLAG, OF_USER],
    columns: [
      { name: 'user', value: ({ user }) => user },
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'configure', value: ({ configure }) => configure },
      { name: 'write', value: ({ write }) => write },
      { name: 'read', value: ({ read }) => read },
    ],
    order: ['user', 'vhost'],
    pages: (client, given) =>
      onlyRows(client.stream('listPermissions', {}), ({ permissions }) => permissions.filter(isWanted(given))),
  }),
  changeCommand({
    name: 'permissions set',
    positionals: [
      { name: 'USER', count: 'one' },
      { name: 'CONFIGURE', count: 'one' },
      { name: 'WRITE', count: 'one' },
      { name: 'READ', count: 'one' },
    ],
    flags: [IN_VHOST],
    help: 'Let a user enter a virtual host, and configure, write and read what these patterns match',
    details: PATTERNS,
    change: ([user, configure, write, read], flags) => ({
      case: 'setPermission',
      value: { user: user!, vhost: vhostIn(flags), configure: configure!, write: write!, read: read! },
    }),
  }),
  changeCommand({
    name: 'permissions clear',
    positionals: [{ name: 'USER', count: 'one' }],
    flags: [IN_VHOST],
    help: 'Let a user enter a virtual host no more',
    change: ([user], flags) => ({ case: 'clearPermission', value: { user: user!, vhost: vhostIn(flags) } }),
  }),
  listCommand<TopicPermission>({
    name: 'topic-permissions list',
    help: 'List the routing keys of topic exchanges that users are held to',
    flags: [VHOST_FLAG, OF_USER],
    columns: [
      { name: 'user', value: ({ user }) => user },
      { name: 'vhost', value: ({ vhost }) => vhost },
      { name: 'exchange', value: ({ exchange }) => exchange },
      { name: 'write', value: ({ write }) => write },
      { name: 'read', value: ({ read }) => read },
    ],
    order: ['user', 'vhost', 'exchange'],
    pages: (client, given) =>
      onlyRows(client.stream('listTopicPermissions', {}), ({ permissions }) => permissions.filter(isWanted(given))),
  }),
  changeCommand({
    name: 'topic-permissions set',
    positionals: [
      { name: 'USER', count: 'one' },
      { name: 'EXCHANGE', count: 'one' },
      { name: 'WRITE', count: 'one' },
      { name: 'READ', count: 'one' },
    ],
    flags: [IN_VHOST],
    help: 'Hold a user to routing keys that these patterns match when it publishes to, or binds to, a topic exchange',
    details: `${PATTERNS} {username} and {vhost} stand for the names themselves.`,
    change: ([user, exchange, write, read], flags) => ({
      case: 'setTopicPermission',
      value: { user: user!, vhost: vhostIn(flags), exchange: exchange!, write: write!, read: read! },
    }),
  }),
  changeCommand({
    name: 'topic-permissions clear',
    positionals: [
      { name: 'USER', count: 'one' },
      { name: 'EXCHANGE', count: 'maybe' },
    ],
    flags: [IN_VHOST],
    help: 'Allow a user every routing key again, of one exchange or of all',
    change: ([user, exchange], flags) => ({
      case: 'clearTopicPermission',
      value: { user: user!, vhost: vhostIn(flags), ...(exchange === undefined ? {} : { exchange }) },
    }),
  }),
];
