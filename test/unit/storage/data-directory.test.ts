import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Arena } from '../../../src/storage/arena.ts';
import { DataDirectory } from '../../../src/storage/data-directory.ts';
import { DiskSpillFile } from '../../../src/storage/spill-file.ts';

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'warren-data-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

describe('a data directory', () => {
  it('keeps the id of its first start, and another one has another', () => {
    const first = DataDirectory.open(join(directory, 'a'));
    expect(first.id).toMatch(/^[0-9a-f]{32}$/);
    expect(DataDirectory.open(join(directory, 'a')).id).toBe(first.id);
    expect(DataDirectory.open(join(directory, 'b')).id).not.toBe(first.id);
  });

  it('gives back the formation that was saved last', () => {
    const data = DataDirectory.open(directory);
    expect(data.readFormation()).toBeUndefined();
    data.saveFormation(Uint8Array.of(1, 2));
    data.saveFormation(Uint8Array.of(3));
    expect(DataDirectory.open(directory).readFormation()).toEqual(Uint8Array.of(3));
  });
});

describe('a spill file', () => {
  it('gives back what was written, also after it was emptied and used again', () => {
    const file = new DiskSpillFile(join(directory, 'spill'));
    file.write(Uint8Array.of(1, 2, 3));
    const position = file.write(Uint8Array.of(4, 5));
    expect(file.read(position, 2)).toEqual(Uint8Array.of(4, 5));
    file.reset();
    expect(file.write(Uint8Array.of(6))).toBe(0);
    expect(file.read(0, 1)).toEqual(Uint8Array.of(6));
    file.close();
  });
});

describe('Arena', () => {
  it('gives pieces of shared memory that do not overlap', () => {
    const arena = new Arena();
    const pieces = [10, 300_000, 1, 200_000, 250_000, 1_000_000, 0, 8].map(bytes => arena.allocate(bytes));
    for (const [i, piece] of pieces.entries()) piece.fill(i + 1);
    for (const [i, piece] of pieces.entries()) {
      expect(piece.buffer).toBeInstanceOf(SharedArrayBuffer);
      expect(piece.every(byte => byte === i + 1)).toBe(true);
    }
  });
});
