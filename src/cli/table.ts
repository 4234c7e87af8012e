/** What a row has in a column. Undefined: not known. `json` is text that is JSON already. */
export type Cell = string | number | bigint | boolean | undefined | readonly string[] | { readonly json: string };

export interface Column<Row> {
  readonly name: string;
  readonly value: (row: Row) => Cell;
  /** Not in a table unless it is asked for. */
  readonly isDetail?: boolean;
}

/** Rows for people: a line each, columns as wide as their longest text. */
export function textTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map(({ name }) => name), ...rows.map(row => columns.map(({ value }) => cellText(value(row))))];
  const widths = columns.map((_, at) => lines.reduce((width, line) => Math.max(width, widthOf(line[at]!)), 0));
  return lines
    .map(line =>
      line
        .map((text, at) => text + ' '.repeat(widths[at]! - widthOf(text)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Rows for programs: a list of objects with all columns; what is not known is null. */
export function jsonTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  if (rows.length === 0) return '[]';
  const objects = rows.map(row => {
    const fields = columns.map(({ name, value }) => `${JSON.stringify(name)}:${cellJson(value(row))}`);
    return `{${fields.join(',')}}`;
  });
  return `[\n${objects.join(',\n')}\n]`;
}

/** Ascending by the first of these columns, then the next. */
export function sortRows<Row>(rows: Row[], columns: readonly Column<Row>[]): Row[] {
  return rows.sort((a, b) => {
    for (const { value } of columns) {
      const order = compare(value(a), value(b));
      if (order !== 0) return order;
    }
    return 0;
  });
}

function compare(a: Cell, b: Cell): number {
  const [x, y] = typeof a === 'number' && typeof b === 'number' ? [a, b] : [cellText(a), cellText(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function cellText(cell: Cell): string {
  if (cell === undefined) return '-';
  if (Array.isArray(cell)) return printable(cell.join(' '));
  if (typeof cell === 'object') return printable((cell as { readonly json: string }).json.replace(/^\{\}$/, ''));
  return printable(String(cell));
}

function cellJson(cell: Cell): string {
  if (cell === undefined) return 'null';
  if (typeof cell === 'bigint') return String(cell);
  if (typeof cell === 'object' && !Array.isArray(cell)) return (cell as { readonly json: string }).json;
  return JSON.stringify(cell);
}

const widthOf = (text: string): number => [...text].length;

/** Names are their owners' choice: nothing in them may move the cursor or turn the line around. */
const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, character => {
    const code = character.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code}` : `\\x${code.padStart(2, '0')}`;
  });
