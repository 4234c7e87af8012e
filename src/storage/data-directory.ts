import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeDurably } from './durable-file.ts';

const ID_FILE = 'directory-id';
const FORMATION_FILE = 'formation';

/**
 * The layout of a node's data directory (docs/data-layout.md): `directory-id`, `formation`, `journal/`, `level/`. LevelDB's
 * own lock on `level/` keeps a second process out.
 */
export class DataDirectory {
  readonly path: string;
  /** Random, made at the first start: with the node's name it is the participant (R9). */
  readonly id: string;

  private constructor(path: string, id: string) {
    this.path = path;
    this.id = id;
  }

  /** Creates what is missing. Throws the system's error if the directory cannot be made or read. */
  static open(path: string): DataDirectory {
    mkdirSync(join(path, 'journal'), { recursive: true });
    const idFile = join(path, ID_FILE);
    if (!existsSync(idFile)) writeDurably(path, ID_FILE, Buffer.from(randomBytes(16).toString('hex')));
    return new DataDirectory(path, readFileSync(idFile, 'utf8').trim());
  }

  get journal(): string {
    return join(this.path, 'journal');
  }
  get level(): string {
    return join(this.path, 'level');
  }

  readFormation(): Uint8Array | undefined {
    const file = join(this.path, FORMATION_FILE);
    return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
  }

  saveFormation(bytes: Uint8Array): void {
    writeDurably(this.path, FORMATION_FILE, bytes);
  }
}
