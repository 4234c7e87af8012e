import { describe, expect, it } from 'vitest';
import { parseFlags, wholeNumber } from '../../../src/cli/arguments.ts';

const SPECS = [
  { name: 'dir', takesValue: true, help: '' },
  { name: 'json', takesValue: false, help: '' },
];

describe('flags', () => {
  it('take their values with a space or an equals sign', () => {
    const flags = parseFlags('dev', ['--dir', 'a=b', '--json'], SPECS);
    expect(flags.ok && [...flags.values]).toEqual([
      ['dir', 'a=b'],
      ['json', ''],
    ]);
    const joined = parseFlags('dev', ['--dir=a=b'], SPECS);
    expect(joined.ok && joined.values.get('dir')).toBe('a=b');
  });

  it.each([
    [['--dri', 'x'], 'warren dev does not know --dri; it knows --dir, --json'],
    [['x'], 'warren dev does not know x; it knows --dir, --json'],
    [['--dir'], 'warren dev: --dir needs a value'],
    [['--json=yes'], 'warren dev: --json takes no value'],
  ])('%j are refused with one sentence', (given, error) => {
    expect(parseFlags('dev', given, SPECS)).toEqual({ ok: false, error });
  });

  it('hold whole numbers within their bounds', () => {
    expect(wholeNumber('n', '12', 0, 20)).toBe(12);
    for (const text of ['21', '-1', '1.5', 'x', '']) expect(typeof wholeNumber('n', text, 0, 20)).toBe('string');
  });
});
