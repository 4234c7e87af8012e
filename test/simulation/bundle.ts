import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'vite';
import { assert } from '../../src/lib/assert.ts';

const ROOT = join(import.meta.dirname, '../..');

/** A change of one source file, as text. */
export interface Patch {
  /** Path from the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

/** A script of the repository that runs simulations. */
export type Program = 'scripts/simulate.ts' | 'scripts/simulate-shell.ts';

/**
 * Puts a program with all it imports into one file that node runs as it is; with patches, a build of other sources. A process
 * that starts from it needs a tenth of a second. Returns its path.
 */
export async function bundle(program: Program, folder: string, patches: readonly Patch[] = []): Promise<string> {
  rmSync(folder, { recursive: true, force: true });
  await build({
    configFile: false,
    root: ROOT,
    logLevel: 'error',
    plugins: [{ name: 'patch', enforce: 'pre', load: path => patched(path, patches) }],
    ssr: { noExternal: true, target: 'node' },
    build: {
      ssr: join(ROOT, program),
      outDir: folder,
      emptyOutDir: false,
      target: 'node20',
      minify: false,
      sourcemap: false,
      rollupOptions: { output: { entryFileNames: 'program.mjs' } },
    },
  });
  return join(folder, 'program.mjs');
}

function patched(path: string, patches: readonly Patch[]): string | null {
  const file = relative(ROOT, path);
  const changes = patches.filter(patch => patch.file === file);
  if (changes.length === 0) return null;
  return changes.reduce(applyPatch, readFileSync(path, 'utf8'));
}

export function applyPatch(text: string, { file, find, replace }: Patch): string {
  const pieces = text.split(find);
  assert(pieces.length === 2, () => `${file} has ${pieces.length - 1} times what is to be replaced: ${find}`);
  return pieces.join(replace);
}
