import type { LogIndex } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import type { CleanableGroup, JournalCleanerDependencies } from './journal-cleaner.ts';
import type { StragglerId } from './node-store.ts';

export interface SweepOptions {
  readonly periodMs: number;
  /** Stragglers compared with the machine in one go. */
  readonly pieceCount: number;
  /** Dead ones that are remembered until a checkpoint covers their death. */
  readonly deadMax: number;
  readonly sliceMs: number;
}

/** How long it takes at least until a checkpoint may have come. */
const CHECKPOINT_WAIT_MS = 500;

/**
 * Deletes stragglers that died (R13). A restored machine asks for every message that its checkpoint holds, so one is
 * deleted only when a durable checkpoint covers its death.
 */
export class StragglerSweep {
  readonly #options: SweepOptions;
  readonly #deps: JournalCleanerDependencies;
  readonly #logger: Logger;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #isSweeping = false;
  #isStopped = false;

  constructor(options: SweepOptions, deps: JournalCleanerDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#logger = deps.logger;
  }

  tick(): void {
    const { store, group, monotonicMs } = this.#deps;
    const nowMs = monotonicMs();
    if (this.#isStopped || this.#isSweeping || nowMs - this.#lookedMs < this.#options.periodMs) return;
    this.#lookedMs = nowMs;
    for (const id of store.sweepsWanted()) {
      const found = group(id);
      if (found === undefined) continue;
      this.#isSweeping = true;
      this.#sweep(found)
        .catch(error => this.#logger.error({ error: String(error) }, 'deleting dead stragglers failed'))
        .finally(() => {
          this.#isSweeping = false;
        });
      return;
    }
  }

  stop(): void {
    this.#isStopped = true;
  }

  async #sweep({ group: id }: CleanableGroup): Promise<void> {
    const { store } = this.#deps;
    store.sweepBegins(id);
    let from: StragglerId = { entry: 0, position: 0 };
    let dead: StragglerId[] = [];
    for (;;) {
      const piece = await store.listStragglers(id, from, this.#options.pieceCount);
      const group = this.#deps.group(id);
      if (group === undefined || this.#isStopped) return;
      const last = piece.at(-1);
      dead = dead.concat(await this.#deadOf(group, piece));
      if (last === undefined || dead.length >= this.#options.deadMax) {
        await this.#delete(group, dead);
        dead = [];
      }
      if (last === undefined) return;
      from = { entry: last.entry, position: last.position + 1 };
    }
  }

  /** Entries that are not applied here yet belong to a snapshot that is being received. */
  async #deadOf(group: CleanableGroup, piece: readonly StragglerId[]): Promise<StragglerId[]> {
    const { applied } = group;
    const known = piece.filter(({ entry }) => entry <= applied);
    const first = known[0]?.entry;
    if (first === undefined) return [];
    const left = new Map<LogIndex, Set<number>>();
    for (const { entry, position } of known) {
      const positions = left.get(entry);
      if (positions === undefined) left.set(entry, new Set([position]));
      else positions.add(position);
    }
    let sliceMs = this.#deps.monotonicMs();
    for (const { entries, positions } of group.liveReferences(first, known.at(-1)!.entry)) {
      for (let i = 0; i < entries.length; i++) left.get(entries[i]!)?.delete(positions[i]!);
      if (this.#deps.monotonicMs() - sliceMs < this.#options.sliceMs) continue;
      await this.#deps.pause(0);
      sliceMs = this.#deps.monotonicMs();
    }
    return known.filter(({ entry, position }) => left.get(entry)!.has(position));
  }

  async #delete(group: CleanableGroup, dead: readonly StragglerId[]): Promise<void> {
    const { store, pause } = this.#deps;
    if (dead.length === 0) return;
    const { applied } = group;
    // A replica that begins anew meanwhile has another object, and its own account of what is alive.
    const isOver = (): boolean => this.#isStopped || this.#deps.group(group.group) !== group;
    while (group.covered < applied && !isOver()) await pause(CHECKPOINT_WAIT_MS);
    for (let at = 0; at < dead.length; at += this.#options.pieceCount) {
      if (isOver()) return;
      await store.deleteStragglers(group.group, dead.slice(at, at + this.#options.pieceCount));
      await pause(0);
    }
    this.#logger.info({ group: group.group, messages: dead.length }, 'dead stragglers were deleted');
  }
}
