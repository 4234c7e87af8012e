import { expect, it } from 'vitest';
import { type Column, jsonTable, sortRows, textTable } from '../../../src/cli/table.ts';

interface Row {
  readonly name: string;
  readonly count: number | undefined;
  readonly tags: readonly string[];
  readonly more: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { name: 'name', value: row => row.name },
  { name: 'count', value: row => row.count },
  { name: 'tags', value: row => row.tags },
  { name: 'more', value: row => ({ json: row.more }) },
];
const ROWS: readonly Row[] = [
  { name: 'a', count: 10, tags: ['x', 'y'], more: '{}' },
  { name: 'long 🐇', count: undefined, tags: [], more: '{"n":12345678901234567890}' },
];

it('people get columns as wide as their longest text', () => {
  expect(textTable(COLUMNS, ROWS)).toBe(
    ['name    count  tags  more', 'a       10     x y', 'long 🐇  -            {"n":12345678901234567890}'].join('\n'),
  );
  expect(textTable(COLUMNS, [])).toBe('name  count  tags  more');
});

it('programs get a list of objects, numbers with all digits, null for what is not known', () => {
  expect(jsonTable(COLUMNS, ROWS)).toBe(
    '[\n{"name":"a","count":10,"tags":["x","y"],"more":{}},\n' +
      '{"name":"long 🐇","count":null,"tags":[],"more":{"n":12345678901234567890}}\n]',
  );
  expect(jsonTable(COLUMNS, [])).toBe('[]');
});

it('a name cannot move the cursor, ring the bell or turn the line around', () => {
  const rows = [{ name: '\u001b[2J\u0007\r\nq\u202e', count: 1, tags: [], more: '{}' }];
  expect(textTable([COLUMNS[0]!], rows)).toBe('name\n\\x1b[2J\\x07\\x0d\\x0aq\\u202e');
});

it('rows are in the order of their columns, numbers by their size', () => {
  const rows = [
    { name: 'b', count: 9, tags: [], more: '{}' },
    { name: 'b', count: 10, tags: [], more: '{}' },
    { name: 'a', count: 11, tags: [], more: '{}' },
  ];
  expect(sortRows(rows, COLUMNS.slice(0, 2)).map(({ count }) => count)).toEqual([11, 9, 10]);
});
