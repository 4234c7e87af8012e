import type { CheckpointWriter, LoadedCheckpoint, Straggler } from '../../src/cluster/group/node-store.ts';
import type { SnapshotSinkDependencies } from '../../src/cluster/snapshot/snapshot-sink.ts';
import type { SnapshotSourceDependencies } from '../../src/cluster/snapshot/snapshot-source.ts';
import type { GroupId, LogIndex } from '../../src/lib/ids.ts';
import type { BodyPart } from '../../src/queue/effects.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import type { Entry, EntryId } from '../../src/raft/messages.ts';
import type { TermRun } from '../../src/raft/ready.ts';

/** What one replica's disk has of one group, in memory: both ends of a snapshot transfer work on it. */
export class TransferStore
  implements Pick<SnapshotSourceDependencies, 'store'>, Pick<SnapshotSinkDependencies, 'store'>
{
  readonly store = this;
  readonly records = new Map<LogIndex, Entry>();
  readonly stragglers = new Map<string, Uint8Array>();
  readonly checkpoints = new Map<number, LoadedCheckpoint>();
  readonly bodies = new Map<number, Map<LogIndex, Entry>>();
  generation = 0;
  pins = 0;
  /** What this replica has found to be lost. */
  readonly losses: string[] = [];

  generationOf(): number {
    return this.generation;
  }

  lastGenerationOf(): number {
    return this.generationOf();
  }

  /** As the journal does when a base of a new generation is written. */
  install(generation: number): void {
    this.generation = generation;
    for (const [index, entry] of this.bodies.get(generation) ?? []) this.records.set(index, entry);
  }

  pin(): { deadBytes: () => number; release: () => void } {
    this.pins++;
    return { deadBytes: () => 0, release: () => void this.pins-- };
  }

  lost(_: GroupId, what: string): void {
    this.losses.push(what);
  }

  hasRecord(_: GroupId, index: LogIndex): boolean {
    return (this.records.get(index)?.payload.length ?? 0) > 0;
  }

  heldRecords(_: GroupId, through: LogIndex): TermRun[] {
    return [...this.records.values()]
      .filter(({ index, payload }) => index <= through && payload.length > 0)
      .map(({ index, term }) => ({ term, first: index, last: index }));
  }

  readRecords(_: GroupId, indexes: readonly LogIndex[]): Promise<(Entry | undefined)[]> {
    return Promise.resolve(indexes.map(index => this.records.get(index)));
  }

  readStraggler(_: GroupId, { entry, position }: BodyPart, done: (bytes: Uint8Array | undefined) => void): void {
    done(this.stragglers.get(`${entry}/${position}`));
  }

  appendBody(_: GroupId, generation: number, entry: Entry, durable: () => void): void {
    const bodies = this.bodies.get(generation) ?? new Map<LogIndex, Entry>();
    this.bodies.set(generation, bodies);
    const last = Math.max(0, ...bodies.keys());
    if (entry.index <= last) throw new Error(`body ${entry.index} after ${last}`);
    bodies.set(entry.index, entry);
    setImmediate(durable);
  }

  abandonBodies(_: GroupId, generation: number): void {
    this.bodies.delete(generation);
  }

  async putStragglers(stragglers: readonly Straggler[]): Promise<void> {
    for (const { entry, position, bytes } of stragglers) this.stragglers.set(`${entry}/${position}`, bytes);
  }

  async keepGeneration(_: GroupId, generation: number | undefined): Promise<void> {
    for (const key of this.checkpoints.keys()) if (key !== generation) this.checkpoints.delete(key);
  }

  beginCheckpoint(_: GroupId, generation: number, at: EntryId): CheckpointWriter {
    const pages: Page[] = [];
    return {
      add: async more => void pages.push(...more),
      finish: async () => void this.checkpoints.set(generation, { at, pages }),
    };
  }

  async loadCheckpoint(_: GroupId, generation: number): Promise<LoadedCheckpoint | 'none'> {
    return this.checkpoints.get(generation) ?? 'none';
  }

  flush(): void {}
}
