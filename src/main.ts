import { runCommand } from './cli/commands.ts';

/** A broken invariant, or a mistake nobody foresaw: the state of this process cannot be trusted, so it ends (R18). */
function die(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`warren: stopped: ${text}\n`);
  process.exit(70);
}

process.on('uncaughtException', die);
process.on('unhandledRejection', die);
// Whoever read our output has seen enough.
process.stdout.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? process.exit(0) : die(error)));
const exitCode = await runCommand(process.argv.slice(2));
// A pipe takes long output in pieces: the process ends when the last one is out.
process.stdout.write('', () => process.exit(exitCode));
