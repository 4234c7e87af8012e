import type { FieldValue as WireValue } from '../gen/warren/v1/message_pb.ts';
import { tableToJson } from '../management/json-arguments.ts';
import { toFieldTable } from '../protocols/grpc/field-mapping.ts';
import { type AdminClient, CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import type { FlagSpec, Given } from './arguments.ts';
import { type Command, complain, EXIT_OK, print } from './command.ts';
import { type Cell, type Column, jsonTable, sortRows, textTable } from './table.ts';

export const JSON_FLAG: FlagSpec = { name: 'json', help: 'for programs: a list of objects' };
const COLUMNS_FLAG: FlagSpec = { name: 'columns', value: 'NAME,...', help: 'these columns, in this order' };
export const VHOST_FLAG: FlagSpec = { name: 'vhost', value: 'VHOST', help: 'of one virtual host (default: of all)' };

/** One page of rows; nodes that did not answer, so that theirs are missing. */
export interface ListedPage<Row> {
  readonly rows: readonly Row[];
  readonly silentNodes?: readonly string[];
}

export interface ListSpec<Row> {
  readonly name: string;
  readonly help: string;
  readonly details?: string;
  readonly flags?: readonly FlagSpec[];
  readonly columns: readonly Column<Row>[];
  /** Names of the columns by which rows are put in order. */
  readonly order: readonly string[];
  readonly pages: (client: AdminClient, given: Given) => AsyncIterable<ListedPage<Row>>;
}

/** A command that lists rows: a table for people, JSON for programs. */
export function listCommand<Row>(spec: ListSpec<Row>): Command {
  const { name, help, columns } = spec;
  const known = columns.map(column => column.name).join(', ');
  return {
    name,
    help,
    details: `${spec.details === undefined ? '' : `${spec.details}\n\n`}Columns: ${known}.`,
    flags: [...(spec.flags ?? []), COLUMNS_FLAG, JSON_FLAG, ...CONNECTION_FLAGS],
    run: given => runList(spec, given),
  };
}

async function runList<Row>(spec: ListSpec<Row>, given: Given): Promise<number> {
  const isJson = given.flags.has('json');
  const columns = chosenColumns(spec, given.flags.get('columns'), isJson);
  if (typeof columns === 'string') return complain(columns);
  return withAdmin(given.flags, async client => {
    const rows: Row[] = [];
    const silent = new Set<string>();
    for await (const page of spec.pages(client, given)) {
      rows.push(...page.rows);
      for (const node of page.silentNodes ?? []) silent.add(node);
    }
    sortRows(
      rows,
      spec.order.map(name => spec.columns.find(column => column.name === name)!),
    );
    print(`${isJson ? jsonTable(columns, rows) : textTable(columns, rows)}\n`);
    if (silent.size > 0) {
      const nodes = [...silent].sort().join(', ');
      process.stderr.write(`warren: ${nodes} did not answer: what clients have open there is not listed\n`);
    }
    return EXIT_OK;
  });
}

function chosenColumns<Row>(
  { name, columns }: ListSpec<Row>,
  wanted: string | undefined,
  isJson: boolean,
): readonly Column<Row>[] | string {
  if (wanted === undefined) return isJson ? columns : columns.filter(({ isDetail }) => !isDetail);
  const chosen: Column<Row>[] = [];
  for (const text of wanted.split(',')) {
    const column = columns.find(candidate => candidate.name === text.trim());
    if (column === undefined) {
      const known = columns.map(candidate => candidate.name).join(', ');
      return `warren ${name} has no column "${text}"; it has ${known}`;
    }
    chosen.push(column);
  }
  return chosen;
}

/** For `pages` of lists without silent nodes. */
export async function* onlyRows<Message, Row>(
  messages: AsyncIterable<Message>,
  rowsOf: (message: Message) => readonly Row[],
): AsyncGenerator<ListedPage<Row>> {
  for await (const message of messages) yield { rows: rowsOf(message) };
}

/** What a request says of `--vhost`. */
export function vhostOf({ flags }: Given): { vhost?: string } {
  const vhost = flags.get('vhost');
  return vhost === undefined ? {} : { vhost };
}

export function argumentsCell(fields: Readonly<Record<string, WireValue>>): Cell {
  const table = toFieldTable(fields);
  return table.ok ? { json: tableToJson(table.value) } : undefined;
}

export const numberCell = (value: bigint | undefined): Cell => (value === undefined ? undefined : Number(value));
