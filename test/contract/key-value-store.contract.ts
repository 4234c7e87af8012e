import { afterEach, describe, expect, it } from 'vitest';
import type { KeyValueOperation, KeyValueStore } from '../../src/storage/key-value-store.ts';

export interface StoreUnderTest {
  readonly store: KeyValueStore;
  /** Closes the store and opens it again on the same data. */
  reopen(): Promise<KeyValueStore>;
  /** Makes the next write fail; undefined where that cannot be brought about. */
  readonly failNextWrite: (() => void) | undefined;
  dispose(): Promise<void>;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const put = (key: Uint8Array, value: Uint8Array): KeyValueOperation => ({ type: 'put', key, value });

async function collect(store: KeyValueStore, from: Uint8Array, to: Uint8Array): Promise<number[][]> {
  const found: number[][] = [];
  for await (const [key, value] of store.iterate({ from, to })) found.push([...key, ...value]);
  return found;
}

/** What every implementation of the port promises. */
export function keyValueStoreContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`${name} as a key-value store`, () => {
    let current: StoreUnderTest | undefined;
    const make = async (): Promise<StoreUnderTest> => {
      current = await open();
      return current;
    };
    afterEach(async () => {
      await current?.dispose();
      current = undefined;
    });

    it('gives back what was put, and nothing for other keys', async () => {
      const { store } = await make();
      await store.batch([put(bytes(1, 2), bytes(3))], { sync: false });
      expect(await store.get(bytes(1, 2))).toEqual(bytes(3));
      expect(await store.get(bytes(1))).toBeUndefined();
    });

    it('does the operations of a batch in order', async () => {
      const { store } = await make();
      const key = bytes(7);
      await store.batch([put(key, bytes(1)), { type: 'del', key }, put(key, bytes(2))], { sync: false });
      expect(await store.get(key)).toEqual(bytes(2));
    });

    it('goes over a range in the order of the bytes, its end left out', async () => {
      const { store } = await make();
      const keys = [bytes(2, 255), bytes(2), bytes(3), bytes(2, 0, 9), bytes(1, 255)];
      await store.batch(
        keys.map((key, i) => put(key, bytes(i))),
        { sync: false },
      );
      expect(await collect(store, bytes(2), bytes(3))).toEqual([
        [2, 1],
        [2, 0, 9, 3],
        [2, 255, 0],
      ]);
    });

    it('iterates over the state as of the first step', async () => {
      const { store } = await make();
      await store.batch([put(bytes(1), bytes(1)), put(bytes(2), bytes(2))], { sync: false });
      const found: number[] = [];
      for await (const [key] of store.iterate({ from: bytes(0), to: bytes(9) })) {
        if (found.length === 0)
          await store.batch([put(bytes(3), bytes(3)), { type: 'del', key: bytes(2) }], { sync: false });
        found.push(...key);
      }
      expect(found).toEqual([1, 2]);
    });

    it('lists the first keys of a range', async () => {
      const { store } = await make();
      await store.batch([put(bytes(1), bytes(1)), put(bytes(3), bytes(1)), put(bytes(2), bytes(1))], { sync: false });
      expect(await store.keys({ from: bytes(0), to: bytes(9) }, 2)).toEqual([bytes(1), bytes(2)]);
    });

    it('keeps what was synced when it is opened again', async () => {
      const opened = await make();
      await opened.store.batch([put(bytes(1), bytes(1)), put(bytes(2), bytes(2))], { sync: true });
      const again = await opened.reopen();
      expect(await collect(again, bytes(0), bytes(9))).toEqual([
        [1, 1],
        [2, 2],
      ]);
    });

    it('fails every write after one that failed', async () => {
      const { store, failNextWrite } = await make();
      if (failNextWrite === undefined) return;
      failNextWrite();
      await expect(store.batch([put(bytes(1), bytes(1))], { sync: true })).rejects.toThrow();
      await expect(store.batch([put(bytes(2), bytes(2))], { sync: false })).rejects.toThrow();
    });
  });
}
