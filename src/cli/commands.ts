import { environmentName, OPTIONS } from '../config.ts';
import { VERSION } from '../version.ts';
import { AdminError, CONNECTION_FLAGS } from './admin-client.ts';
import { isNear, parseArguments } from './arguments.ts';
import { type Command, columnsOf, complain, EXIT_OK, flagLines, helpOf, print, typed } from './command.ts';
import { CONNECTION_COMMANDS } from './connections.ts';
import { DEFINITION_COMMANDS } from './definitions.ts';
import { DEV_COMMAND } from './dev.ts';
import { LIMIT_COMMANDS } from './limits.ts';
import { PERMISSION_COMMANDS } from './permissions.ts';
import { equivalentOf } from './rabbitmqctl.ts';
import { STATUS_COMMAND } from './status.ts';
import { TOPOLOGY_COMMANDS } from './topology.ts';
import { USER_COMMANDS } from './users.ts';
import { VHOST_COMMANDS } from './vhosts.ts';

const SERVER_COMMAND: Command = {
  name: 'server',
  help: 'Run one node',
  details: 'warren help configuration lists what the file may hold.',
  flags: [{ name: 'config', value: 'FILE', help: 'YAML; every key also exists as an environment variable WARREN_...' }],
  // All of a node is a lot to load for those who only ask one.
  run: async ({ flags }) => (await import('./server.ts')).runServer(flags.get('config')),
};

const COMMANDS: readonly Command[] = [
  SERVER_COMMAND,
  DEV_COMMAND,
  STATUS_COMMAND,
  ...CONNECTION_COMMANDS,
  ...TOPOLOGY_COMMANDS,
  ...USER_COMMANDS,
  ...VHOST_COMMANDS,
  ...PERMISSION_COMMANDS,
  ...LIMIT_COMMANDS,
  ...DEFINITION_COMMANDS,
];
/** Of the help: not a command. */
const CONFIGURATION = 'configuration';

/** Does what a command line says; resolves with the exit code. */
export async function runCommand(given: readonly string[]): Promise<number> {
  const [first, ...rest] = given;
  if (first === undefined || first === '--help') return printed(overview());
  if (first === 'help') return help(rest);
  if (first === 'version' || first === '--version') return printed(`${VERSION}\n`);
  const found = findCommand(given);
  if (found === undefined) {
    const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
    return rest.includes('--help') && family.length > 0 ? help([first]) : complain(unknownCommand(given));
  }
  const { command, rest: options } = found;
  const isHelp = options
    .slice(0, options.indexOf('--') < 0 ? options.length : options.indexOf('--'))
    .includes('--help');
  if (isHelp) return printed(helpOf(command));
  const parsed = parseArguments(command, options);
  if (!parsed.ok) return complain(parsed.error);
  try {
    return await command.run(parsed.given);
  } catch (error) {
    if (error instanceof AdminError || isSystemError(error)) return complain(error.message);
    throw error;
  }
}

function findCommand(given: readonly string[]): { readonly command: Command; readonly rest: string[] } | undefined {
  for (const words of [2, 1]) {
    const name = given.slice(0, words).join(' ');
    const command = COMMANDS.find(candidate => candidate.name === name);
    if (command !== undefined && name !== '') return { command, rest: given.slice(words) };
  }
  return undefined;
}

function help(words: readonly string[]): number {
  const [first] = words;
  if (first === undefined) return printed(overview());
  if (first === CONFIGURATION) return printed(configuration());
  const found = findCommand(words);
  if (found !== undefined) return printed(helpOf(found.command));
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (words.length > 1 || family.length === 0) return complain(unknownCommand(words));
  return printed(`${family.map(helpOf).join('\n')}`);
}

function unknownCommand(given: readonly string[]): string {
  const [first, second] = given as [string, string | undefined];
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name.split(' ')[1]!);
  if (family.length > 0) {
    const wanted = `there are ${family.map(word => `${first} ${word}`).join(', ')}`;
    return second === undefined || second.startsWith('-')
      ? `what about ${first}? ${wanted}`
      : `there is no command "${first} ${second}"; ${wanted}`;
  }
  const equivalent = equivalentOf(first);
  if (equivalent !== undefined)
    return `there is no command "${first}"; what rabbitmqctl does so is warren ${equivalent}`;
  const names = [...new Set([...COMMANDS.map(({ name }) => name.split(' ')[0]!), 'help', 'version'])];
  const near = names.find(name => isNear(name, first));
  return `there is no command "${first}"; ${near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`}`;
}

function overview(): string {
  const commands = COMMANDS.map((command): [string, string] => [`warren ${typed(command)}`, command.help]);
  return [
    `warren ${VERSION}`,
    columnsOf(commands).join('\n'),
    'All but server and dev ask any node of a running cluster, and take these options:',
    flagLines(CONNECTION_FLAGS).join('\n'),
    'warren help COMMAND tells more of a command, warren help configuration what a node can be told.\n',
  ].join('\n\n');
}

function configuration(): string {
  const options = OPTIONS.map((option): [string, string] => [
    `${option.path} (${environmentName(option.path)})`,
    `${option.help} (default ${JSON.stringify(option.fallback)})`,
  ]);
  const peers: [string, string] = [
    'peers (WARREN_PEERS)',
    'all nodes of the cluster; in the environment name=host:port, separated by commas',
  ];
  return `What a node can be told, as YAML keys of warren server --config FILE and as environment variables:\n\n${columnsOf([...options, peers]).join('\n')}\n`;
}

function printed(text: string): number {
  print(text);
  return EXIT_OK;
}

/** A file that cannot be written, and the like: its message says which. */
const isSystemError = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && 'syscall' in error && 'code' in error;
