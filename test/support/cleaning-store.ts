import type {
  CleaningCandidate,
  CleaningStore,
  SpaceWanted,
  Straggler,
  StragglerId,
} from '../../src/cluster/group/node-store.ts';
import type { GroupId, LogIndex } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import type { BodyPart, ShardEffects } from '../../src/queue/effects.ts';
import { CheckpointStore } from '../../src/storage/checkpoint-store.ts';
import type { Journal } from '../../src/storage/journal.ts';
import { decodeEntryAt } from '../../src/storage/journal-recovery.ts';
import { type JournalOptions, segmentFile } from '../../src/storage/journal-work.ts';
import { recordBytes } from '../../src/storage/record-codec.ts';
import { appending, basing, drain, OPTIONS, open } from './journal-fixture.ts';
import { SimulatedFiles } from './simulated-files.ts';
import { SimulatedStore } from './simulated-store.ts';

/** A node's disk in memory: the real journal and stragglers over simulated files. What is asked for is done at once. */
export class CleaningDisk implements CleaningStore {
  readonly files: SimulatedFiles;
  readonly keyValues: SimulatedStore;
  readonly #checkpoints: CheckpointStore;
  journal: Journal;
  isDiskShort = false;
  /** What the journal says of its pressure, instead of the truth. */
  pressure: number | undefined;
  /** Segments that were set aside as damaged. */
  readonly setAsides: number[] = [];

  constructor(options: JournalOptions = OPTIONS) {
    const random = new SeededRandom(9);
    this.files = new SimulatedFiles(random);
    this.keyValues = new SimulatedStore(random);
    this.#checkpoints = new CheckpointStore(this.keyValues);
    this.journal = open(this.files, options);
  }

  /** Appends an entry and accounts for what its application did, as a replica does. */
  applied(group: GroupId, index: LogIndex, payload: Uint8Array, effects: ShardEffects): void {
    this.journal.append([appending(group, { kind: 1, index, term: 1, payload })]);
    const { bodiesAdded, bodiesReleased } = effects;
    const { space } = this.journal;
    for (const [i, entry] of bodiesAdded.entries.entries()) space.addLive(group, entry, bodiesAdded.bytes[i]!);
    for (const [i, entry] of bodiesReleased.entries.entries())
      space.releaseLive(group, entry, bodiesReleased.bytes[i]!, index);
    drain(this.journal, this.files);
  }

  /** A durable checkpoint covers the entry, and the log begins behind it. */
  checkpointed(group: GroupId, index: LogIndex): void {
    this.journal.space.checkpointed(group, index);
    this.journal.append([basing(group, index)]);
    drain(this.journal, this.files);
  }

  spaceWanted(): SpaceWanted | undefined {
    const wanted = this.journal.space.wanted(this.isDiskShort);
    return wanted && { ...wanted, pressure: this.pressure ?? wanted.pressure };
  }

  readPayload(group: GroupId, index: LogIndex, done: (payload: Uint8Array | undefined) => void): void {
    const location = this.journal.locate(group, index);
    if (location === undefined) {
      queueMicrotask(() => done(undefined));
      return;
    }
    const bytes = this.files.read(segmentFile(location.segment), location.position, recordBytes(location.length));
    queueMicrotask(() => done(decodeEntryAt(location, bytes)?.payload));
  }

  putStragglers(stragglers: readonly Straggler[]): Promise<void> {
    return this.#checkpoints.putStragglers(stragglers);
  }

  cleaned(candidate: CleaningCandidate): void {
    this.journal.space.cleaned(candidate);
    drain(this.journal, this.files);
  }

  setAside(segment: number): void {
    this.setAsides.push(segment);
    this.journal.space.setAside(segment);
  }

  readStraggler(group: GroupId, part: BodyPart, done: (bytes: Uint8Array | undefined) => void): void {
    void this.#checkpoints.getStraggler(group, part.entry, part.position).then(done);
  }

  sweepsWanted(): readonly GroupId[] {
    return this.journal.space.stragglers.sweepsWanted();
  }

  sweepBegins(group: GroupId): void {
    this.journal.space.stragglers.sweeping(group);
  }

  listStragglers(group: GroupId, from: StragglerId, countMax: number): Promise<readonly StragglerId[]> {
    return this.#checkpoints.listStragglers(group, from, countMax);
  }

  deleteStragglers(group: GroupId, stragglers: readonly StragglerId[]): Promise<void> {
    return this.#checkpoints.deleteStragglers(group, stragglers);
  }
}
