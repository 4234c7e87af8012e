import { describe, expect, it } from 'vitest';
import { Pattern } from '../../../src/broker/access/pattern.ts';
import { PATTERN_LENGTH_MAX } from '../../../src/broker/access/pattern-syntax.ts';

const matches = (text: string, name: string): boolean => {
  const pattern = Pattern.parse(text);
  if (!(pattern instanceof Pattern)) throw new Error(pattern.problem);
  return pattern.matches(name);
};
const problemOf = (text: string): string => {
  const pattern = Pattern.parse(text);
  return pattern instanceof Pattern ? '' : pattern.problem;
};

describe('a permission pattern', () => {
  it.each([
    ['.*', 'anything', true],
    ['', 'anything', false],
    ['', '', true],
    ['^$', '', true],
    ['^orders-.*$', 'orders-1', true],
    ['^orders-.*$', 'my-orders-1', false],
    ['orders', 'my-orders-1', true],
    ['^(alice|amq\\.gen).*', 'amq.gen-1', true],
    ['^(alice|amq\\.gen).*', 'amqxgen-1', false],
    ['^(?!amq\\.).*', 'amq.direct', false],
    ['^(?!amq\\.).*', 'orders', true],
    ['^(?i)ORDERS$', 'orders', true],
    ['^a(?i:b)c$', 'aBc', true],
    ['^a(?i:b)c$', 'aBC', false],
    ['^[[:alpha:]_]+$', 'a_b', true],
    ['^[[:^digit:]]+$', 'a1', false],
    ['^[^\\d\\s]+$', 'ab', true],
    ['^\\x61\\x{62}$', 'ab', true],
    ['^a{2,3}$', 'aaaa', false],
    ['^a{,3}$', 'a{,3}', true],
    ['^{username}$', '{username}', true],
    ['\\Aab\\z', 'ab', true],
    ['ab$', 'ab\n', true],
    ['ab\\z', 'ab\n', false],
    ['^(?P<team>[a-z]+)\\.', 'blue.orders', true],
    ['^é+$', 'éé', true],
  ])('%j on %j: %s', (pattern, name, expected) => {
    expect(matches(pattern, name)).toBe(expected);
  });

  it.each([
    ['(', 'missing ) at character 1'],
    ['a)', 'unmatched )'],
    ['[a', 'missing terminating ] for character class'],
    ['*a', 'nothing to repeat'],
    ['[b-a]', 'range out of order'],
    ['a{3,1}', 'numbers out of order'],
    ['(a)\\1', '\\1 is not supported'],
    ['(?>a)', 'this kind of group is not supported'],
    ['(?<=a)b', 'this kind of group is not supported'],
    ['a++', 'possessive repetitions are not supported'],
    ['a\\', '\\ at end of pattern'],
    ['(((a{50}){50}){50}){50}', 'more than 1000 steps'],
    ['a'.repeat(PATTERN_LENGTH_MAX + 1), 'it has 1001 characters; at most 1000'],
    ['('.repeat(100), 'groups nested deeper than 50'],
  ])('%j is refused: %s', (pattern, problem) => {
    expect(problemOf(pattern)).toContain(problem);
  });

  it('answers at once where backtracking would take for ever', () => {
    const name = `${'a'.repeat(254)}!`;
    for (const pattern of ['^(a+)+$', '^(a|aa)*$', '^(a*)*b', '(?=(a+)+$)x', '^((((a*)*)*)*)*$']) {
      expect(matches(pattern, name)).toBe(false);
    }
  });
});
