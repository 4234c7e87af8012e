import { type FlagSpec, type Given, type Grammar, usageOf } from './arguments.ts';

/** One thing that `warren` can do. */
export interface Command extends Grammar {
  readonly help: string;
  /** More sentences, for `warren help COMMAND`. */
  readonly details?: string;
  /** Resolves with the exit code. */
  run(given: Given): Promise<number>;
}

export const EXIT_OK = 0;
export const EXIT_ERROR = 1;
/** Something was done, and something that was asked for was not. */
export const EXIT_PARTLY = 2;

/** One sentence on standard error, and the exit code for it. */
export function complain(sentence: string): number {
  process.stderr.write(`warren: ${sentence}\n`);
  return EXIT_ERROR;
}

export function print(text: string): void {
  process.stdout.write(text);
}

/** How it is typed: `users add NAME [PASSWORD]`. */
export const typed = ({ name, positionals = [] }: Grammar): string => `${name} ${usageOf(positionals)}`.trimEnd();

export const flagLines = (flags: readonly FlagSpec[]): string[] =>
  columnsOf(flags.map(({ name, value, help }) => [`--${name}${value === undefined ? '' : ` ${value}`}`, help]));

export function helpOf(command: Command): string {
  const { help, details, flags } = command;
  const parts = [`warren ${typed(command)}\n\n${help}${help.endsWith('.') ? '' : '.'}`];
  if (details !== undefined) parts.push(details);
  if (flags.length > 0) parts.push(`Options:\n${flagLines(flags).join('\n')}`);
  return `${parts.join('\n\n')}\n`;
}

/** Two columns, the first one as wide as its longest text, within reason. */
export function columnsOf(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.min(44, Math.max(...rows.map(([left]) => left.length)));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
