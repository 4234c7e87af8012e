import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { readFile, rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { type ImportResult, ImportResult_Outcome } from '../gen/warren/v1/admin_pb.ts';
import { parseDefinitions } from '../management/definitions-parser.ts';
import { definitionParts } from '../management/definitions-parts.ts';
import { type AdminClient, CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import type { Given } from './arguments.ts';
import { type Command, complain, EXIT_ERROR, EXIT_OK, EXIT_PARTLY, print } from './command.ts';
import { JSON_FLAG } from './list.ts';

const WORDS: Readonly<Record<ImportResult_Outcome, string>> = {
  [ImportResult_Outcome.UNSPECIFIED]: 'unknown',
  [ImportResult_Outcome.CREATED]: 'created',
  [ImportResult_Outcome.UPDATED]: 'updated',
  [ImportResult_Outcome.EXISTED]: 'existed',
  [ImportResult_Outcome.DIFFERS]: 'differs',
  [ImportResult_Outcome.UNSUPPORTED]: 'unsupported',
  [ImportResult_Outcome.IGNORED]: 'ignored',
  [ImportResult_Outcome.DANGLING]: 'dangling',
  [ImportResult_Outcome.FAILED]: 'failed',
};
/** In the order of the summary. Of the others each entry is named. */
const QUIET = ['created', 'updated', 'existed'];
/** The document asks for what cannot be here. */
const SKIPPED = ['unsupported', 'dangling'];
const NOT_DONE = ['differs', 'failed', 'unknown'];

async function runExport({ positionals: [file], flags }: Given): Promise<number> {
  const vhost = flags.get('vhost');
  return withAdmin(flags, async client => {
    if (file === undefined || file === '-') {
      await writePieces(client, vhost, process.stdout);
      return EXIT_OK;
    }
    // A file that is there is complete, whatever happens on the way.
    const unfinished = `${file}.part`;
    const out = createWriteStream(unfinished, { mode: 0o600 });
    try {
      await once(out, 'open');
      await writePieces(client, vhost, out);
      out.end();
      await once(out, 'finish');
      await rename(unfinished, file);
      return EXIT_OK;
    } catch (error) {
      await rm(unfinished, { force: true });
      throw error;
    }
  });
}

async function writePieces(client: AdminClient, vhost: string | undefined, out: Writable): Promise<void> {
  for await (const { json } of client.stream('exportDefinitions', vhost === undefined ? {} : { vhost })) {
    if (!out.write(json)) await once(out, 'drain');
  }
}

async function runImport({ positionals: [file], flags }: Given): Promise<number> {
  const vhost = flags.get('vhost');
  const name = file === undefined || file === '-' ? 'standard input' : file;
  const document = await readDocument(file);
  if (typeof document === 'string') return complain(`${name} ${document}`);
  const parsed = parseDefinitions(document.value, { vhost });
  if (!parsed.ok) {
    for (const problem of parsed.problems) complain(`${name}: ${problem}`);
    return complain('nothing was imported');
  }
  return withAdmin(flags, async client => {
    const results: ImportResult[] = [];
    const requests = function* (): Generator<{ json: string; vhost?: string }> {
      for (const json of definitionParts(document.value as Record<string, unknown>)) {
        yield vhost === undefined ? { json } : { json, vhost };
      }
    };
    try {
      for await (const part of client.converse('importDefinitions', requests())) results.push(...part.results);
    } finally {
      report(results, flags);
    }
    return exitCode(results, flags.has('skip-unsupported'));
  });
}

async function readDocument(file: string | undefined): Promise<{ readonly value: unknown } | string> {
  try {
    const text = file === undefined || file === '-' ? await readAll(process.stdin) : await readFile(file, 'utf8');
    return { value: JSON.parse(text.replace(/^\ufeff/, '')) };
  } catch (error) {
    const { message } = error as Error;
    return error instanceof SyntaxError ? `is no JSON: ${message}` : `cannot be read: ${message}`;
  }
}

async function readAll(input: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk as Uint8Array));
  return Buffer.concat(chunks).toString('utf8');
}

function report(results: readonly ImportResult[], flags: ReadonlyMap<string, string>): void {
  const counts = new Map<string, number>();
  for (const { outcome } of results) counts.set(WORDS[outcome], (counts.get(WORDS[outcome]) ?? 0) + 1);
  if (flags.has('json')) {
    const rows = results.map(({ item, outcome, detail }) => ({ item, outcome: WORDS[outcome], detail }));
    print(`${JSON.stringify({ counts: Object.fromEntries(counts), results: rows })}\n`);
    return;
  }
  for (const { item, outcome, detail } of results) {
    const word = WORDS[outcome];
    if (!QUIET.includes(word) || flags.has('verbose')) print(`${word}: ${item}${detail === '' ? '' : `: ${detail}`}\n`);
  }
  const summary = [...counts].map(([word, count]) => `${count} ${word}`).join(', ');
  print(`${summary === '' ? 'nothing to import' : summary}\n`);
}

function exitCode(results: readonly ImportResult[], isSkipping: boolean): number {
  const words = results.map(({ outcome }) => WORDS[outcome]);
  if (words.some(word => word === 'failed' || word === 'unknown')) return EXIT_ERROR;
  const isPartly = words.some(word => NOT_DONE.includes(word) || (!isSkipping && SKIPPED.includes(word)));
  return isPartly ? EXIT_PARTLY : EXIT_OK;
}

export const DEFINITION_COMMANDS: readonly Command[] = [
  {
    name: 'definitions export',
    positionals: [{ name: 'FILE', count: 'maybe' }],
    flags: [
      { name: 'vhost', value: 'VHOST', help: 'only what is in this virtual host, as RabbitMQ exports one' },
      ...CONNECTION_FLAGS,
    ],
    help: "Write users, virtual hosts, permissions, exchanges, queues and bindings as RabbitMQ's JSON",
    details: 'To standard output without a FILE. It holds password hashes: keep it as you keep passwords.',
    run: runExport,
  },
  {
    name: 'definitions import',
    positionals: [{ name: 'FILE', count: 'maybe' }],
    flags: [
      {
        name: 'vhost',
        value: 'VHOST',
        help: 'where things belong that do not say it, as in a file of one virtual host',
      },
      { name: 'skip-unsupported', help: 'exit with 0 though something in the file is not offered here' },
      { name: 'verbose', help: 'name also what was created or existed' },
      { name: 'json', help: `${JSON_FLAG.help.split(':')[0]}: what became of each entry` },
      ...CONNECTION_FLAGS,
    ],
    help: 'Take definitions of RabbitMQ 3.x or 4.x, or of Warren, from a file or standard input',
    details:
      'The whole file is checked before anything is changed. Importing it again changes nothing. What is there with other\n' +
      'properties is brought to those of the file if it is a user, virtual host, permission or limit; queues and exchanges stay.\n' +
      'What is not offered here, such as policies, is named. Exit status: 0 everything is as the file says, 2 something is not,\n' +
      '1 something failed.',
    run: runImport,
  },
];
