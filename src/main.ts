import { DEV_FLAGS, runDev } from './cli/dev.ts';
import { complain, runServer, SERVER_FLAGS } from './cli/server.ts';
import { runStatus, STATUS_FLAGS } from './cli/status.ts';
import { environmentName, OPTIONS } from './config.ts';
import { VERSION } from './version.ts';

const COMMANDS = {
  server: { run: runServer, flags: SERVER_FLAGS, help: 'run one node' },
  dev: { run: runDev, flags: DEV_FLAGS, help: 'run a cluster of three nodes on this machine' },
  status: { run: runStatus, flags: STATUS_FLAGS, help: 'show nodes, shards and queues' },
} as const;
type CommandName = keyof typeof COMMANDS;

function helpOf(name: CommandName): string {
  const { help: text, flags } = COMMANDS[name];
  const lines = flags.map(flag => `      --${flag.name}${flag.takesValue ? ' VALUE' : ''}  ${flag.help}`);
  return [`  warren ${name}  ${text}`, ...lines].join('\n');
}

function help(): string {
  const commands = (Object.keys(COMMANDS) as CommandName[]).map(helpOf);
  const options = OPTIONS.map(
    option =>
      `  ${option.path} (${environmentName(option.path)}, default ${JSON.stringify(option.fallback)})  ${option.help}`,
  );
  return `warren ${VERSION}\n\n${commands.join('\n')}\n\nConfiguration of a node:\n${options.join('\n')}\n  peers (WARREN_PEERS)  all nodes of the cluster, name=host:port, separated by commas\n`;
}

async function main(given: readonly string[]): Promise<number> {
  const [name, ...rest] = given;
  if (name === undefined || name === 'help' || name === '--help') {
    process.stdout.write(help());
    return 0;
  }
  if (name === 'version' || name === '--version') {
    process.stdout.write(`${VERSION}\n`);
    return 0;
  }
  if (!Object.hasOwn(COMMANDS, name))
    return complain(`there is no command "${name}"; there are ${Object.keys(COMMANDS).join(', ')}`);
  if (rest.includes('--help')) {
    process.stdout.write(`${helpOf(name as CommandName)}\n`);
    return 0;
  }
  return COMMANDS[name as CommandName].run(rest);
}

/** A broken invariant, or a mistake nobody foresaw: the state of this process cannot be trusted, so it ends (R18). */
function die(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`warren: stopped: ${text}\n`);
  process.exit(70);
}

process.on('uncaughtException', die);
process.on('unhandledRejection', die);
const exitCode = await main(process.argv.slice(2));
// A pipe takes long output in pieces: the process ends when the last one is out.
process.stdout.write('', () => process.exit(exitCode));
