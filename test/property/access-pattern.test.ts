import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Pattern } from '../../src/broker/access/pattern.ts';

/** Patterns that mean the same in PCRE and in JavaScript. */
const { pattern: patternArb } = fc.letrec<{ pattern: string; atom: string; piece: string }>(tie => ({
  atom: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom('a', 'b', '.', '\\.', '[ab]', '[^a]', '[a-c-]', '\\d', '\\W', '^', '$', '\\b', '\\B'),
    tie('pattern').map(inner => `(${inner})`),
    tie('pattern').map(inner => `(?:${inner})`),
    tie('pattern').map(inner => `(?=${inner})`),
    tie('pattern').map(inner => `(?!${inner})`),
  ),
  piece: fc
    .tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '*?', '{2}', '{0,2}', '{1,}'))
    .map(([atom, times]) => (/^[\^$]$|^\\[bB]$|^\(\?[=!]/.test(atom) ? atom : atom + times)),
  pattern: fc
    .array(fc.array(tie('piece'), { maxLength: 3 }), { minLength: 1, maxLength: 2 })
    .map(alternatives => alternatives.map(pieces => pieces.join('')).join('|')),
}));

it('finds what the engine of JavaScript finds', () => {
  fc.assert(
    fc.property(patternArb, fc.array(fc.stringMatching(/^[abc.1-]{0,8}$/), { maxLength: 8 }), (text, names) => {
      const pattern = Pattern.parse(text === '' ? '(?:)' : text);
      if (!(pattern instanceof Pattern)) {
        // One pattern in some hundred thousand is longer than what is allowed.
        fc.pre(!/more than \d+ steps/.test(pattern.problem));
        throw new Error(`${text}: ${pattern.problem}`);
      }
      const expected = new RegExp(text);
      for (const name of names) expect([name, pattern.matches(name)]).toEqual([name, expected.test(name)]);
    }),
    { numRuns: 1_000 },
  );
});

it('takes any text: as a pattern, or with a reason why not', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'ab(){}[]?*+|\\^$.,:=!<>-i12xd'.split('')) }),
      fc.string(),
      (text, name) => {
        const pattern = Pattern.parse(text);
        if (pattern instanceof Pattern) pattern.matches(name);
        else expect(pattern.problem).not.toBe('');
      },
    ),
    { numRuns: 2_000 },
  );
});
