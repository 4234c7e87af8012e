import { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import type { Incarnation, LogIndex, NodeId } from '../../lib/ids.ts';
import type { EntryId } from '../../raft/messages.ts';
import type { SnapshotInstall, SoftState } from '../../raft/ready.ts';
import type { GroupDriver, GroupListener } from '../group/group-driver.ts';
import type { ProposalBuffer } from '../group/proposal-buffer.ts';
import type { Formation } from './formation.ts';
import { encodeRequest } from './metadata-command-codec.ts';
import { bootstrap } from './metadata-commands.ts';
import { MetadataLeader, type MetadataLeaderDependencies, type MetadataLeaderOptions } from './metadata-leader.ts';
import type { MetadataMachine, RestoredMetadata } from './metadata-machine.ts';
import { type MetadataEffects, type MetadataReply, readReply, writeReply } from './metadata-replies.ts';
import { initialShards } from './placement.ts';

export interface MetadataGroupOptions extends MetadataLeaderOptions {
  readonly formation: Formation;
  readonly shardsPerNode: number;
}

export interface MetadataGroupDependencies extends Pick<MetadataLeaderDependencies, 'reply' | 'grant' | 'monotonicMs'> {
  readonly machine: MetadataMachine;
  readonly proposals: ProposalBuffer;
  readonly wake: () => void;
  /** This node has applied an entry of group 0. */
  readonly applied: (index: LogIndex, effects: MetadataEffects) => void;
  readonly leaderChanged: (leader: NodeId | undefined) => void;
  readonly snapshots: Pick<GroupListener<MetadataEffects>, 'snapshotsWanted' | 'install'>;
}

/** This node's replica of group 0, and its leader's duties when it leads. */
export class MetadataGroup implements GroupListener<MetadataEffects> {
  readonly #options: MetadataGroupOptions;
  readonly #deps: MetadataGroupDependencies;
  readonly leader: MetadataLeader;
  readonly machine: MetadataMachine;
  /** Set once, right after construction: driver and group know each other. */
  driver!: GroupDriver<MetadataEffects>;

  constructor(options: MetadataGroupOptions, deps: MetadataGroupDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.machine = deps.machine;
    this.leader = new MetadataLeader(options, {
      driver: () => this.driver,
      machine: deps.machine,
      propose: batch => this.propose(batch),
      reply: deps.reply,
      grant: deps.grant,
      monotonicMs: deps.monotonicMs,
    });
  }

  propose(batch: Uint8Array): boolean {
    if (!this.#deps.proposals.add(batch)) return false;
    this.#deps.wake();
    return true;
  }

  applied(id: EntryId, effects: MetadataEffects, leading: boolean): void {
    if (leading) this.leader.perform(id, effects);
    this.#deps.applied(id.index, effects);
  }

  /** A snapshot took the place of the machine's state. */
  replaced(restored: RestoredMetadata): void {
    this.#deps.applied(restored.at, this.machine.replace(restored));
  }

  roleChanged(state: SoftState): void {
    if (state.role !== 'leader') this.leader.stop();
    this.#deps.leaderChanged(state.leader);
  }

  serving(): void {
    this.leader.serve(this.driver.applied.index);
    if (this.machine.clusterId === undefined) this.#bootstrap();
    this.#deps.leaderChanged(this.driver.raft.id);
  }

  roundConfirmed(context: number): void {
    this.leader.roundConfirmed(context);
  }

  snapshotsWanted(peers: readonly NodeId[]): void {
    this.#deps.snapshots.snapshotsWanted(peers);
  }

  install(install: SnapshotInstall): void {
    this.#deps.snapshots.install(install);
  }

  /** The first leader writes down what all founders agreed on; a second one's repeat does nothing. */
  #bootstrap(): void {
    const { formation, shardsPerNode } = this.#options;
    const shards = initialShards(
      formation.members.map(member => member.id),
      shardsPerNode,
    );
    const command = bootstrap({ clusterId: formation.clusterId, members: formation.members, shards });
    this.propose(encodeRequest({ id: undefined, command }));
  }
}

/** Frames of kind `metadataReply`. */
export function encodeMetadataReply(started: Incarnation, number: number, reply: MetadataReply): Uint8Array {
  const out = new ByteWriter(64);
  out.u32(started);
  out.u48(number);
  writeReply(out, reply);
  return out.view();
}

export function decodeMetadataReply(payload: Uint8Array): {
  readonly incarnation: number;
  readonly number: number;
  readonly reply: MetadataReply;
} {
  const reader = new ByteReader(payload);
  return { incarnation: reader.u32(), number: reader.u48(), reply: readReply(reader) };
}
