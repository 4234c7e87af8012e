import { crc32 } from '../../lib/crc32.ts';
import type { GroupId, LogIndex, NodeId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import { EntryKind } from '../../raft/messages.ts';
import type { SnapshotInstall } from '../../raft/ready.ts';
import type { Checkpointer } from '../group/checkpointer.ts';
import type { GroupDriver } from '../group/group-driver.ts';
import type { CheckpointWriter, LoadedCheckpoint, NodeStore, SnapshotPin, SnapshotStore } from '../group/node-store.ts';
import { type SnapshotChunk, type SnapshotItem, SnapshotReader, type SnapshotRequest } from './snapshot-codec.ts';

export interface SnapshotSinkOptions {
  readonly group: GroupId;
  /** Chunks that may come in before the first of them is stored. */
  readonly chunksAhead: number;
  /** Without a chunk for so long the follower asks again. */
  readonly repeatMs: number;
}

export interface SnapshotSinkDependencies {
  readonly driver: Pick<GroupDriver<unknown>, 'raft' | 'switchTo' | 'snapshotFailed'>;
  readonly checkpointer: Pick<Checkpointer, 'suspend' | 'resume'>;
  readonly store: Omit<SnapshotStore, 'setDamaged' | 'floorWithin' | 'resetLive' | 'writtenState'> &
    Pick<NodeStore, 'beginCheckpoint' | 'loadCheckpoint' | 'putStragglers' | 'flush'>;
  /** Entries up to here stand in the group's history for ever. */
  readonly committed: () => LogIndex;
  /** Makes a machine of the pages, off the group's way; what it returns puts it in the place of the present one. */
  readonly prepare: (loaded: LoadedCheckpoint) => () => void;
  readonly send: (to: NodeId, request: SnapshotRequest) => void;
  readonly monotonicMs: () => number;
  readonly logger: Logger;
}

type Straggler = Extract<SnapshotItem, { kind: 'straggler' }>;
type Kept = Extract<SnapshotItem, { kind: 'kept' }>;

/**
 * The follower's half of a snapshot transfer (R17). Everything that comes in is stored beside the state that is there,
 * under the next generation; one record of the journal then makes it the state.
 */
export class SnapshotSink {
  readonly #options: SnapshotSinkOptions;
  readonly #deps: SnapshotSinkDependencies;
  #transfer: IncomingSnapshot | undefined;
  /** Counts attempts: no two of them share a generation, so that they never mix. */
  #lastGeneration = 0;
  /** One of the own records was not what it should be: the next attempt takes everything from the leader. */
  #isOwnTrusted = true;

  constructor(options: SnapshotSinkOptions, deps: SnapshotSinkDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  begin(install: SnapshotInstall): void {
    this.#drop();
    const { store } = this.#deps;
    const { group } = this.#options;
    // The one behind the present is that of a log which begins anew meanwhile: see `RefilledJournal`.
    const generation = Math.max(this.#lastGeneration, store.lastGenerationOf(group), store.generationOf(group) + 1) + 1;
    this.#lastGeneration = generation;
    const held = this.#isOwnTrusted ? store.heldRecords(group, this.#deps.committed()) : [];
    this.#transfer = new IncomingSnapshot(install, generation, held, this.#options, this.#deps, outcome =>
      this.#over(outcome),
    );
  }

  received(from: NodeId, chunk: SnapshotChunk): void {
    this.#transfer?.received(from, chunk);
  }

  /** The link to a node is new: what was under way is lost. */
  connected(peer: NodeId): void {
    if (this.#transfer?.install.from === peer) this.#transfer.request(true);
  }

  tick(): void {
    const current = this.#transfer;
    if (current === undefined) return;
    if (this.#deps.driver.raft.installing?.snapshot !== current.install.snapshot && !current.isSwitching) this.#drop();
    else current.tick();
  }

  stop(): void {
    this.#drop();
  }

  #drop(): void {
    this.#transfer?.abandon();
    this.#transfer = undefined;
  }

  #over(outcome: TransferOutcome): void {
    const { group } = this.#options;
    const { logger, driver } = this.#deps;
    const about = { group, leader: this.#transfer?.install.from, index: this.#transfer?.install.snapshot.last.index };
    if (outcome.installed) {
      this.#transfer = undefined;
      logger.info({ ...about, ...outcome.counts }, 'installed a snapshot');
      return;
    }
    if (outcome.isOwnDamaged) this.#isOwnTrusted = false;
    logger.warn({ ...about, reason: outcome.reason }, 'could not install a snapshot');
    this.#drop();
    driver.snapshotFailed();
  }
}

interface TransferCounts {
  pages: number;
  bodies: number;
  kept: number;
  stragglers: number;
}

type TransferOutcome =
  | { readonly installed: true; readonly counts: TransferCounts }
  | { readonly installed: false; readonly reason: string; readonly isOwnDamaged: boolean };

class IncomingSnapshot {
  readonly install: SnapshotInstall;
  readonly #generation: number;
  /** Of the log whose records the leader counts on. */
  readonly #ownGeneration: number;
  readonly #held: SnapshotRequest['held'];
  readonly #options: SnapshotSinkOptions;
  readonly #deps: SnapshotSinkDependencies;
  readonly #over: (outcome: TransferOutcome) => void;
  readonly #reader = new SnapshotReader();
  readonly #counts: TransferCounts = { pages: 0, bodies: 0, kept: 0, stragglers: 0 };
  #writer: CheckpointWriter | undefined;
  /** The leader's number of it; 0 until its first chunk is here. */
  #number = 0;
  /** Received in order, and not stored yet. */
  #waiting: Uint8Array[] = [];
  #received = 0;
  #stored = 0;
  #isStoring = true;
  #isOver = false;
  isSwitching = false;
  #askedMs: number;
  /** Own records that the leader counts on stay until they are part of the new state. */
  readonly #pin: SnapshotPin;
  #lastReplaced: LogIndex = 0;
  /** Bodies that are not durable yet, and who waits for that. */
  #bodiesUnderWay = 0;
  #bodiesDurable: (() => void) | undefined;

  constructor(
    install: SnapshotInstall,
    generation: number,
    held: SnapshotRequest['held'],
    options: SnapshotSinkOptions,
    deps: SnapshotSinkDependencies,
    over: (outcome: TransferOutcome) => void,
  ) {
    this.install = install;
    this.#generation = generation;
    this.#ownGeneration = deps.store.generationOf(options.group);
    this.#held = held;
    this.#options = options;
    this.#deps = deps;
    this.#over = over;
    this.#askedMs = deps.monotonicMs();
    this.#pin = deps.store.pin(options.group);
    void this.#open();
  }

  received(from: NodeId, chunk: SnapshotChunk): void {
    const { last } = this.install.snapshot;
    // Once all of it is here, a repeated request may still be refused by a leader that has let go of it.
    if (this.#isOver || this.#reader.isEnded || from !== this.install.from) return;
    if (chunk.last.index !== last.index || chunk.last.term !== last.term) return;
    if (chunk.bytes === undefined) {
      if (chunk.transfer === this.#number) this.#fail('the leader does not have it any more');
      return;
    }
    if (chunk.number !== this.#received || (this.#number !== 0 && chunk.transfer !== this.#number)) return;
    this.#number = chunk.transfer;
    this.#received++;
    this.#askedMs = this.#deps.monotonicMs();
    this.#waiting.push(chunk.bytes.slice());
    if (!this.#isStoring) void this.#store();
  }

  request(again: boolean): void {
    if (this.#isOver || this.isSwitching || this.#reader.isEnded || this.#writer === undefined) return;
    this.#askedMs = this.#deps.monotonicMs();
    this.#deps.send(this.install.from, {
      transfer: this.#number,
      attempt: this.#generation,
      last: this.install.snapshot.last,
      from: this.#received,
      through: this.#stored + this.#options.chunksAhead - 1,
      again,
      held: this.#number === 0 ? this.#held : [],
    });
  }

  tick(): void {
    if (this.#isStoring || this.#deps.monotonicMs() - this.#askedMs < this.#options.repeatMs) return;
    this.request(true);
  }

  /** It is not wanted any more. Pages that are stored go when the next attempt begins. */
  abandon(): void {
    if (this.isSwitching || this.#isOver) return;
    this.#isOver = true;
    this.#pin.release();
    this.#deps.store.abandonBodies(this.#options.group, this.#generation);
    this.#deps.checkpointer.resume({ isReplaced: false });
  }

  /** What an earlier attempt left is no part of this one. */
  async #open(): Promise<void> {
    const { store } = this.#deps;
    const { group } = this.#options;
    await store.keepGeneration(group, store.generationOf(group));
    if (this.#isOver) return;
    this.#writer = store.beginCheckpoint(group, this.#generation, this.install.snapshot.last);
    this.#isStoring = false;
    this.request(true);
  }

  async #store(): Promise<void> {
    this.#isStoring = true;
    while (this.#waiting.length > 0 && !this.#isOver) {
      const items = this.#reader.add(this.#waiting.shift()!);
      if (items === undefined) {
        this.#fail('it is damaged');
        return;
      }
      const isWhole = await this.#storeItems(items);
      if (this.#isOver) return;
      if (!isWhole) {
        this.#fail("a record of this node's own journal is not what it should be", true);
        return;
      }
      this.#stored++;
      this.request(false);
    }
    this.#isStoring = false;
    if (this.#reader.isEnded && !this.#isOver) await this.#finish();
  }

  /** False: an own record that the leader counted on is not there, or differs. */
  async #storeItems(items: readonly SnapshotItem[]): Promise<boolean> {
    const { store } = this.#deps;
    const { group } = this.#options;
    const pages = items.flatMap(item => (item.kind === 'page' ? [item.page] : []));
    const stragglers = items.filter((item): item is Straggler => item.kind === 'straggler');
    const kept = items.filter((item): item is Kept => item.kind === 'kept');
    this.#counts.pages += pages.length;
    this.#counts.stragglers += stragglers.length;
    this.#counts.kept += kept.length;
    for (const item of items) {
      if (item.kind === 'body') this.#appendBody(item);
      else if (item.kind === 'straggler') this.#replaceRecord(item.part.entry);
    }
    store.flush();
    if (pages.length > 0) await this.#writer!.add(pages);
    if (stragglers.length > 0) {
      await store.putStragglers(stragglers.map(({ part, bytes }) => ({ group, ...part, bytes })));
    }
    if (kept.length === 0) return true;
    const records = await store.readRecords(
      group,
      kept.map(({ id }) => id.index),
    );
    return kept.every(({ id, checksum }, i) => {
      const record = records[i];
      return record !== undefined && record.term === id.term && crc32(record.payload) === checksum;
    });
  }

  #appendBody({ entry }: Extract<SnapshotItem, { kind: 'body' }>): void {
    this.#counts.bodies++;
    this.#bodiesUnderWay++;
    this.#deps.store.appendBody(this.#options.group, this.#generation, entry, () => {
      this.#bodiesUnderWay--;
      if (this.#bodiesUnderWay === 0) this.#bodiesDurable?.();
    });
  }

  /** Only stragglers are left of the entry: a record of it in this journal, which may be of another history, must not hide them. */
  #replaceRecord(entry: LogIndex): void {
    const { store } = this.#deps;
    if (entry === this.#lastReplaced || !store.hasRecord(this.#options.group, entry)) return;
    this.#lastReplaced = entry;
    const nothing = { term: 0, index: entry, kind: EntryKind.empty, payload: new Uint8Array(0) };
    this.#appendBody({ kind: 'body', entry: nothing });
  }

  async #finish(): Promise<void> {
    const { store, checkpointer, driver, prepare } = this.#deps;
    const { group } = this.#options;
    await this.#writer!.finish();
    if (this.#bodiesUnderWay > 0) {
      await new Promise<void>(resolve => {
        this.#bodiesDurable = resolve;
      });
    }
    if (this.#isOver) return;
    // Read back: what this node would find after a restart is what it goes on with.
    const loaded = await store.loadCheckpoint(group, this.#generation);
    if (this.#isOver) return;
    if (loaded === 'none' || loaded === 'damaged') {
      this.#fail('its pages cannot be read back');
      return;
    }
    const replace = prepare(loaded);
    await checkpointer.suspend();
    if (this.#isOver) return;
    if (store.generationOf(group) !== this.#ownGeneration) {
      this.#fail('this log began anew, and records that it was to keep are gone');
      return;
    }
    this.isSwitching = driver.switchTo(this.install.snapshot, this.#generation, () => {
      replace();
      this.#isOver = true;
      this.#pin.release();
      checkpointer.resume({ isReplaced: true });
      this.#over({ installed: true, counts: this.#counts });
      void store.keepGeneration(group, this.#generation);
    });
    if (!this.isSwitching) this.abandon();
  }

  #fail(reason: string, isOwnDamaged = false): void {
    if (this.#isOver) return;
    this.#over({ installed: false, reason, isOwnDamaged });
  }
}
