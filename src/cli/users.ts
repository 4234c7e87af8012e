import type { PutUser, User } from '../gen/warren/v1/admin_pb.ts';
import { CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import type { FlagSpec, Given } from './arguments.ts';
import { changeCommand } from './change.ts';
import { type Command, complain, EXIT_OK } from './command.ts';
import { listCommand, onlyRows } from './list.ts';
import { readNewPassword } from './passwords.ts';

const PASSWORD_FLAGS: readonly FlagSpec[] = [
  { name: 'password-hash', value: 'HASH', help: "instead of a password: RabbitMQ's base64 of salt and digest" },
  { name: 'hashing', value: 'ALGORITHM', help: 'of the hash: sha256 (default), sha512 or md5' },
  { name: 'no-password', help: 'nobody can log in with a password as this user' },
];
const TAGS_FLAG: FlagSpec = { name: 'tags', value: 'TAG,...', help: 'administrator, monitoring, ...' };
const PASSWORD_DETAILS =
  'Without a password in the command line, where others may see it in the list of processes, it is asked for, or read as\n' +
  'the first line of standard input.';

type Secret = Exclude<PutUser['password'], { case: undefined }>;

/** What a user gets: out of the options, the command line, or standard input. A sentence when that makes no sense. */
async function secretOf(user: string, { positionals, flags }: Given): Promise<Secret | string> {
  const hash = flags.get('password-hash');
  const given = [positionals[1], hash, flags.get('no-password')].filter(value => value !== undefined);
  if (given.length > 1) return 'a password, --password-hash and --no-password exclude each other';
  if (hash === undefined && flags.has('hashing'))
    return '--hashing tells how --password-hash was made, which is missing';
  if (flags.has('no-password')) return { case: 'none', value: true };
  if (hash !== undefined) {
    const hashing = flags.get('hashing') ?? 'sha256';
    if (!['sha256', 'sha512', 'md5'].includes(hashing))
      return `--hashing is "${hashing}"; it must be sha256, sha512 or md5`;
    const value = { $typeName: 'warren.v1.PasswordHash', hashing: `rabbit_password_hashing_${hashing}`, hash } as const;
    return { case: 'hash', value };
  }
  const clear = positionals[1] ?? (await readNewPassword(user));
  if (clear === undefined) return 'the two passwords differ';
  if (clear === '') return `the password of ${user} is empty; --no-password makes a user without one`;
  return { case: 'clear', value: clear };
}

async function putSecret(given: Given, mustBeNew: boolean, tags: readonly string[] | undefined): Promise<number> {
  const name = given.positionals[0]!;
  const password = await secretOf(name, given);
  if (typeof password === 'string') return complain(password);
  return withAdmin(given.flags, async client => {
    const value = { name, mustBeNew, password, ...(tags === undefined ? {} : { tags: { tags: [...tags] } }) };
    await client.call('changeAccess', { change: { case: 'putUser', value } });
    return EXIT_OK;
  });
}

export const splitNames = (text: string): string[] =>
  text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '');

export const USER_COMMANDS: readonly Command[] = [
  listCommand<User>({
    name: 'users list',
    help: 'List users',
    columns: [
      { name: 'name', value: ({ name }) => name },
      { name: 'tags', value: ({ tags }) => tags },
      { name: 'hasPassword', value: ({ hasPassword }) => hasPassword },
      { name: 'maxConnections', value: ({ limits }) => limits?.maxConnections },
      { name: 'maxChannels', value: ({ limits }) => limits?.maxChannels },
    ],
    order: ['name'],
    pages: client => onlyRows(client.stream('listUsers', {}), ({ users }) => users),
  }),
  {
    name: 'users add',
    positionals: [
      { name: 'NAME', count: 'one' },
      { name: 'PASSWORD', count: 'maybe' },
    ],
    flags: [...PASSWORD_FLAGS, TAGS_FLAG, ...CONNECTION_FLAGS],
    help: 'Add a user, who may enter no virtual host yet: see permissions set',
    details: PASSWORD_DETAILS,
    run: given => putSecret(given, true, splitNames(given.flags.get('tags') ?? '')),
  },
  changeCommand({
    name: 'users delete',
    positionals: [{ name: 'NAME', count: 'one' }],
    help: 'Delete a user and its permissions; its connections are closed',
    change: ([name]) => ({ case: 'deleteUser', value: { name: name! } }),
  }),
  {
    name: 'users change-password',
    positionals: [
      { name: 'NAME', count: 'one' },
      { name: 'PASSWORD', count: 'maybe' },
    ],
    flags: [...PASSWORD_FLAGS, ...CONNECTION_FLAGS],
    help: 'Give a user another password; its connections stay open',
    details: PASSWORD_DETAILS,
    run: given => putSecret(given, false, undefined),
  },
  changeCommand({
    name: 'users clear-password',
    positionals: [{ name: 'NAME', count: 'one' }],
    help: 'Let nobody log in with a password as this user',
    change: ([name]) => ({
      case: 'putUser',
      value: { name: name!, mustBeNew: false, password: { case: 'none', value: true } },
    }),
  }),
  changeCommand({
    name: 'users set-tags',
    positionals: [
      { name: 'NAME', count: 'one' },
      { name: 'TAG', count: 'many' },
    ],
    help: 'Give a user these tags and no others',
    details:
      'The tag administrator allows everything that this command line can do, monitoring the lists of what is going on.',
    change: ([name, ...tags]) => ({ case: 'putUser', value: { name: name!, mustBeNew: false, tags: { tags } } }),
  }),
];
