import { crc32 } from '../../lib/crc32.ts';
import type { GroupId, LogIndex, NodeId } from '../../lib/ids.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Random } from '../../lib/random.ts';
import type { BodyPart } from '../../queue/effects.ts';
import type { LiveReferences } from '../../queue/shard-reading.ts';
import type { Checkpointable, CheckpointCut } from '../../raft/checkpoint.ts';
import type { SnapshotMeta } from '../../raft/messages.ts';
import type { PeerStatus } from '../../raft/raft.ts';
import type { GroupDriver } from '../group/group-driver.ts';
import { gatherLivingBodies, HeldEntries, type LivingBody } from '../group/living-bodies.ts';
import type { NodeStore, SnapshotPin } from '../group/node-store.ts';
import { type SnapshotChunk, type SnapshotRequest, SnapshotWriter } from './snapshot-codec.ts';

export interface SnapshotSourceOptions {
  readonly group: GroupId;
  readonly chunkBytes: number;
  /** Pages encoded in one go (R10). */
  readonly pageBytes: number;
  /** Dead bytes that a transfer may keep in the journal; beyond it the transfer is given up and begun again. */
  readonly pinnedBytesMax: number;
  /** A transfer that nobody asks for during this time is given up. */
  readonly idleMs: number;
}

export interface SnapshotSourceDependencies {
  readonly driver: Pick<GroupDriver<unknown>, 'raft' | 'applied'>;
  readonly machine: Checkpointable;
  /** Messages alive in entries up to `through`; of a group without messages there are none. */
  readonly liveReferences: (through: LogIndex) => Iterable<LiveReferences>;
  readonly store: Pick<NodeStore, 'pin' | 'hasRecord' | 'readRecords' | 'readStraggler' | 'lost'>;
  readonly send: (to: NodeId, chunk: SnapshotChunk) => void;
  readonly wake: () => void;
  readonly nextTurn: () => Promise<void>;
  readonly monotonicMs: () => number;
  readonly random: Random;
  readonly logger: Logger;
}

const NUMBER_MAX = 0xffff_ffff;
/** Records read in one go. */
const READ_AHEAD = 8;

/** The leader's half of snapshot transfers (R17): to one follower at a time, since a machine has one such cut. */
export class SnapshotSource {
  readonly #options: SnapshotSourceOptions;
  readonly #deps: SnapshotSourceDependencies;
  #transfer: OutgoingSnapshot | undefined;
  /** A snapshot has arrived there: the log stays until the peer has what was committed then. */
  #follower: { readonly peer: NodeId; readonly through: LogIndex } | undefined;

  constructor(options: SnapshotSourceOptions, deps: SnapshotSourceDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Behind this entry the log has to stay: a snapshot of it is on its way, or has just arrived. */
  get offered(): LogIndex | undefined {
    return this.#transfer?.snapshot.last.index ?? this.#position(this.#follower?.peer)?.match;
  }

  /** Peers can only go on with a snapshot. Those that have to wait for another's are told of again by the core. */
  wanted(peers: readonly NodeId[]): void {
    const { raft } = this.#deps.driver;
    const current = this.#transfer;
    if (current === undefined) {
      this.#begin(peers[0]!);
    } else if (peers.includes(current.peer)) {
      if (current.snapshot.last.index >= raft.base.index) raft.snapshotStarted(current.peer, current.snapshot);
      else this.#end('the log has gone on without it');
    }
    this.#deps.wake();
  }

  requested(from: NodeId, request: SnapshotRequest): void {
    const { transfer, last } = request;
    const current = this.#transfer;
    const isMeant =
      current !== undefined &&
      current.peer === from &&
      current.snapshot.last.index === last.index &&
      current.snapshot.last.term === last.term &&
      (transfer === 0 || transfer === current.number);
    if (isMeant && current.serve(request)) return;
    if (isMeant) this.#end('the follower has begun anew');
    this.#deps.send(from, { transfer, last, number: request.from, bytes: undefined });
  }

  tick(): void {
    this.#releaseFollower();
    const current = this.#transfer;
    if (current === undefined) return;
    const position = this.#position(current.peer);
    if (position !== undefined && position.match >= current.snapshot.last.index) {
      this.#follower = { peer: current.peer, through: this.#deps.driver.raft.commit };
      this.#end(undefined);
      return;
    }
    const problem = this.#problemOf(current, position);
    if (problem !== undefined) this.#end(problem);
  }

  stop(): void {
    this.#transfer?.close();
    this.#transfer = undefined;
  }

  #position(peer: NodeId | undefined): PeerStatus | undefined {
    if (peer === undefined) return undefined;
    return this.#deps.driver.raft.status().peers.find(status => status.peer === peer);
  }

  #problemOf(current: OutgoingSnapshot, position: PeerStatus | undefined): string | undefined {
    if (this.#deps.driver.raft.role !== 'leader') return 'this replica does not lead any more';
    if (position === undefined) return 'the follower is not a member any more';
    if (current.isIdle) return 'the follower does not ask for it any more';
    if (current.pinnedDeadBytes > this.#options.pinnedBytesMax) return 'it keeps too many dead bytes in the journal';
    return undefined;
  }

  #releaseFollower(): void {
    if (this.#follower === undefined) return;
    const position = this.#position(this.#follower.peer);
    if (position === undefined || !position.recentlyActive || position.match >= this.#follower.through) {
      this.#follower = undefined;
    }
  }

  #begin(peer: NodeId): void {
    const { driver, logger } = this.#deps;
    const { raft, applied } = driver;
    // Never above what is durable in this node's own journal (R14); the core asks again.
    if (raft.durable < applied.index || applied.index < raft.base.index || applied.index === 0) return;
    const snapshot = { last: applied, membership: raft.membershipAt(applied.index) };
    this.#transfer = new OutgoingSnapshot(peer, snapshot, this.#options, this.#deps, reason => this.#end(reason));
    raft.snapshotStarted(peer, snapshot);
    logger.info({ group: this.#options.group, peer, index: applied.index }, 'offers a snapshot');
  }

  /** Undefined: it has arrived. */
  #end(reason: string | undefined): void {
    const current = this.#transfer;
    if (current === undefined) return;
    const { group } = this.#options;
    const about = { group, peer: current.peer, index: current.snapshot.last.index, chunks: current.chunksMade };
    if (reason === undefined) this.#deps.logger.info(about, 'a snapshot has arrived');
    else this.#deps.logger.warn({ ...about, reason }, 'gave up a snapshot transfer');
    this.stop();
  }
}

/** One snapshot for one follower: chunks are made as they are asked for, and kept until the follower has them. */
class OutgoingSnapshot {
  readonly peer: NodeId;
  readonly snapshot: SnapshotMeta;
  readonly number: number;
  readonly #options: SnapshotSourceOptions;
  readonly #deps: SnapshotSourceDependencies;
  readonly #failed: (reason: string) => void;
  readonly #cut: CheckpointCut;
  readonly #pin: SnapshotPin;
  readonly #deadAtStart: number;
  #isCutOpen = true;
  #isClosed = false;
  /** Made and not acknowledged, by number. */
  readonly #chunks = new Map<number, Uint8Array>();
  #making: AsyncGenerator<Uint8Array[]> | undefined;
  #isMaking = false;
  #attempt: number | undefined;
  #made = 0;
  #isComplete = false;
  #first = 0;
  #next = 0;
  #through = -1;
  #usedMs: number;

  constructor(
    peer: NodeId,
    snapshot: SnapshotMeta,
    options: SnapshotSourceOptions,
    deps: SnapshotSourceDependencies,
    failed: (reason: string) => void,
  ) {
    this.peer = peer;
    this.snapshot = snapshot;
    this.#options = options;
    this.#deps = deps;
    this.#failed = failed;
    this.number = deps.random.integer(1, NUMBER_MAX);
    this.#pin = deps.store.pin(options.group);
    this.#deadAtStart = this.#pin.deadBytes();
    this.#cut = deps.machine.cut('all', snapshot.last);
    this.#usedMs = deps.monotonicMs();
  }

  get chunksMade(): number {
    return this.#made;
  }

  get isIdle(): boolean {
    return this.#deps.monotonicMs() - this.#usedMs > this.#options.idleMs;
  }

  get pinnedDeadBytes(): number {
    return this.#pin.deadBytes() - this.#deadAtStart;
  }

  /** False: what is asked for was acknowledged once and is gone, or was made for another attempt. */
  serve({ attempt, from, through, again, held }: SnapshotRequest): boolean {
    this.#attempt ??= attempt;
    if (from < this.#first || attempt !== this.#attempt) return false;
    this.#usedMs = this.#deps.monotonicMs();
    this.#making ??= this.#make(new HeldEntries(held));
    for (; this.#first < from; this.#first++) this.#chunks.delete(this.#first);
    if (again || this.#next < from) this.#next = from;
    this.#through = Math.max(this.#through, through);
    this.#send();
    return true;
  }

  close(): void {
    this.#isClosed = true;
    if (this.#isCutOpen) this.#cut.abandoned();
    this.#isCutOpen = false;
    this.#chunks.clear();
    this.#pin.release();
  }

  #send(): void {
    for (; this.#next <= this.#through; this.#next++) {
      const bytes = this.#chunks.get(this.#next);
      if (bytes === undefined) {
        if (!this.#isComplete && !this.#isMaking) void this.#makeMore();
        return;
      }
      this.#deps.send(this.peer, { transfer: this.number, last: this.snapshot.last, number: this.#next, bytes });
    }
  }

  async #makeMore(): Promise<void> {
    this.#isMaking = true;
    const { done, value } = await this.#making!.next();
    this.#isMaking = false;
    if (this.#isClosed) return;
    for (const chunk of value ?? []) this.#chunks.set(this.#made++, chunk);
    if (done) this.#isComplete = true;
    this.#send();
  }

  async *#make(held: HeldEntries): AsyncGenerator<Uint8Array[]> {
    const { store, liveReferences, nextTurn } = this.#deps;
    const { group, chunkBytes, pageBytes } = this.#options;
    const writer = new SnapshotWriter(chunkBytes);
    const bodies = await gatherLivingBodies(
      liveReferences(this.snapshot.last.index),
      entry => store.hasRecord(group, entry),
      nextTurn,
    );
    while (!this.#isClosed) {
      const pages = this.#cut.nextPages(pageBytes);
      if (pages.length === 0) break;
      for (const page of pages) if (page.bytes !== undefined) writer.add({ kind: 'page', page });
      yield writer.takeChunks();
      await nextTurn();
    }
    if (this.#isClosed) return;
    this.#cut.completed();
    this.#isCutOpen = false;
    for (let at = 0; at < bodies.length; at += READ_AHEAD) {
      const problem = await this.#addBodies(writer, bodies.slice(at, at + READ_AHEAD), held);
      if (this.#isClosed) return;
      if (problem !== undefined) {
        this.#failed(problem);
        store.lost(group, problem);
        return;
      }
      yield writer.takeChunks();
    }
    writer.end();
    yield writer.takeChunks(true);
  }

  /** A sentence if a body that is alive cannot be read: this node's own disk is damaged. */
  async #addBodies(
    writer: SnapshotWriter,
    bodies: readonly LivingBody[],
    held: HeldEntries,
  ): Promise<string | undefined> {
    const { store } = this.#deps;
    const { group } = this.#options;
    const whole = bodies.filter(({ stragglers }) => stragglers === undefined);
    const records = await store.readRecords(
      group,
      whole.map(({ entry }) => entry),
    );
    let next = 0;
    for (const { entry, stragglers } of bodies) {
      if (stragglers !== undefined) {
        for (const part of stragglers) {
          const bytes = await new Promise<Uint8Array | undefined>(resolve => store.readStraggler(group, part, resolve));
          if (bytes !== undefined) writer.add({ kind: 'straggler', part, bytes });
          else if (this.#isAlive(part)) return `message ${entry}/${part.position} cannot be read back`;
        }
        continue;
      }
      const record = records[next++];
      if (record === undefined) return `entry ${entry} cannot be read back`;
      if (held.has(entry, record.term)) {
        const id = { term: record.term, index: record.index };
        writer.add({ kind: 'kept', id, checksum: crc32(record.payload) });
      } else {
        writer.add({ kind: 'body', entry: record });
      }
    }
    return undefined;
  }

  /** A straggler that is gone may have been let go since it was listed. */
  #isAlive({ entry, position }: BodyPart): boolean {
    for (const { entries, positions } of this.#deps.liveReferences(entry)) {
      if (entries.some((one, i) => one === entry && positions[i] === position)) return true;
    }
    return false;
  }
}
