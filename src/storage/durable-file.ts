import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** The file is there with all of these bytes, or as it was before, whatever happens. */
export function writeDurably(directory: string, name: string, bytes: Uint8Array): void {
  const temporary = join(directory, `${name}.new`);
  const file = openSync(temporary, 'w', 0o600);
  writeSync(file, bytes);
  fsyncSync(file);
  closeSync(file);
  renameSync(temporary, join(directory, name));
  syncDirectory(directory);
}

/** What was made, renamed and deleted in the directory stays so. */
export function syncDirectory(directory: string): void {
  const folder = openSync(directory, 'r');
  fsyncSync(folder);
  closeSync(folder);
}
