import { describe, expect, it } from 'vitest';
import { parseArguments, wholeNumber } from '../../../src/cli/arguments.ts';

const DEV = {
  name: 'dev',
  flags: [
    { name: 'dir', value: 'DIR', help: '' },
    { name: 'json', help: '' },
  ],
};
const BIND = {
  name: 'x bind',
  positionals: [
    { name: 'QUEUE', count: 'one' },
    { name: 'KEY', count: 'maybe' },
  ],
  flags: [{ name: 'vhost', value: 'VHOST', help: '' }],
} as const;
const TAGS = {
  name: 'x tag',
  positionals: [
    { name: 'NAME', count: 'one' },
    { name: 'TAG', count: 'many' },
  ],
  flags: [],
} as const;

describe('options', () => {
  it('take their values with a space or an equals sign', () => {
    const parsed = parseArguments(DEV, ['--dir', 'a=b', '--json']);
    expect(parsed.ok && [...parsed.given.flags]).toEqual([
      ['dir', 'a=b'],
      ['json', ''],
    ]);
    const joined = parseArguments(DEV, ['--dir=a=b']);
    expect(joined.ok && joined.given.flags.get('dir')).toBe('a=b');
  });

  it.each([
    [['--dri', 'x'], 'warren dev does not know --dri; did you mean --dir?'],
    [['--colour'], 'warren dev does not know --colour; it knows --dir, --json'],
    [['-j'], 'warren dev does not know -j; it knows --dir, --json'],
    [['x'], 'warren dev does not know x; it takes options only'],
    [['--dir'], 'warren dev: --dir needs a value, DIR'],
    [['--json=yes'], 'warren dev: --json takes no value'],
  ])('%j are refused with one sentence', (given, error) => {
    expect(parseArguments(DEV, given)).toEqual({ ok: false, error });
  });

  it('hold whole numbers within their bounds', () => {
    expect(wholeNumber('n', '12', 0, 20)).toBe(12);
    for (const text of ['21', '-1', '1.5', 'x', '']) expect(typeof wholeNumber('n', text, 0, 20)).toBe('string');
  });
});

describe('words beside the options', () => {
  const positionals = (grammar: Parameters<typeof parseArguments>[0], given: readonly string[]) => {
    const parsed = parseArguments(grammar, given);
    return parsed.ok ? parsed.given.positionals : parsed.error;
  };

  it('stand before, between and behind options; an empty one is a word', () => {
    expect(positionals(BIND, ['q', '--vhost', '/', ''])).toEqual(['q', '']);
  });

  it('may begin with a hyphen behind --, and one hyphen alone is a word', () => {
    expect(positionals(BIND, ['--vhost', '/', '--', '-q', '--vhost'])).toEqual(['-q', '--vhost']);
    expect(positionals(BIND, ['-'])).toEqual(['-']);
  });

  it('are neither too few nor too many', () => {
    expect(positionals(BIND, [])).toBe('warren x bind needs QUEUE: QUEUE [KEY]');
    expect(positionals(BIND, ['a', 'b', 'c'])).toBe('warren x bind does not know c; it takes QUEUE [KEY]');
    expect(positionals(TAGS, ['a', 'b', 'c'])).toEqual(['a', 'b', 'c']);
    expect(positionals(TAGS, [])).toBe('warren x tag needs NAME: NAME [TAG ...]');
  });
});
