import type { Random } from '../../src/lib/random.ts';
import type { KeyRange, KeyValueOperation, KeyValueStore } from '../../src/storage/key-value-store.ts';

type Pair = readonly [key: Uint8Array, value: Uint8Array];
type Values = Map<string, Pair>;

/** Hexadecimal digits: their order is the order of the bytes. */
const nameOf = (key: Uint8Array): string => Array.from(key, byte => byte.toString(16).padStart(2, '0')).join('');

/**
 * A key-value store with the failures that LevelDB has: at power loss each batch that was not synced is lost or kept by
 * itself, whatever came later; after a failed write every later one fails.
 */
export class SimulatedStore implements KeyValueStore {
  readonly #random: Random;
  /** The next write fails; the batch may be there after a restart or not. */
  failNextWrite = false;
  #values: Values = new Map();
  #durable: Values = new Map();
  /** All batches since the last power loss that may not be durable, in order. */
  #history: { readonly operations: readonly KeyValueOperation[]; readonly sync: boolean }[] = [];
  #isPoisoned = false;

  constructor(random: Random) {
    this.#random = random;
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#values.get(nameOf(key))?.[1];
  }

  async batch(operations: readonly KeyValueOperation[], options: { readonly sync: boolean }): Promise<void> {
    if (this.#isPoisoned) throw new Error('an earlier write failed');
    const copies = operations.map(copyOf);
    if (this.failNextWrite) {
      this.failNextWrite = false;
      this.#isPoisoned = true;
      this.#history.push({ operations: copies, sync: false });
      throw new Error('write failed');
    }
    apply(this.#values, copies);
    this.#history.push({ operations: copies, sync: options.sync });
  }

  iterate(range: KeyRange): AsyncIterable<Pair> {
    const found = this.pairs(range);
    return (async function* () {
      yield* found;
    })();
  }

  async keys(range: KeyRange, countMax: number): Promise<Uint8Array[]> {
    return this.pairs(range)
      .slice(0, countMax)
      .map(([key]) => key);
  }

  async close(): Promise<void> {}

  /** The process ended: what was written stays, except perhaps a batch that failed. */
  crash(loss: 'process' | 'power'): void {
    for (const { operations, sync } of this.#history.splice(0)) {
      if (sync || loss === 'process' || this.#random.next() < 0.5) apply(this.#durable, operations);
    }
    this.#values = new Map(this.#durable);
    this.#isPoisoned = false;
  }

  /** Damages one stored value; false if there is none. */
  flipBit(): boolean {
    const pairs = [...this.#values.values()];
    if (pairs.length === 0) return false;
    const [key, value] = pairs[this.#random.integer(0, pairs.length - 1)]!;
    const at = this.#random.integer(0, value.length - 1);
    value[at] = value[at]! ^ (1 << this.#random.integer(0, 7));
    this.#values.set(nameOf(key), [key, value]);
    return true;
  }

  /** Loses one stored value; false if there is none. */
  loseValue(): boolean {
    const names = [...this.#values.keys()];
    return names.length > 0 && this.#values.delete(names[this.#random.integer(0, names.length - 1)]!);
  }

  pairs(range: KeyRange): Pair[] {
    const from = nameOf(range.from);
    const to = nameOf(range.to);
    const found = [...this.#values].filter(([name]) => name >= from && name < to);
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, pair]) => pair);
  }
}

const copyOf = (operation: KeyValueOperation): KeyValueOperation =>
  operation.type === 'put'
    ? { type: 'put', key: operation.key.slice(), value: operation.value.slice() }
    : { type: 'del', key: operation.key.slice() };

function apply(values: Values, operations: readonly KeyValueOperation[]): void {
  for (const operation of operations) {
    if (operation.type === 'put') values.set(nameOf(operation.key), [operation.key, operation.value.slice()]);
    else values.delete(nameOf(operation.key));
  }
}
