import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { generatedFiles, generateProto } from './generate-proto.ts';

const root = join(import.meta.dirname, '..');

/** Paths below `src/gen` that differ from what `proto/` gives; empty if all is up to date. */
export function staleGenerated(): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'warren-gen-'));
  try {
    generateProto(folder);
    const paths = new Set([...generatedFiles(folder), ...generatedFiles(root)]);
    return [...paths].filter(path => read(folder, path) !== read(root, path)).sort();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function read(folder: string, path: string): string | undefined {
  const file = join(folder, 'src/gen', path);
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const stale = staleGenerated();
  for (const path of stale) console.error(`src/gen/${path} is not what proto/ gives; run scripts/generate-proto.ts`);
  process.exitCode = stale.length === 0 ? 0 : 1;
}
