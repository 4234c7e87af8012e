import { assert } from '../../lib/assert.ts';
import type { Clock } from '../../lib/clock.ts';
import type { GroupId, NodeId, QueueId } from '../../lib/ids.ts';
import type { Divergence, ShardEffects } from '../../queue/effects.ts';
import type { ShardMachine } from '../../queue/shard-machine.ts';
import type { EntryId } from '../../raft/messages.ts';
import type { SnapshotInstall, SoftState } from '../../raft/ready.ts';
import type { GroupDriver, GroupListener } from '../group/group-driver.ts';
import type { GroupJournal } from '../group/group-journal.ts';
import type { ProposalBuffer } from '../group/proposal-buffer.ts';
import { BodyReader, type BodySources } from './body-reader.ts';
import { ShardLeader } from './shard-leader.ts';
import type { ShardTime } from './shard-time.ts';

export interface ReplicatedShardOptions {
  readonly group: GroupId;
  readonly bodyCacheBytesMax: number;
}

export interface ReplicatedShardDependencies {
  readonly machine: ShardMachine;
  readonly journal: GroupJournal;
  readonly proposals: ProposalBuffer;
  readonly time: ShardTime;
  readonly monotonicMs: () => number;
  readonly bodies: BodySources;
  readonly wake: () => void;
  readonly fenced: () => readonly { readonly node: NodeId; readonly through: number }[];
  readonly removeName: (queue: QueueId) => Promise<number>;
  /** Shard time for an entry that is written now. */
  readonly timeMs: () => number;
  readonly after: Clock['after'];
  /** This replica leads, follows somebody else, or knows no leader any more. */
  readonly leaderChanged: (group: GroupId, leader: NodeId | undefined) => void;
  readonly snapshots: Pick<GroupListener<ShardEffects>, 'snapshotsWanted' | 'install'>;
  /** This replica's state is not what the leader's is. Without it that is a broken invariant. */
  readonly diverged?: (divergence: Divergence) => void;
}

/** This node's replica of one shard: what its driver applies is accounted in the journal, and performed if it leads. */
export class ReplicatedShard implements GroupListener<ShardEffects> {
  readonly #options: ReplicatedShardOptions;
  readonly #deps: ReplicatedShardDependencies;
  readonly leader: ShardLeader;
  /** Set once, right after construction: driver and shard know each other. */
  driver!: GroupDriver<ShardEffects>;

  constructor(options: ReplicatedShardOptions, deps: ReplicatedShardDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.leader = new ShardLeader({
      machine: deps.machine,
      bodies: new BodyReader({ cacheBytesMax: options.bodyCacheBytesMax }, deps.bodies),
      propose: batch => {
        if (!deps.proposals.add(batch)) return false;
        deps.wake();
        return true;
      },
      fenced: deps.fenced,
      removeName: deps.removeName,
      timeMs: deps.timeMs,
      after: deps.after,
    });
  }

  get group(): GroupId {
    return this.#options.group;
  }
  get machine(): ShardMachine {
    return this.#deps.machine;
  }

  applied(id: EntryId, effects: ShardEffects, leading: boolean): void {
    const { journal, diverged, time, machine, monotonicMs } = this.#deps;
    if (!this.driver.isServing) time.follow(machine.timeMs, monotonicMs());
    const { bodiesAdded, bodiesReleased, divergence } = effects;
    if (divergence !== undefined) {
      assert(diverged !== undefined, () => `shard ${this.group} differs from its leader at entry ${divergence.index}`);
      diverged(divergence);
      return;
    }
    for (let i = 0; i < bodiesAdded.entries.length; i++) {
      journal.addLive(this.group, bodiesAdded.entries[i]!, bodiesAdded.bytes[i]!);
    }
    for (let i = 0; i < bodiesReleased.entries.length; i++) {
      journal.releaseLive(this.group, bodiesReleased.entries[i]!, bodiesReleased.bytes[i]!, id.index);
    }
    if (leading) this.leader.perform(effects);
  }

  roleChanged(state: SoftState): void {
    if (state.role !== 'leader') this.leader.stop();
    this.#deps.leaderChanged(this.group, state.leader);
  }

  serving(): void {
    this.leader.serve();
    this.#deps.leaderChanged(this.group, this.driver.raft.id);
  }

  roundConfirmed(): void {}

  snapshotsWanted(peers: readonly NodeId[]): void {
    this.#deps.snapshots.snapshotsWanted(peers);
  }

  install(install: SnapshotInstall): void {
    this.#deps.snapshots.install(install);
  }
}
