import type { FieldTable } from '../broker/field-table.ts';
import { encodedTable } from '../broker/field-table-codec.ts';

/** Of one page: what takes a few milliseconds to make (R10) and fits into one message (R8). */
export const PAGE_ROWS_MAX = 200;
const PAGE_BYTES_MAX = 96 * 1024;
/** What a row takes beside its arguments. */
const ROW_BYTES = 200;

/** Cuts a list into pages. Between two of them other work of the event loop has its turn. */
export async function* inPages<Row>(
  rows: Iterable<Row>,
  nextTurn: () => Promise<void>,
  bytesOf: (row: Row) => number = () => ROW_BYTES,
): AsyncGenerator<readonly Row[]> {
  let page: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    page.push(row);
    bytes += bytesOf(row);
    if (page.length < PAGE_ROWS_MAX && bytes < PAGE_BYTES_MAX) continue;
    yield page;
    page = [];
    bytes = 0;
    await nextTurn();
  }
  if (page.length > 0) yield page;
}

/** About so many bytes are the arguments of a row, and the rest of it. */
export const rowBytes = ({ arguments: table }: { readonly arguments: FieldTable }): number =>
  ROW_BYTES + (table.size === 0 ? 0 : encodedTable(table).length);
