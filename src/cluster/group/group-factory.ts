import type { GroupId, NodeId } from '../../lib/ids.ts';
import type { Random } from '../../lib/random.ts';
import type { Checkpointable } from '../../raft/checkpoint.ts';
import type { RecoveredGroup } from '../../raft/log-store.ts';
import type { EntryId, Membership, RaftMessage } from '../../raft/messages.ts';
import { Raft, type RaftOptions } from '../../raft/raft.ts';
import type { RecoveredState } from '../../raft/ready.ts';
import type { StateMachine } from '../../raft/state-machine.ts';
import { GroupDriver, type GroupListener } from './group-driver.ts';
import type { NodeStore } from './node-store.ts';
import { ProposalBuffer } from './proposal-buffer.ts';
import { RefilledJournal } from './replica-start.ts';

export interface GroupFactoryOptions {
  readonly raft: Omit<RaftOptions, 'id'>;
  readonly entryBytesMax: number;
  readonly proposalBytesMax: number;
  readonly inflightEntriesMax: number;
  readonly sliceMs: number;
}

export interface GroupFactoryDependencies {
  readonly store: NodeStore;
  readonly random: Random;
  readonly send: (message: RaftMessage, group: GroupId) => void;
  readonly wake: (group: GroupId) => void;
  readonly monotonicMs: () => number;
}

/** What differs between group 0 and the shards. */
export interface GroupParts<Effects> {
  readonly group: GroupId;
  readonly id: NodeId;
  readonly machine: StateMachine<Effects> & Checkpointable;
  /** The last entry that the machine's restored state covers. */
  readonly restored: EntryId;
  /** Part of the replica's state is gone: a leader has to fill it (R16). */
  readonly isLost: boolean;
  readonly listener: GroupListener<Effects>;
  readonly proposals: ProposalBuffer;
  readonly entryTimeMs: () => number;
}

const NOTHING: EntryId = { term: 0, index: 0 };

/** Makes the replicas of this node, out of what recovery found or out of nothing. */
export class GroupFactory {
  readonly #options: GroupFactoryOptions;
  readonly #deps: GroupFactoryDependencies;

  constructor(options: GroupFactoryOptions, deps: GroupFactoryDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  proposals(
    group: GroupId,
    headBytes: number,
    writeHead: (payload: Uint8Array, timeMs: number) => void,
  ): ProposalBuffer {
    const { entryBytesMax, proposalBytesMax } = this.#options;
    const { journal } = this.#deps.store;
    return new ProposalBuffer(
      { entryBytesMax, waitingBytesMax: proposalBytesMax, headBytes },
      { allocate: bytes => journal.allocate(group, bytes), writeHead },
    );
  }

  driver<Effects>(parts: GroupParts<Effects>, initial: Membership): GroupDriver<Effects> {
    const { store, random, monotonicMs } = this.#deps;
    const { group, id, machine, listener, proposals, entryTimeMs, restored, isLost } = parts;
    const written = isLost ? this.#lostState(group, initial) : undefined;
    const state = written === undefined ? this.#recoveredState(group, initial, restored) : lostState(written);
    const raft = new Raft({ ...this.#options.raft, id }, state, random.fork(`election:${group}`));
    return new GroupDriver(
      {
        group,
        inflightEntriesMax: this.#options.inflightEntriesMax,
        sliceMs: this.#options.sliceMs,
        applyBytesMax: 1024 * 1024,
      },
      {
        raft,
        machine,
        journal: written === undefined ? store.journal : new RefilledJournal(store.journal, written.base),
        proposals,
        listener,
        send: message => this.#deps.send(message, group),
        wake: () => this.#deps.wake(group),
        monotonicMs,
        entryTimeMs,
      },
      restored,
    );
  }

  /** What it is sent may begin with the first entry: the members there are not those of its last base. */
  #lostState(group: GroupId, initial: Membership): Pick<RecoveredGroup, 'hardState' | 'base'> | undefined {
    const written = this.#deps.store.writtenState(group);
    return written && { ...written, base: { ...written.base, membership: initial } };
  }

  /** A group that is new on this node begins with a base, so that recovery knows its membership from then on. */
  #recoveredState(group: GroupId, initial: Membership, restored: EntryId): RecoveredState {
    const found = this.#deps.store.recovered.get(group);
    if (found === undefined || isBlank(found)) {
      const base = { last: NOTHING, membership: initial, generation: 0 };
      this.#deps.store.journal.append({ group, hardState: undefined, entries: [], base }, () => {});
      return {
        hardState: { term: 0, vote: undefined, commit: 0 },
        base: NOTHING,
        membership: initial,
        log: [],
        configurations: [],
        applied: 0,
        damaged: found?.damaged ?? false,
      };
    }
    return {
      hardState: { ...found.hardState, commit: Math.max(found.hardState.commit, restored.index) },
      base: found.base.last,
      membership: found.base.membership,
      log: found.log,
      configurations: found.configurations,
      applied: restored.index,
      damaged: found.damaged,
    };
  }
}

/** Nothing that this replica has said to anybody stands there. One that joins may have a term and a log, and no members yet. */
function isBlank({ hardState, base, log }: RecoveredGroup): boolean {
  const { voters, learners } = base.membership;
  const hasMembers = voters.length + learners.length > 0;
  return !hasMembers && base.last.index === 0 && hardState.term === 0 && log.length === 0;
}

/** It keeps its term and vote and begins without a log: the leader sends a snapshot, or everything from the first entry on. */
function lostState({ hardState, base }: Pick<RecoveredGroup, 'hardState' | 'base'>): RecoveredState {
  return {
    hardState: { ...hardState, commit: 0 },
    base: NOTHING,
    membership: base.membership,
    log: [],
    configurations: [],
    applied: 0,
    damaged: true,
  };
}
