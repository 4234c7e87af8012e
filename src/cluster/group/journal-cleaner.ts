import type { GroupId, LogIndex } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import type { LiveReferences } from '../../queue/shard-reading.ts';
import type { CleaningCandidate, CleaningStore, Straggler } from './node-store.ts';

/** What cleaning needs of one replica. */
export interface CleanableGroup {
  readonly group: GroupId;
  /** The last entry that the machine has applied. */
  readonly applied: LogIndex;
  /** The last entry that a durable checkpoint covers. */
  readonly covered: LogIndex;
  /** Messages alive in these entries, in pieces; entries may be applied between two pieces. */
  liveReferences(first: LogIndex, last: LogIndex): Iterable<LiveReferences>;
  /** A checkpoint is to cover the entry and the log to begin behind it; if it is urgent, whoever still needs it gets a snapshot. */
  makeRoom(through: LogIndex, isUrgent: boolean): void;
}

export interface CleaningOptions {
  /** How often the journal is looked at. */
  readonly periodMs: number;
  /** Stragglers written with one sync. */
  readonly batchBytes: number;
  /** How long references are gone through before the event loop gets a turn (R10). */
  readonly sliceMs: number;
}

export interface JournalCleanerDependencies {
  readonly store: CleaningStore;
  readonly group: (id: GroupId) => CleanableGroup | undefined;
  /** Resolves after so long; with 0 in a later turn of the event loop. */
  readonly pause: (delayMs: number) => Promise<void>;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
}

/** Here cleaning begins, at a tenth of the time... */
const PRESSURE_MIN = 0.75;
const SHARE_MIN = 0.1;
/** ...and from the bound on it does nothing else. */
const PRESSURE_FULL = 1;
/** So far beyond the bound nothing is kept any more for followers that are slow. */
const PRESSURE_URGENT = 1.5;

/** Positions and lengths of the messages alive in an entry, by turns. */
type LiveEntries = Map<LogIndex, number[]>;

/**
 * Keeps the journal within its bound (R13): has the groups move on that keep old segments, and copies what is alive in
 * mostly dead ones into the key-value store, so that the segments can go. One segment at a time, in small pieces; nothing
 * waits for it.
 */
export class JournalCleaner {
  readonly #options: CleaningOptions;
  readonly #deps: JournalCleanerDependencies;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isCleaning = false;
  #isStopped = false;

  constructor(options: CleaningOptions, deps: JournalCleanerDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  tick(): void {
    const { store, group, monotonicMs, logger } = this.#deps;
    const nowMs = monotonicMs();
    if (this.#isStopped || nowMs - this.#lookedMs < this.#options.periodMs) return;
    this.#lookedMs = nowMs;
    const wanted = store.spaceWanted();
    if (wanted === undefined) return;
    for (const { group: id, through } of wanted.groups) group(id)?.makeRoom(through, wanted.pressure > PRESSURE_URGENT);
    if (wanted.candidate === undefined || this.#isCleaning) return;
    this.#isCleaning = true;
    this.#clean(wanted.candidate)
      .catch(error => logger.error({ error: String(error) }, 'cleaning the journal failed'))
      .finally(() => {
        this.#isCleaning = false;
      });
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #clean(candidate: CleaningCandidate): Promise<void> {
    const { segment, ranges } = candidate;
    const { store, logger } = this.#deps;
    const batch = new StragglerBatch(this.#options.batchBytes, this.#deps);
    for (const { group, first, last } of ranges) {
      const live = await this.#liveEntries(group, first, last);
      if (live === undefined) return;
      for (const [entry, parts] of live) {
        const stragglers = await this.#read(group, entry, parts);
        if (this.#isStopped) return;
        if (stragglers === undefined) {
          logger.error({ group, entry, segment }, 'a segment of the journal is damaged and cannot be cleaned');
          store.setAside(segment);
          return;
        }
        for (const straggler of stragglers) await batch.add(straggler);
      }
    }
    await batch.finish();
    if (this.#isStopped) return;
    store.cleaned(candidate);
    logger.info({ segment, messages: batch.count }, 'what was alive in a segment of the journal was moved');
  }

  /** Undefined: the group is not here any more. */
  async #liveEntries(id: GroupId, first: LogIndex, last: LogIndex): Promise<LiveEntries | undefined> {
    const group = this.#deps.group(id);
    if (group === undefined) return undefined;
    const live: LiveEntries = new Map();
    let sliceMs = this.#deps.monotonicMs();
    for (const { entries, positions, lengths } of group.liveReferences(first, last)) {
      for (let i = 0; i < entries.length; i++) {
        let parts = live.get(entries[i]!);
        if (parts === undefined) {
          parts = [];
          live.set(entries[i]!, parts);
        }
        parts.push(positions[i]!, lengths[i]!);
      }
      if (this.#deps.monotonicMs() - sliceMs < this.#options.sliceMs) continue;
      await this.#deps.pause(0);
      sliceMs = this.#deps.monotonicMs();
    }
    return live;
  }

  /** The messages of one entry that have to be stored. Undefined: one of them is nowhere. */
  async #read(group: GroupId, entry: LogIndex, parts: readonly number[]): Promise<Straggler[] | undefined> {
    const { store } = this.#deps;
    const payload = await new Promise<Uint8Array | undefined>(resolve => store.readPayload(group, entry, resolve));
    const stragglers = new Map<number, Straggler>();
    for (let i = 0; i < parts.length; i += 2) {
      const position = parts[i]!;
      const length = parts[i + 1]!;
      // A message that entered several queues is named once for each of them.
      if (stragglers.has(position)) continue;
      const part = { entry, position, length };
      if (payload !== undefined) {
        stragglers.set(position, { ...part, group, bytes: payload.subarray(position, position + length) });
      } else if (!(await this.#isStored(group, part)) && this.#isAlive(group, part)) {
        return undefined;
      }
    }
    return [...stragglers.values()];
  }

  /** An earlier cleaning of the segment may have been cut short by the end of the process. */
  async #isStored(group: GroupId, part: Omit<Straggler, 'group' | 'bytes'>): Promise<boolean> {
    const { store } = this.#deps;
    const bytes = await new Promise<Uint8Array | undefined>(resolve => store.readStraggler(group, part, resolve));
    return bytes !== undefined;
  }

  /** Messages may leave while the others are copied, and the segment with the last of them. */
  #isAlive(group: GroupId, { entry, position }: Pick<Straggler, 'entry' | 'position'>): boolean {
    for (const { entries, positions } of this.#deps.group(group)?.liveReferences(entry, entry) ?? []) {
      if (entries.some((one, i) => one === entry && positions[i] === position)) return true;
    }
    return false;
  }
}

/** Puts messages away, many with one sync, and rests between two batches: the less the pressure, the longer. */
class StragglerBatch {
  readonly #bytesMax: number;
  readonly #deps: JournalCleanerDependencies;
  #stragglers: Straggler[] = [];
  #bytes = 0;
  #beganMs: number;
  count = 0;

  constructor(bytesMax: number, deps: JournalCleanerDependencies) {
    this.#bytesMax = bytesMax;
    this.#deps = deps;
    this.#beganMs = deps.monotonicMs();
  }

  async add(straggler: Straggler): Promise<void> {
    this.#stragglers.push(straggler);
    this.#bytes += straggler.length;
    if (this.#bytes >= this.#bytesMax) await this.finish();
  }

  async finish(): Promise<void> {
    const { store, monotonicMs, pause } = this.#deps;
    if (this.#stragglers.length > 0) await store.putStragglers(this.#stragglers);
    this.count += this.#stragglers.length;
    this.#stragglers = [];
    this.#bytes = 0;
    const pressure = store.spaceWanted()?.pressure ?? PRESSURE_MIN;
    const share = Math.min(1, Math.max(SHARE_MIN, (pressure - PRESSURE_MIN) / (PRESSURE_FULL - PRESSURE_MIN)));
    await pause((monotonicMs() - this.#beganMs) * (1 / share - 1));
    this.#beganMs = monotonicMs();
  }
}
