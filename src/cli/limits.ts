import type { Limits } from '../gen/warren/v1/admin_pb.ts';
import type { AdminClient } from './admin-client.ts';
import type { Positional } from './arguments.ts';
import { splitOnce } from './arguments.ts';
import { type AccessChange, changeCommand } from './change.ts';
import type { Command } from './command.ts';
import { type ListedPage, listCommand } from './list.ts';

const FIELDS = {
  'max-connections': 'maxConnections',
  'max-channels': 'maxChannels',
  'max-queues': 'maxQueues',
} as const;
type LimitName = keyof typeof FIELDS;

const OF = {
  vhost: { change: 'changeVhostLimits', limits: ['max-connections', 'max-queues'] },
  user: { change: 'changeUserLimits', limits: ['max-connections', 'max-channels'] },
} as const;
type Kind = keyof typeof OF;

const WHOSE: readonly Positional[] = [
  { name: 'vhost|user', count: 'one' },
  { name: 'NAME', count: 'one' },
];
const DETAILS =
  `Limits of a virtual host: ${OF.vhost.limits.join(', ')}; of a user: ${OF.user.limits.join(', ')}. They count the whole cluster.\n` +
  'The limits that are not named stay as they are.';

interface LimitRow {
  readonly kind: Kind;
  readonly name: string;
  readonly limits: Limits | undefined;
}

async function* limitRows(client: AdminClient): AsyncGenerator<ListedPage<LimitRow>> {
  const hasLimits = ({ limits }: LimitRow): boolean =>
    Object.values(FIELDS).some(field => limits?.[field] !== undefined);
  for await (const { vhosts } of client.stream('listVhosts', {})) {
    yield { rows: vhosts.map(({ name, limits }) => ({ kind: 'vhost' as const, name, limits })).filter(hasLimits) };
  }
  for await (const { users } of client.stream('listUsers', {})) {
    yield { rows: users.map(({ name, limits }) => ({ kind: 'user' as const, name, limits })).filter(hasLimits) };
  }
}

const isKind = (text: string): text is Kind => Object.hasOwn(OF, text);

/** A sentence when the words make no sense. */
function change(
  [kind, name, ...words]: readonly string[],
  take: (
    limits: { set: Partial<Record<(typeof FIELDS)[LimitName], number>>; clear: string[] },
    word: string,
  ) => boolean,
): AccessChange | string {
  if (!isKind(kind!)) return `limits are those of a vhost or a user, not of a "${kind}"`;
  const limits = { set: {}, clear: [] as string[] };
  const { limits: known, change: name_ } = OF[kind];
  for (const word of words) {
    const [limit] = splitOnce(word, '=');
    if (!(known as readonly string[]).includes(limit))
      return `a ${kind} has no limit "${limit}"; it has ${known.join(', ')}`;
    if (!take(limits, word)) return `"${word}" sets no limit; it must be like ${limit}=100`;
  }
  return { case: name_, value: { name: name!, ...limits } };
}

export const LIMIT_COMMANDS: readonly Command[] = [
  listCommand<LimitRow>({
    name: 'limits list',
    help: 'List the virtual hosts and users that have limits',
    columns: [
      { name: 'of', value: ({ kind }) => kind },
      { name: 'name', value: ({ name }) => name },
      { name: 'maxConnections', value: ({ limits }) => limits?.maxConnections },
      { name: 'maxChannels', value: ({ limits }) => limits?.maxChannels },
      { name: 'maxQueues', value: ({ limits }) => limits?.maxQueues },
    ],
    order: ['of', 'name'],
    pages: limitRows,
  }),
  changeCommand({
    name: 'limits set',
    positionals: [...WHOSE, { name: 'LIMIT=NUMBER', count: 'one' }, { name: 'LIMIT=NUMBER', count: 'many' }],
    help: 'Limit a virtual host or a user: limits set vhost billing max-connections=100 max-queues=500',
    details: DETAILS,
    change: words =>
      change(words, ({ set }, word) => {
        const [limit, value] = splitOnce(word, '=');
        if (value === undefined || !/^\d{1,10}$/.test(value)) return false;
        set[FIELDS[limit as LimitName]] = Number(value);
        return Number(value) < 2 ** 32;
      }),
  }),
  changeCommand({
    name: 'limits clear',
    positionals: [...WHOSE, { name: 'LIMIT', count: 'many' }],
    help: 'Take limits of a virtual host or a user away, those that are named or all',
    details: DETAILS,
    change: words => {
      const [kind, name, ...limits] = words;
      const all = limits.length === 0 && isKind(kind!) ? OF[kind].limits : limits;
      return change([kind!, name!, ...all], ({ clear }, word) => !word.includes('=') && clear.push(word) > 0);
    },
  }),
];
