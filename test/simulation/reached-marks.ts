import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The names of all marks (`reached('...')`) in the sources below `folder`, sorted. */
export function marksIn(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    entry => entry.isFile() && entry.name.endsWith('.ts'),
  );
  const marks = new Set<string>();
  for (const { parentPath, name } of files) {
    for (const [, mark] of readFileSync(join(parentPath, name), 'utf8').matchAll(/\breached\('([^']+)'\)/g))
      marks.add(mark!);
  }
  return [...marks].sort();
}
