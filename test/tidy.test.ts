import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CANARIES } from './simulation/canaries/index.ts';

/**
 * The shape of the code base, checked as text: which folder may import which (docs/architecture.md), what the pure folders
 * must not touch, and how long a file may become before it holds two concerns.
 */
const root = join(import.meta.dirname, '..');

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(ending))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .filter(path => !path.includes('node_modules') && !path.startsWith('src/gen/'))
    .sort();
}

const sources = filesBelow('src', '.ts').map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }));
const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

/** Folder -> folders it may import from. `types of` is not told apart: a type import is an import of that folder. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/lib': [],
  'src/raft': ['src/lib'],
  'src/queue': ['src/lib', 'src/raft'],
  'src/broker': ['src/lib', 'src/queue'],
  'src/storage': ['src/lib', 'src/raft'],
  'src/protocols/amqp': ['src/lib', 'src/broker'],
  'src/protocols/grpc': ['src/lib', 'src/broker', 'src/management', 'src/gen'],
  'src/cluster': ['src/lib', 'src/raft', 'src/queue', 'src/broker', 'src/gen'],
  'src/cli': ['src/lib', 'src'],
  'src/management': ['src/lib', 'src/broker'],
};

/** Folder -> packages and node: modules it may import from; a name that ends with a colon or a slash stands for all that begin so. */
const mayMeet: Readonly<Record<string, readonly string[]>> = {
  'src/lib': ['node:zlib'],
  'src/storage': ['node:', 'level', 'classic-level', 'abstract-level'],
  'src/protocols/amqp': ['node:net', 'node:crypto'],
  'src/protocols/grpc': ['node:net', 'node:fs', 'node:path', 'node:url', '@grpc/', 'grpc-health-check', '@bufbuild/'],
  'src/cluster': ['node:net', 'node:http2', 'node:dns/promises', 'node:crypto', '@grpc/', '@bufbuild/'],
  'src/cli': ['node:', 'yaml', '@grpc/', '@bufbuild/'],
  'src/gen': ['@bufbuild/'],
  src: ['node:', 'pino', 'pino-pretty', 'yaml'],
};

/** Synchronous, no I/O, no clock, no randomness, no promises: the same code runs in the simulated world. */
const pure = (path: string): boolean =>
  /^src\/(raft|queue)\//.test(path) ||
  /^src\/lib\/(?!clock|crc32|logger)/.test(path) ||
  /^src\/broker\/(topology|router|exchange|topic|queue-arguments|names|binding|access\/)/.test(path) ||
  /^src\/protocols\/amqp\/(?!server|connection\.ts|heartbeat)/.test(path) ||
  /^src\/storage\/(record-codec|journal|journal-recovery|checkpoint-codec|keyspace)\.ts$/.test(path) ||
  /^src\/cluster\/metadata\/(metadata-machine|metadata-commands|metadata-command-codec|metadata-pages|metadata-replies|request-sessions|shard-map|placement|member-list|lease-table|record-codec|access-codec|vhost-removal)\.ts$/.test(
    path,
  ) ||
  /^src\/cluster\/transport\/(envelope-codec|raft-wire)\.ts$/.test(path);

const bannedInPure: readonly { readonly pattern: RegExp; readonly what: string }[] = [
  { pattern: /\bDate\b/, what: 'the system clock' },
  { pattern: /\bperformance\b/, what: 'the system clock' },
  { pattern: /\bMath\.random\b/, what: 'unseeded randomness' },
  { pattern: /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, what: 'timers' },
  { pattern: /\bprocess\./, what: 'process' },
  { pattern: /\bBuffer\b/, what: 'Buffer' },
  { pattern: /from 'node:/, what: 'node: modules' },
  { pattern: /\bawait\s|\basync\s|new Promise\b/, what: 'promises' },
  { pattern: /\bWeakRef\b|\bFinalizationRegistry\b/, what: 'garbage collection' },
];

const folderOf = (path: string): string =>
  Object.keys(mayImport)
    .filter(folder => path.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0] ?? 'src';

function packagesOf(text: string): string[] {
  return [...withoutComments(text).matchAll(/(?:from|import\() ?'([^.'][^']*)'/g)].map(match => match[1]!);
}

function importsOf(path: string, text: string): string[] {
  return [...text.matchAll(/from '(\.[^']+)'/g)].map(match => relative(root, join(root, path, '..', match[1]!)));
}

describe('the code base', () => {
  it('has only the folders that the architecture names', () => {
    const folders = new Set(sources.map(({ path }) => path.slice(0, path.lastIndexOf('/'))));
    const unknown = [...folders].filter(folder => folder !== 'src' && folderOf(`${folder}/`) === 'src');
    expect(unknown).toEqual([]);
  });

  it('imports packages and node: modules only where the outside is met', () => {
    const wrong = sources.flatMap(({ path, text }) =>
      packagesOf(text)
        .filter(name => !(mayMeet[folderOf(path)] ?? []).some(allowed => name === allowed || name.startsWith(allowed)))
        .map(name => `${path} imports ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  it.each(Object.keys(mayImport))('%s imports only from where it may', folder => {
    const allowed = [folder, ...mayImport[folder]!];
    const wrong = sources
      .filter(({ path }) => folderOf(path) === folder)
      .flatMap(({ path, text }) => importsOf(path, text).map(target => ({ path, target })))
      .filter(
        ({ target }) =>
          !allowed.some(name => (name === 'src' ? true : folderOf(target) === name || target.startsWith(`${name}/`))),
      );
    expect(wrong.map(({ path, target }) => `${path} imports ${target}`)).toEqual([]);
  });

  it('keeps clocks, randomness, timers, I/O and promises out of the pure files', () => {
    const wrong = sources
      .filter(({ path }) => pure(path))
      .flatMap(({ path, text }) => {
        const code = withoutComments(text);
        return bannedInPure.filter(({ pattern }) => pattern.test(code)).map(({ what }) => `${path} uses ${what}`);
      });
    expect(wrong).toEqual([]);
  });

  it('reads the system clock and sets timers in one file only', () => {
    const wrong = sources
      .filter(({ path }) => path !== 'src/lib/clock.ts')
      .filter(({ text }) => /\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(/.test(withoutComments(text)))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });

  it('keeps files short enough to hold one concern', () => {
    const wrong = sources
      .map(({ path, text }) => ({ path, lines: text.split('\n').length }))
      .filter(({ lines }) => lines > 500);
    expect(wrong).toEqual([]);
  });

  it('has no skipped, focused or empty tests and no marks of unfinished work', () => {
    const tests = filesBelow('test', '.ts').filter(path => path !== 'test/tidy.test.ts');
    const wrong = [...tests.map(path => ({ path, text: readFileSync(join(root, path), 'utf8') })), ...sources]
      .filter(({ text }) => /\b(it|test|describe)\.(skip|only|todo)\b|\bTODO\b|\bFIXME\b|\bXXX\b/.test(text))
      .map(({ path }) => path);
    expect(wrong).toEqual([]);
  });

  it('names each canary in docs/invariants.md, and no canary that there is not', () => {
    const text = readFileSync(join(root, 'docs/invariants.md'), 'utf8');
    const name = '[a-z]+(?:-[a-z]+)+';
    const lists = text.matchAll(new RegExp(`\\bcanar(?:y|ies)\\s+(${name}(?:,\\s+${name})*)`, 'g'));
    const named = [...lists].flatMap(match => match[1]!.split(/,\s+/));
    expect([...new Set(named)].sort()).toEqual(CANARIES.map(canary => canary.name).sort());
  });
});
