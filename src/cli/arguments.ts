/** Flags of a command line: `--name value`, `--name=value`, `--switch`. An unknown flag is one sentence. */
export interface FlagSpec {
  readonly name: string;
  readonly takesValue: boolean;
  readonly help: string;
}

export type Flags =
  | { readonly ok: true; readonly values: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly error: string };

export function parseFlags(command: string, given: readonly string[], specs: readonly FlagSpec[]): Flags {
  const values = new Map<string, string>();
  const known = specs.map(({ name }) => `--${name}`).join(', ');
  for (let i = 0; i < given.length; i++) {
    const [flag, inline] = splitOnce(given[i]!, '=');
    const spec = specs.find(({ name }) => flag === `--${name}`);
    if (spec === undefined)
      return { ok: false, error: `warren ${command} does not know ${given[i]}; it knows ${known}` };
    if (!spec.takesValue && inline !== undefined)
      return { ok: false, error: `warren ${command}: ${flag} takes no value` };
    const value = spec.takesValue ? (inline ?? given[++i]) : (inline ?? '');
    if (value === undefined) return { ok: false, error: `warren ${command}: ${flag} needs a value` };
    values.set(spec.name, value);
  }
  return { ok: true, values };
}

/** A whole number of a flag, or a sentence. */
export function wholeNumber(flag: string, text: string, min: number, max: number): number | string {
  const value = Number(text);
  return /^\d+$/.test(text) && value >= min && value <= max
    ? value
    : `--${flag} is "${text}"; it must be a whole number from ${min} to ${max}`;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
