import type { Vhost } from '../gen/warren/v1/admin_pb.ts';
import type { FlagSpec } from './arguments.ts';
import { changeCommand } from './change.ts';
import type { Command } from './command.ts';
import { listCommand, onlyRows } from './list.ts';
import { splitNames } from './users.ts';

const FLAGS: readonly FlagSpec[] = [
  { name: 'description', value: 'TEXT', help: 'for people' },
  { name: 'tags', value: 'TAG,...', help: 'for people and programs' },
];

const put = (name: string, flags: ReadonlyMap<string, string>, mustBeNew: boolean) => {
  const [description, tags] = [flags.get('description'), flags.get('tags')];
  return {
    case: 'putVhost',
    value: {
      name,
      mustBeNew,
      ...(description === undefined ? {} : { description }),
      ...(tags === undefined ? {} : { tags: { tags: splitNames(tags) } }),
    },
  } as const;
};

export const VHOST_COMMANDS: readonly Command[] = [
  listCommand<Vhost>({
    name: 'vhosts list',
    help: 'List virtual hosts',
    columns: [
      { name: 'name', value: ({ name }) => name },
      { name: 'description', value: ({ description }) => description },
      { name: 'tags', value: ({ tags }) => tags },
      { name: 'maxConnections', value: ({ limits }) => limits?.maxConnections },
      { name: 'maxQueues', value: ({ limits }) => limits?.maxQueues },
      { name: 'state', value: ({ isLeaving }) => (isLeaving ? 'being deleted' : 'running') },
    ],
    order: ['name'],
    pages: client => onlyRows(client.stream('listVhosts', {}), ({ vhosts }) => vhosts),
  }),
  changeCommand({
    name: 'vhosts add',
    positionals: [{ name: 'NAME', count: 'one' }],
    flags: FLAGS,
    help: 'Add a virtual host, which nobody may enter yet: see permissions set',
    change: ([name], flags) => put(name!, flags, true),
  }),
  changeCommand({
    name: 'vhosts set',
    positionals: [{ name: 'NAME', count: 'one' }],
    flags: FLAGS,
    help: 'Change description or tags of a virtual host',
    change: ([name], flags) =>
      flags.has('description') || flags.has('tags')
        ? put(name!, flags, false)
        : 'warren vhosts set needs --description or --tags',
  }),
  changeCommand({
    name: 'vhosts delete',
    positionals: [{ name: 'NAME', count: 'one' }],
    help: 'Delete a virtual host with all its queues, messages, exchanges and permissions; its connections are closed',
    details: 'Returns when nothing of it is left.',
    change: ([name]) => ({ case: 'deleteVhost', value: { name: name! } }),
  }),
];
