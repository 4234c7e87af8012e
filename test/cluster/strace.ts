import { execFileSync } from 'node:child_process';

/** Longest string in a trace: above the largest write of the journal. */
const STRING_BYTES_MAX = 4_000_000;
const CALLS = 'write,writev,pwrite64,pwritev,fdatasync,fsync,sendmsg';

/**
 * A command line that runs what follows it under strace. -D makes the tracer a grandchild, so that the traced process
 * stays the child and signals reach it.
 */
export const straceCommand = (output: string): readonly string[] => [
  'strace',
  ...['-D', '-f', '-qq', '-e', `trace=${CALLS}`, '-ttt', '-T', '-yy', '-xx', '-s', String(STRING_BYTES_MAX)],
  ...['-o', output],
];

/** Installs strace when the machine does not have it. */
export function requireStrace(): void {
  try {
    execFileSync('strace', ['-V'], { stdio: 'ignore' });
  } catch {
    execFileSync('apt-get', ['install', '-y', '-q', 'strace'], { stdio: 'inherit' });
  }
}
