import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { utf8Encode } from '../lib/bytes.ts';
import { syncDirectory, writeDurably } from './durable-file.ts';
import { ALL_CHECKPOINTS } from './keyspace.ts';
import { isUnreadable, LevelStore, type LevelStoreDependencies, type LevelStoreOptions } from './level-store.ts';

/** Written into the store's directory by a node that could not read it: the next start does not try. */
const UNREADABLE_FILE = 'unreadable';

export interface OpenedLevel {
  readonly store: LevelStore;
  /** What happened to the store that was there, in one sentence, if it could not be read. */
  readonly setAside: string | undefined;
}

/**
 * Opens the key-value store in a directory. One that cannot be read is set aside beside it and an empty one takes its place:
 * what was in it comes from other nodes, because the journal says which checkpoints there must be (R16). One that was
 * set aside earlier goes. Throws what LevelDB says if the directory cannot be used for another reason.
 */
export async function openLevel(
  options: LevelStoreOptions,
  deps: Omit<LevelStoreDependencies, 'unreadable'>,
): Promise<OpenedLevel> {
  const { directory } = options;
  mkdirSync(directory, { recursive: true });
  const open = (): Promise<LevelStore> =>
    LevelStore.open(options, {
      ...deps,
      unreadable: reason => writeDurably(directory, UNREADABLE_FILE, utf8Encode(reason)),
    });
  let damage = damageInDirectory(directory);
  if (damage === undefined) {
    const opened = await tryOpen(open);
    if (opened.store !== undefined) return { store: opened.store, setAside: undefined };
    damage = opened.damage;
  }
  const aside = `${directory}.damaged`;
  rmSync(aside, { recursive: true, force: true });
  renameSync(directory, aside);
  mkdirSync(directory);
  syncDirectory(dirname(directory));
  const sentence = `the key-value store could not be read and was set aside as ${aside}, other nodes fill this one again: ${damage}`;
  return { store: await open(), setAside: sentence };
}

/** What can be told without LevelDB, which takes a directory without the file CURRENT for an empty one. */
function damageInDirectory(directory: string): string | undefined {
  const names = readdirSync(directory);
  if (names.includes(UNREADABLE_FILE)) return readFileSync(join(directory, UNREADABLE_FILE), 'utf8');
  if (names.includes('CURRENT') || !names.some(name => /\.(ldb|log)$/.test(name))) return undefined;
  return 'its file CURRENT is missing';
}

/** Checkpoints are read here once: damage is better found while no replica relies on one. */
async function tryOpen(
  open: () => Promise<LevelStore>,
): Promise<{ readonly store: LevelStore } | { readonly store: undefined; readonly damage: string }> {
  let store: LevelStore;
  try {
    store = await open();
  } catch (error) {
    if (!isUnreadable(error as Error)) throw error;
    const { message } = ((error as Error).cause ?? error) as Error;
    return { store: undefined, damage: message };
  }
  const damage = await store.findDamage(ALL_CHECKPOINTS);
  if (damage === undefined) return { store };
  await store.close();
  return { store: undefined, damage };
}
