import type { GroupId, LogIndex, NodeId } from '../../lib/ids.ts';
import type { RaftMessage } from '../../raft/messages.ts';
import type { SnapshotInstall } from '../../raft/ready.ts';
import type { SnapshotChunk, SnapshotRequest } from '../snapshot/snapshot-codec.ts';
import type { SnapshotSink } from '../snapshot/snapshot-sink.ts';
import type { SnapshotSource } from '../snapshot/snapshot-source.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { GroupDriver } from './group-driver.ts';
import type { HostedGroup } from './group-host.ts';
import type { CleanableGroup } from './journal-cleaner.ts';
import type { NodeStore } from './node-store.ts';

export interface HostedReplicaParts<Effects> {
  readonly driver: GroupDriver<Effects>;
  readonly checkpointer: Checkpointer;
  readonly source: SnapshotSource;
  readonly sink: SnapshotSink;
  readonly store: NodeStore;
  readonly machine: { readonly applied: LogIndex };
  readonly liveReferences: CleanableGroup['liveReferences'];
}

/** A replica with everything that keeps it going, as the host drives it. */
export class HostedReplica<Effects> implements HostedGroup, CleanableGroup {
  readonly #parts: HostedReplicaParts<Effects>;
  #isDamaged: boolean;

  constructor(parts: HostedReplicaParts<Effects>) {
    this.#parts = parts;
    this.#isDamaged = parts.driver.raft.damaged;
  }

  get group(): GroupId {
    return this.#parts.driver.group;
  }
  get applied(): LogIndex {
    return this.#parts.machine.applied;
  }
  get covered(): LogIndex {
    return this.#parts.checkpointer.covered;
  }
  liveReferences(first: LogIndex, last: LogIndex): ReturnType<CleanableGroup['liveReferences']> {
    return this.#parts.liveReferences(first, last);
  }
  makeRoom(through: LogIndex, isUrgent: boolean): void {
    this.#parts.checkpointer.makeRoom(through, isUrgent);
  }
  step(message: RaftMessage): void {
    this.#parts.driver.step(message);
  }
  tick(): void {
    const { driver, checkpointer, source, sink } = this.#parts;
    driver.tick();
    checkpointer.tick();
    source.tick();
    sink.tick();
    this.#noteHealing();
  }
  process(): void {
    this.#parts.driver.process();
  }
  peerGone(peer: NodeId): void {
    this.#parts.driver.peerGone(peer);
  }
  peerConnected(peer: NodeId): void {
    this.#parts.driver.peerConnected(peer);
    this.#parts.sink.connected(peer);
  }
  snapshotsWanted(peers: readonly NodeId[]): void {
    this.#parts.source.wanted(peers);
  }
  install(install: SnapshotInstall): void {
    this.#parts.sink.begin(install);
  }
  snapshotRequested(from: NodeId, request: SnapshotRequest): void {
    this.#parts.source.requested(from, request);
  }
  snapshotReceived(from: NodeId, chunk: SnapshotChunk): void {
    this.#parts.sink.received(from, chunk);
  }

  /** Resolves when nothing of it writes any more. */
  async stop(): Promise<void> {
    const { driver, checkpointer, source, sink } = this.#parts;
    driver.stop();
    source.stop();
    sink.stop();
    await checkpointer.suspend();
  }

  /** The replica has again what it had acknowledged (R16): a restart need not doubt it. */
  #noteHealing(): void {
    const { driver, store } = this.#parts;
    if (!this.#isDamaged || driver.raft.damaged) return;
    this.#isDamaged = false;
    void store.setDamaged(driver.group, false);
  }
}
