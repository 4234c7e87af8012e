import type { Random } from '../../src/lib/random.ts';
import type { KeyRange, KeyValueOperation, KeyValueStore } from '../../src/storage/key-value-store.ts';

type Pair = readonly [key: Uint8Array, value: Uint8Array];

interface Batch {
  readonly operations: readonly KeyValueOperation[];
  readonly sync: boolean;
}

/** How the values' disk takes its time. Nothing happens any more once the process that asked has ended. */
export interface ValuesPort {
  /** After a synced or unsynced write. */
  written(sync: boolean, happen: () => void): void;
  read(happen: () => void): void;
  /** Whether there is room for a write now. */
  hasRoom(): boolean;
  roomWanted(happen: () => void): void;
}

/** So many batches back a record of LevelDB's log may be dropped: what came before is in a table. */
const LOG_BATCHES = 12;

/**
 * What a node's key-value store holds, at the level of batches: each is there entirely or not at all. Without a sync it may be lost
 * with the power, whatever came after it.
 */
export class SimValues {
  readonly #random: Random;
  readonly #port: ValuesPort;
  /** By key; keys are strings in the order of their bytes. */
  #current = new Map<string, Pair>();
  /** What the table files hold. */
  #tables = new Map<string, Pair>();
  /** The log, oldest first: what a process finds that starts after the last one ended. */
  #log: Batch[] = [];
  /** Written and not acknowledged. */
  #underWay: Batch[] = [];
  #life = 0;

  constructor(random: Random, port: ValuesPort) {
    this.#random = random;
    this.#port = port;
  }

  /** For one life of the process. As LevelDB does, it puts what it finds in the log into a synced table first. */
  open(): KeyValueStore {
    const life = ++this.#life;
    for (const { operations } of this.#log) apply(this.#tables, operations);
    this.#log = [];
    const inLife =
      <Values extends readonly unknown[]>(happen: (...values: Values) => void) =>
      (...values: Values): void => {
        if (this.#life === life) happen(...values);
      };
    const read = <Value>(value: () => Value): Promise<Value> =>
      new Promise(resolve => this.#port.read(inLife(() => resolve(value()))));
    const batch = (operations: readonly KeyValueOperation[], sync: boolean, done: () => void): void => {
      if (!this.#port.hasRoom()) {
        this.#port.roomWanted(inLife(() => batch(operations, sync, done)));
        return;
      }
      const written: Batch = { operations, sync };
      this.#underWay.push(written);
      this.#port.written(
        sync,
        inLife(() => {
          this.#underWay = this.#underWay.filter(one => one !== written);
          this.#keep(written);
          done();
        }),
      );
    };
    const values = this;
    return {
      get: key => read(() => values.read(key)),
      batch: (operations, { sync }) =>
        new Promise(resolve => {
          batch(operations.map(copyOf), sync, resolve);
        }),
      keys: (range, countMax) =>
        read(() =>
          values
            .pairs(range)
            .slice(0, countMax)
            .map(([key]) => key),
        ),
      async *iterate(range) {
        yield* await read(() => values.pairs(range));
      },
      close: async () => {},
    };
  }

  read(key: Uint8Array): Uint8Array | undefined {
    return this.#current.get(nameOf(key))?.[1];
  }

  has(key: Uint8Array): boolean {
    return this.#current.has(nameOf(key));
  }

  /** What is there for certain after the power has failed. */
  durable(): ReadonlyMap<string, Pair> {
    const values = new Map(this.#tables);
    for (const { operations, sync } of this.#log) if (sync) apply(values, operations);
    return values;
  }

  get isEmpty(): boolean {
    return this.#current.size === 0;
  }

  /** Ascending. */
  pairs(range: KeyRange): Pair[] {
    const from = nameOf(range.from);
    const to = nameOf(range.to);
    const names = [...this.#current.keys()].filter(name => name >= from && name < to).sort();
    return names.map(name => this.#current.get(name)!);
  }

  /** The process ended: what was under way is there or not; without power also what was not synced. */
  crash(loss: 'process' | 'power'): void {
    this.#life++;
    this.#log = this.#log.filter(({ sync }) => sync || loss === 'process' || this.#random.next() < 0.5);
    for (const { operations } of this.#underWay) {
      if (this.#random.next() < 0.5) this.#log.push({ operations, sync: false });
    }
    this.#underWay = [];
    if (loss === 'power') this.#log = this.#log.map(batch => ({ ...batch, sync: true }));
    this.#recover();
  }

  /** Changes a bit of a value, as it will be read from now on. False: there is none. */
  damageValue(): boolean {
    const names = [...this.#current.keys()].sort();
    if (names.length === 0) return false;
    const name = names[this.#random.integer(0, names.length - 1)]!;
    const [key, value] = this.#current.get(name)!;
    if (value.length === 0) return false;
    const damaged = value.slice();
    damaged[this.#random.integer(0, value.length - 1)]! ^= 1 << this.#random.integer(0, 7);
    const pair: Pair = [key, damaged];
    this.#current.set(name, pair);
    this.#tables.set(name, pair);
    this.#log = this.#log.map(batch => ({
      ...batch,
      operations: batch.operations.map(one =>
        one.type === 'put' && nameOf(one.key) === name ? { ...one, value: damaged } : one,
      ),
    }));
    return true;
  }

  /** Between two lives: a process that starts does not find one of the latest records of the log, and is not told (R16). False: the log is empty. */
  dropRecord(): boolean {
    if (this.#log.length === 0) return false;
    this.#log.splice(this.#random.integer(0, this.#log.length - 1), 1);
    this.#recover();
    return true;
  }

  #keep(batch: Batch): void {
    apply(this.#current, batch.operations);
    this.#log.push(batch);
    while (this.#log.length > LOG_BATCHES) apply(this.#tables, this.#log.shift()!.operations);
  }

  #recover(): void {
    this.#current = new Map(this.#tables);
    for (const { operations } of this.#log) apply(this.#current, operations);
  }
}

function apply(values: Map<string, Pair>, operations: readonly KeyValueOperation[]): void {
  for (const operation of operations) {
    const name = nameOf(operation.key);
    if (operation.type === 'del') values.delete(name);
    else values.set(name, [operation.key, operation.value]);
  }
}

const copyOf = (operation: KeyValueOperation): KeyValueOperation =>
  operation.type === 'del'
    ? { type: 'del', key: operation.key.slice() }
    : { type: 'put', key: operation.key.slice(), value: operation.value.slice() };

/** One character per byte. */
export const nameOf = (key: Uint8Array): string => String.fromCharCode(...key);
