/** Options of a command line: `--name value`, `--name=value`, `--switch`. */
export interface FlagSpec {
  readonly name: string;
  /** What stands for its value in the help; a switch has none. */
  readonly value?: string;
  readonly help: string;
}

export interface Positional {
  readonly name: string;
  /** `many`: any number of them, at the end. */
  readonly count: 'one' | 'maybe' | 'many';
}

export interface Grammar {
  /** As it is typed: `users add`. */
  readonly name: string;
  readonly positionals?: readonly Positional[];
  readonly flags: readonly FlagSpec[];
}

export interface Given {
  readonly positionals: readonly string[];
  readonly flags: ReadonlyMap<string, string>;
}

export type ParsedArguments =
  | { readonly ok: true; readonly given: Given }
  | { readonly ok: false; readonly error: string };

/** Takes a command line apart, or says in one sentence what is wrong with it and what would be right. Behind `--` there are no options. */
export function parseArguments(grammar: Grammar, given: readonly string[]): ParsedArguments {
  const flags = new Map<string, string>();
  const positionals: string[] = [];
  const wrong = (text: string): ParsedArguments => ({ ok: false, error: `warren ${grammar.name}${text}` });
  let isOption = true;
  for (let i = 0; i < given.length; i++) {
    const text = given[i]!;
    if (isOption && text === '--') isOption = false;
    else if (!isOption || !text.startsWith('-') || text === '-') positionals.push(text);
    else {
      const [flag, inline] = splitOnce(text, '=');
      const spec = grammar.flags.find(({ name }) => flag === `--${name}`);
      if (spec === undefined) return wrong(unknownFlag(flag, grammar.flags));
      if (spec.value === undefined && inline !== undefined) return wrong(`: ${flag} takes no value`);
      const value = spec.value === undefined ? '' : (inline ?? given[++i]);
      if (value === undefined) return wrong(`: ${flag} needs a value, ${spec.value}`);
      flags.set(spec.name, value);
    }
  }
  const counted = checkPositionals(grammar.positionals ?? [], positionals);
  return counted === undefined ? { ok: true, given: { positionals, flags } } : wrong(counted);
}

function checkPositionals(specs: readonly Positional[], given: readonly string[]): string | undefined {
  const missing = specs.find(({ count }, at) => count === 'one' && given[at] === undefined);
  if (missing !== undefined) return ` needs ${missing.name}: ${usageOf(specs)}`;
  const isMany = specs.some(({ count }) => count === 'many');
  if (isMany || given.length <= specs.length) return undefined;
  const wanted = specs.length === 0 ? 'takes options only' : `takes ${usageOf(specs)}`;
  return ` does not know ${given[specs.length]}; it ${wanted}`;
}

const WORDS = {
  one: (name: string) => name,
  maybe: (name: string) => `[${name}]`,
  many: (name: string) => `[${name} ...]`,
};

export const usageOf = (specs: readonly Positional[]): string =>
  specs.map(({ name, count }) => WORDS[count](name)).join(' ');

function unknownFlag(flag: string, flags: readonly FlagSpec[]): string {
  const known = flags.map(({ name }) => `--${name}`);
  const near = known.find(name => name.startsWith(flag) || flag.startsWith(name) || isNear(name, flag));
  return ` does not know ${flag}; ${near === undefined ? `it knows ${known.join(', ')}` : `did you mean ${near}?`}`;
}

/** One letter was left out, added, changed, or swapped with its neighbour. */
export function isNear(a: string, b: string): boolean {
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const rest = (text: string, skip: number): string => text.slice(start + skip);
  const swapped = a[start] === b[start + 1] && a[start + 1] === b[start] && rest(a, 2) === rest(b, 2);
  return swapped || rest(a, 1) === rest(b, 1) || rest(a, 1) === rest(b, 0) || rest(a, 0) === rest(b, 1);
}

/** A whole number of an option, or a sentence. */
export function wholeNumber(flag: string, text: string, min: number, max: number): number | string {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max
    ? value
    : `--${flag} is "${text}"; it must be a whole number from ${min} to ${max}`;
}

export function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
