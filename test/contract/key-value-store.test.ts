import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { SeededRandom } from '../../src/lib/random.ts';
import { LevelStore } from '../../src/storage/level-store.ts';
import { SimulatedStore } from '../support/simulated-store.ts';
import { keyValueStoreContract } from './key-value-store.contract.ts';

const LEVEL = { writeBufferBytes: 1024 * 1024, cacheBytes: 1024 * 1024 };
const room = async (): Promise<void> => {};

keyValueStoreContract('the simulated store', async () => {
  const store = new SimulatedStore(new SeededRandom(1));
  return {
    store,
    reopen: async () => {
      store.crash('power');
      return store;
    },
    failNextWrite: () => {
      store.failNextWrite = true;
    },
    dispose: async () => {},
  };
});

keyValueStoreContract('level', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'warren-level-'));
  let store = await LevelStore.open({ directory, ...LEVEL }, { room, failed: expect.fail, unreadable: expect.fail });
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await LevelStore.open({ directory, ...LEVEL }, { room, failed: expect.fail, unreadable: expect.fail });
      return store;
    },
    failNextWrite: undefined,
    dispose: async () => {
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
});
