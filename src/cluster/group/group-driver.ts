import { assert } from '../../lib/assert.ts';
import type { GroupId, LogIndex, NodeId } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import type { Checkpointable } from '../../raft/checkpoint.ts';
import {
  type AppendRequest,
  type Entry,
  type EntryId,
  EntryKind,
  type RaftMessage,
  type SnapshotMeta,
} from '../../raft/messages.ts';
import type { Raft } from '../../raft/raft.ts';
import type { Fetch, Ready, SnapshotInstall, SoftState } from '../../raft/ready.ts';
import type { StateMachine } from '../../raft/state-machine.ts';
import type { GroupJournal } from './group-journal.ts';
import type { ProposalBuffer } from './proposal-buffer.ts';

export interface GroupDriverOptions {
  readonly group: GroupId;
  readonly inflightEntriesMax: number;
  readonly applyBytesMax: number;
  /** How long one call of `process` may apply entries before the event loop gets a turn (R10). */
  readonly sliceMs: number;
}

/** What the owner of a group is told. Calls come in log order, from within `process`. */
export interface GroupListener<Effects> {
  /** An entry was applied. `leading`: this replica leads and performs the effects; on others they are dropped. */
  applied(id: EntryId, effects: Effects, leading: boolean): void;
  /** The role or the known leader changed. */
  roleChanged(state: SoftState): void;
  /** This replica leads and has applied everything that earlier leaders committed: it may serve. */
  serving(term: number): void;
  /** A read round began with `readIndex` is confirmed: this replica led the group when it began. */
  roundConfirmed(context: number): void;
  snapshotsWanted(peers: readonly NodeId[]): void;
  install(install: SnapshotInstall): void;
}

export interface GroupDriverDependencies<Effects> {
  readonly raft: Raft;
  readonly machine: StateMachine<Effects> & Checkpointable;
  readonly journal: GroupJournal;
  readonly proposals: ProposalBuffer;
  readonly listener: GroupListener<Effects>;
  readonly send: (message: RaftMessage) => void;
  /** Asks the host for a call of `process` in this turn or the next. */
  readonly wake: () => void;
  readonly monotonicMs: () => number;
  /** Shard time for the next entry (R28). */
  readonly entryTimeMs: () => number;
}

/**
 * The driver of one Raft group: carries out what the core wants in the order that `Ready` prescribes, applies what is
 * committed, and turns waiting proposals into one entry per turn (R6). The only place where a group meets its disk.
 */
export class GroupDriver<Effects> {
  readonly #options: GroupDriverOptions;
  readonly #raft: Raft;
  readonly #machine: StateMachine<Effects> & Checkpointable;
  readonly #deps: GroupDriverDependencies<Effects>;
  #applied: EntryId;
  /** Payload bytes applied in this life. */
  #appliedBytes = 0;
  #reading = false;
  #stopped = false;
  /** From the beginning of the switch to a snapshot until it is durable nothing is stepped, taken or applied. */
  #isSwitching = false;
  #lastRole: SoftState;
  /** Term in which `serving` was announced. */
  #servingTerm = 0;

  constructor(options: GroupDriverOptions, deps: GroupDriverDependencies<Effects>, restored: EntryId) {
    this.#options = options;
    this.#deps = deps;
    this.#raft = deps.raft;
    this.#machine = deps.machine;
    this.#applied = restored;
    this.#lastRole = { role: 'follower', term: deps.raft.term, leader: undefined };
  }

  get group(): GroupId {
    return this.#options.group;
  }
  get raft(): Raft {
    return this.#raft;
  }
  get machine(): StateMachine<Effects> & Checkpointable {
    return this.#machine;
  }
  get applied(): EntryId {
    return this.#applied;
  }
  get appliedBytes(): number {
    return this.#appliedBytes;
  }
  get leader(): NodeId | undefined {
    return this.#lastRole.leader;
  }
  /** Leads, and has applied all that was committed before its term. */
  get isServing(): boolean {
    return this.#raft.role === 'leader' && this.#servingTerm === this.#raft.term;
  }

  step(message: RaftMessage): void {
    if (this.#isSwitching || this.#stopped) return;
    this.#raft.step(message.type === 'append-request' ? this.#withOwnPayloads(message) : message);
    this.#deps.wake();
  }

  /** Entries stay in memory for long, and the chunk that they came in must not stay with them (R20). */
  #withOwnPayloads(message: AppendRequest): AppendRequest {
    if (message.entries.length === 0) return message;
    const { group } = this.#options;
    const { journal } = this.#deps;
    const entries = message.entries.map(entry => {
      const payload = journal.allocate(group, entry.payload.length);
      payload.set(entry.payload);
      return { ...entry, payload };
    });
    return { ...message, entries };
  }

  tick(): void {
    if (this.#isSwitching || this.#stopped) return;
    this.#raft.tick();
    this.#deps.wake();
  }

  /** See `Raft.peerGone`. During a switch nothing comes of it, and the election timeout decides. */
  peerGone(peer: NodeId): void {
    if (this.#isSwitching || this.#stopped) return;
    this.#raft.peerGone(peer);
    this.#deps.wake();
  }

  /** See `Raft.peerConnected`. */
  peerConnected(peer: NodeId): void {
    if (this.#isSwitching || this.#stopped) return;
    this.#raft.peerConnected(peer);
    this.#deps.wake();
  }

  /** Begins a round that confirms the leadership; answered with `roundConfirmed`. False: not the leader. */
  readIndex(context: number): boolean {
    const asked = this.#raft.readIndex(context);
    if (asked) this.#deps.wake();
    return asked;
  }

  /** Nothing is sent, written or applied any more. Completions that are still under way are ignored. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Switches to a snapshot whose pages and bodies are durable under this generation: one record of the journal, then
   * `replaceMachine`, and the group goes on from the snapshot (R17). False: it is not to be installed any more.
   */
  switchTo(snapshot: SnapshotMeta, generation: number, replaceMachine: () => void): boolean {
    if (this.#stopped || this.#isSwitching || this.#raft.installing?.snapshot !== snapshot) return false;
    reached('driver.snapshot-installed');
    this.#isSwitching = true;
    const base = { ...snapshot, generation };
    this.#deps.journal.append({ group: this.group, hardState: undefined, entries: [], base }, () => {
      if (this.#stopped) return;
      replaceMachine();
      this.#isSwitching = false;
      this.installed(snapshot);
    });
    this.#deps.wake();
    return true;
  }

  /** The transfer could not be finished; the leader begins again. */
  snapshotFailed(): void {
    if (this.#stopped) return;
    this.#raft.snapshotFailed();
    this.#deps.wake();
  }

  /** A snapshot was installed: machine and log now begin at `snapshot`. */
  installed(snapshot: SnapshotMeta): void {
    this.#applied = snapshot.last;
    this.#raft.snapshotInstalled(snapshot);
    this.#deps.wake();
  }

  /** One turn. Called by the host; cheap when there is nothing to do. */
  process(): void {
    if (this.#stopped || this.#isSwitching) return;
    this.#propose();
    for (let ready = this.#raft.takeReady(); ready !== undefined; ready = this.#raft.takeReady()) this.#carryOut(ready);
    this.#apply();
  }

  #propose(): void {
    const { proposals } = this.#deps;
    if (proposals.isEmpty) return;
    if (this.#raft.role !== 'leader') {
      // Senders repeat what was not answered at the next leader (R25): certainly not proposed here.
      reached('driver.proposals-of-no-leader');
      proposals.clear();
      return;
    }
    while (!proposals.isEmpty && this.#mayPropose) {
      const result = this.#raft.propose(proposals.takeEntry(this.#deps.entryTimeMs()));
      assert(result.proposed, 'a proposal was refused that would have been taken');
    }
  }

  /** During a leadership transfer proposals wait: this replica may go on leading, and nobody would repeat them. */
  get #mayPropose(): boolean {
    const { acceptsProposals, lastId, commit } = this.#raft;
    return acceptsProposals && lastId.index - commit < this.#options.inflightEntriesMax;
  }

  #carryOut(ready: Ready): void {
    for (const message of ready.messages) this.#deps.send(message);
    if (ready.write !== undefined) {
      const { write } = ready;
      this.#deps.journal.append(
        { group: this.group, hardState: write.hardState, entries: write.entries, base: undefined },
        () => {
          if (this.#stopped) return;
          this.#raft.writeCompleted(write.number);
          for (const message of write.release) this.#deps.send(message);
          this.#deps.wake();
        },
      );
    }
    for (const { context } of ready.reads) this.#deps.listener.roundConfirmed(context);
    for (const fetch of ready.fetches) this.#serve(fetch);
    if (ready.snapshotsWanted.length > 0) this.#deps.listener.snapshotsWanted(ready.snapshotsWanted);
    if (ready.install !== undefined) this.#deps.listener.install(ready.install);
    this.#noteRole(ready.role);
  }

  #noteRole(role: SoftState): void {
    const last = this.#lastRole;
    if (role.role === last.role && role.term === last.term && role.leader === last.leader) return;
    this.#lastRole = role;
    this.#deps.listener.roleChanged(role);
  }

  /** Entries that a slow peer needs and that left the memory. */
  #serve(fetch: Fetch): void {
    this.#deps.journal.readEntries(this.group, fetch.from, fetch.to, fetch.bytesMax, entries => {
      if (this.#stopped) return;
      this.#raft.entriesFetched(fetch.peer, entries);
      this.#deps.wake();
    });
  }

  #apply(): void {
    const deadline = this.#deps.monotonicMs() + this.#options.sliceMs;
    while (!this.#reading && !this.#stopped && this.#applied.index < this.#raft.commit) {
      const from = this.#applied.index + 1;
      const entries = this.#raft.entriesFrom(from, this.#raft.commit, this.#options.applyBytesMax);
      if (entries === undefined) {
        this.#readAndApply(from);
        break;
      }
      this.#applyEntries(entries);
      if (this.#deps.monotonicMs() > deadline) {
        this.#deps.wake();
        break;
      }
    }
    if (!this.#stopped) this.#announceServing();
  }

  /** The first entry of a leader's own term is behind everything that earlier leaders committed (Raft 8). */
  #announceServing(): void {
    const { role, term } = this.#raft;
    if (role !== 'leader' || this.#servingTerm === term || this.#applied.term !== term) return;
    this.#servingTerm = term;
    this.#deps.listener.serving(term);
  }

  /** After a restart, or far behind: what is to be applied stands in the journal only. */
  #readAndApply(from: LogIndex): void {
    reached('driver.applied-from-journal');
    this.#reading = true;
    this.#deps.journal.readEntries(this.group, from, this.#raft.commit, this.#options.applyBytesMax, entries => {
      this.#reading = false;
      if (this.#stopped || this.#isSwitching) return;
      if (this.#applied.index + 1 === from) this.#applyEntries(entries);
      this.#deps.wake();
    });
  }

  #applyEntries(entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (this.#stopped) return;
      assert(
        entry.index === this.#applied.index + 1 && entry.term >= this.#applied.term,
        () =>
          `group ${this.group}: entry ${entry.term}:${entry.index} after ${this.#applied.term}:${this.#applied.index}`,
      );
      const id = { term: entry.term, index: entry.index };
      if (entry.kind === EntryKind.command) {
        const effects = this.#machine.apply(id, entry.payload);
        this.#applied = id;
        this.#appliedBytes += entry.payload.length;
        this.#deps.listener.applied(id, effects, this.#raft.role === 'leader');
      } else {
        this.#applied = id;
      }
      this.#raft.appliedTo(entry.index);
    }
  }
}
