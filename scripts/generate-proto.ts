import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '..');

/**
 * Generates `src/gen` out of `proto/` below `folder`: buf with the versions that package.json names, then enums turned
 * into constants, because our TypeScript is to be run by erasing its types.
 */
export function generateProto(folder: string): void {
  const buf = join(root, 'node_modules/.bin/buf');
  execFileSync(buf, ['generate', '--output', folder], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  for (const path of generatedFiles(folder)) {
    const file = join(folder, 'src/gen', path);
    writeFileSync(file, withoutEnums(readFileSync(file, 'utf8')));
  }
}

/** Paths below `src/gen`, sorted. */
export function generatedFiles(folder: string): string[] {
  return readdirSync(join(folder, 'src/gen'), { recursive: true, encoding: 'utf8' })
    .filter(path => path.endsWith('.ts'))
    .sort();
}

/** `export enum X { A = 0 }` becomes a constant object and the type of its values, which the rest of the file uses alike. */
function withoutEnums(source: string): string {
  return source.replace(/^export enum (\w+) \{\n([\s\S]*?)^\}/gm, (_, name: string, body: string) => {
    const members = body.replace(/^( {2}\w+) = (\d+),$/gm, '$1: $2,');
    return `export const ${name} = {\n${members}} as const;\n\nexport type ${name} = (typeof ${name})[keyof typeof ${name}];`;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) generateProto(root);
