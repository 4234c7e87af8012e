import type { Clock } from '../lib/clock.ts';
import { type GroupId, type LogIndex, METADATA_GROUP, type NodeId, type QueueId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import type { Random } from '../lib/random.ts';
import type { Divergence, ShardEffects } from '../queue/effects.ts';
import { PAYLOAD_HEADER_BYTES } from '../queue/entry-codec.ts';
import { ShardMachine } from '../queue/shard-machine.ts';
import type { LiveReferences } from '../queue/shard-reading.ts';
import type { Checkpointable } from '../raft/checkpoint.ts';
import type { EntryId, RaftMessage } from '../raft/messages.ts';
import type { FrameKind } from './frames.ts';
import type { GroupDriver, GroupListener } from './group/group-driver.ts';
import { GroupFactory, type GroupFactoryOptions } from './group/group-factory.ts';
import type { GroupHost } from './group/group-host.ts';
import { hostReplica, type MachineParts, type ReplicaHostingOptions } from './group/host-replica.ts';
import type { HostedReplica } from './group/hosted-replica.ts';
import { type CleaningOptions, JournalCleaner } from './group/journal-cleaner.ts';
import type { NodeStore } from './group/node-store.ts';
import { type ReplicaStart, recoverReplica } from './group/replica-start.ts';
import { StragglerSweep, type SweepOptions } from './group/straggler-sweep.ts';
import { type Formation, metadataMembership } from './metadata/formation.ts';
import { METADATA_HEAD_BYTES, writeMetadataHead } from './metadata/metadata-command-codec.ts';
import { MetadataGroup, type MetadataGroupDependencies, type MetadataGroupOptions } from './metadata/metadata-group.ts';
import { MetadataMachine } from './metadata/metadata-machine.ts';
import type { MetadataEffects } from './metadata/metadata-replies.ts';
import { writePayloadHead } from './shard/payload-head.ts';
import { ReplicatedShard } from './shard/replicated-shard.ts';
import { ShardTime } from './shard/shard-time.ts';
import type { SnapshotChunk, SnapshotRequest } from './snapshot/snapshot-codec.ts';

export interface ReplicasOptions extends ReplicaHostingOptions {
  readonly self: NodeId;
  readonly formation: Formation;
  readonly factory: GroupFactoryOptions;
  readonly metadata: Omit<MetadataGroupOptions, 'formation'>;
  readonly cleaning: CleaningOptions & SweepOptions;
  readonly bodyCacheBytesMax: number;
}

export interface ReplicasDependencies {
  readonly store: NodeStore;
  readonly host: GroupHost;
  readonly random: Random;
  readonly logger: Logger;
  readonly monotonicMs: () => number;
  /** What each voter's wall clock says now, as far as known. */
  readonly wallClocksMs: (voters: readonly NodeId[]) => number[];
  readonly send: (message: RaftMessage, group: GroupId) => void;
  /** On the `log` lane, behind what was sent before. */
  readonly sendSnapshot: (to: NodeId, kind: FrameKind, group: GroupId, payload: Uint8Array) => void;
  /** Resolves when other work had its turn (R10). */
  readonly nextTurn: () => Promise<void>;
  /** Resolves after so long; with 0 as `nextTurn`. */
  readonly pause: (delayMs: number) => Promise<void>;
  readonly after: Clock['after'];
  readonly metadata: Pick<MetadataGroupDependencies, 'reply' | 'grant' | 'applied'>;
  readonly leaderChanged: (group: GroupId, leader: NodeId | undefined) => void;
  readonly fenced: () => readonly { readonly node: NodeId; readonly through: number }[];
  readonly removeName: (queue: QueueId) => Promise<number>;
}

const NOTHING: EntryId = { term: 0, index: 0 };

/** Every Raft group that this node takes part in: group 0, and the shards that the shard map gives it. */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #deps: ReplicasDependencies;
  readonly #factory: GroupFactory;
  readonly #shards = new Map<GroupId, ReplicatedShard>();
  readonly #hosted = new Map<GroupId, HostedReplica<MetadataEffects> | HostedReplica<ShardEffects>>();
  readonly #opening = new Set<GroupId>();
  readonly #cleaner: JournalCleaner;
  readonly #sweep: StragglerSweep;
  metadata!: MetadataGroup;

  constructor(options: ReplicasOptions, deps: ReplicasDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.#factory = new GroupFactory(options.factory, {
      store: deps.store,
      random: deps.random,
      send: deps.send,
      wake: group => deps.host.wake(group),
      monotonicMs: deps.monotonicMs,
    });
    const { store, pause, monotonicMs, logger } = deps;
    const cleaning = { store, pause, monotonicMs, logger, group: (id: GroupId) => this.#hosted.get(id) };
    this.#cleaner = new JournalCleaner(options.cleaning, cleaning);
    this.#sweep = new StragglerSweep(options.cleaning, cleaning);
  }

  /** Looks after the journal's size. */
  tick(): void {
    this.#cleaner.tick();
    this.#sweep.tick();
  }

  stop(): void {
    this.#cleaner.stop();
    this.#sweep.stop();
  }

  shard(group: GroupId): ReplicatedShard | undefined {
    return this.#shards.get(group);
  }

  shards(): IterableIterator<ReplicatedShard> {
    return this.#shards.values();
  }

  snapshotRequested(from: NodeId, group: GroupId, request: SnapshotRequest): void {
    this.#hosted.get(group)?.snapshotRequested(from, request);
  }

  snapshotReceived(from: NodeId, group: GroupId, chunk: SnapshotChunk): void {
    this.#hosted.get(group)?.snapshotReceived(from, chunk);
  }

  async openMetadata(): Promise<void> {
    const { store, host, metadata, monotonicMs, leaderChanged, logger } = this.#deps;
    const membership = metadataMembership(this.#options.formation.members);
    const start = await recoverReplica(METADATA_GROUP, { isOnlyReplica: membership.voters.length === 1 }, this.#deps);
    const loaded = start.from === 'checkpoint' ? start.loaded : undefined;
    const machine = new MetadataMachine(loaded && { pages: loaded.pages, at: loaded.at.index });
    if (loaded) store.journal.checkpointed(METADATA_GROUP, loaded.at.index);
    if (start.from !== 'a-leader') store.journal.accounted(METADATA_GROUP);
    const proposals = this.#factory.proposals(METADATA_GROUP, METADATA_HEAD_BYTES, payload =>
      writeMetadataHead(payload),
    );
    const group = new MetadataGroup(
      { ...this.#options.metadata, formation: this.#options.formation },
      {
        ...metadata,
        machine,
        proposals,
        monotonicMs,
        wake: () => host.wake(METADATA_GROUP),
        leaderChanged: leader => leaderChanged(METADATA_GROUP, leader),
        snapshots: this.#snapshots(METADATA_GROUP),
      },
    );
    group.driver = this.#factory.driver(
      {
        group: METADATA_GROUP,
        id: this.#options.self,
        machine,
        restored: loaded?.at ?? NOTHING,
        isLost: start.from === 'a-leader',
        listener: group,
        proposals,
        entryTimeMs: () => 0,
      },
      membership,
    );
    this.metadata = group;
    this.#add(group.driver, machine, {
      liveReferences: () => [],
      prepare: replacing => () => {
        group.replaced({ pages: replacing.pages, at: replacing.at.index });
        store.journal.checkpointed(METADATA_GROUP, replacing.at.index);
        store.journal.accounted(METADATA_GROUP);
      },
    });
    logger.info({ group: METADATA_GROUP, index: group.driver.applied.index }, 'metadata group opened');
    await this.openShards();
  }

  /** Opens the shards that the shard map gives this node and that are not open yet. */
  async openShards(): Promise<void> {
    const { self } = this.#options;
    for (const { group, replicas } of this.metadata.machine.shards.heldBy(self)) {
      if (this.#shards.has(group) || this.#opening.has(group)) continue;
      this.#opening.add(group);
      const start = await recoverReplica(group, { isOnlyReplica: replicas.length === 1 }, this.#deps);
      await this.#openShard(group, replicas, start);
      this.#opening.delete(group);
    }
  }

  async #openShard(group: GroupId, voters: readonly NodeId[], start: ReplicaStart): Promise<void> {
    const { store, host, monotonicMs, wallClocksMs, leaderChanged, fenced, removeName, after } = this.#deps;
    const loaded = start.from === 'checkpoint' ? start.loaded : undefined;
    const machine = loaded ? ShardMachine.restore(loaded.pages, loaded.at) : new ShardMachine();
    if (loaded) store.journal.checkpointed(group, loaded.at.index);
    // What a leader has to fill keeps all its records until then.
    if (start.from === 'a-leader') store.resetLive(group);
    else await this.#countLiveBodies(group, machine);
    const proposals = this.#factory.proposals(group, PAYLOAD_HEADER_BYTES, writePayloadHead);
    const time = new ShardTime(machine.timeMs, monotonicMs());
    const timeMs = (): number => time.now(monotonicMs(), wallClocksMs(voters), voters.length);
    const shard: ReplicatedShard = new ReplicatedShard(
      { group, bodyCacheBytesMax: this.#options.bodyCacheBytesMax },
      {
        machine,
        journal: store.journal,
        proposals,
        time,
        monotonicMs,
        bodies: {
          inMemory: entry => shard.driver.raft.payloadAt(entry),
          fromJournal: (entry, done) => store.readPayload(group, entry, done),
          fromStragglers: (part, done) => store.readStraggler(group, part, done),
          lost: ({ entry, position }) => store.lost(group, `the body of message ${entry}/${position} is nowhere`),
        },
        wake: () => host.wake(group),
        fenced,
        removeName,
        timeMs,
        after,
        leaderChanged,
        snapshots: this.#snapshots(group),
        diverged: divergence => void this.#refill(group, voters, divergence),
      },
    );
    shard.driver = this.#factory.driver<ShardEffects>(
      {
        group,
        id: this.#options.self,
        machine,
        restored: loaded?.at ?? NOTHING,
        isLost: start.from === 'a-leader',
        listener: shard,
        proposals,
        entryTimeMs: timeMs,
      },
      { voters, outgoing: [], learners: [] },
    );
    this.#shards.set(group, shard);
    this.#add(shard.driver, machine, {
      liveReferences: (first, last) => machine.liveReferences(first, last),
      prepare: replacing => {
        const other = ShardMachine.restore(replacing.pages, replacing.at);
        return () => {
          machine.become(other);
          time.follow(machine.timeMs, monotonicMs());
          store.journal.checkpointed(group, replacing.at.index);
          store.resetLive(group);
          for (const piece of machine.liveReferences(0, machine.applied)) addLiveBodies(store, group, piece);
          store.journal.accounted(group);
        };
      },
    });
  }

  #add<Effects extends MetadataEffects | ShardEffects>(
    driver: GroupDriver<Effects>,
    machine: Checkpointable & { readonly applied: LogIndex },
    parts: MachineParts,
  ): void {
    const { host } = this.#deps;
    const { group } = driver;
    const hosted = hostReplica(driver, machine, parts, this.#options, { ...this.#deps, wake: one => host.wake(one) });
    this.#hosted.set(group, hosted as HostedReplica<MetadataEffects> | HostedReplica<ShardEffects>);
    host.add(hosted);
  }

  /** After a restart: which segments hold bodies that live, according to the machine's state (R13). */
  async #countLiveBodies(group: GroupId, machine: ShardMachine): Promise<void> {
    const { store, monotonicMs, nextTurn } = this.#deps;
    let sliceMs = monotonicMs();
    for (const piece of machine.liveReferences(0, machine.applied)) {
      addLiveBodies(store, group, piece);
      if (monotonicMs() - sliceMs < this.#options.factory.sliceMs) continue;
      await nextTurn();
      sliceMs = monotonicMs();
    }
    store.journal.accounted(group);
  }

  /** A replica that differs from its leader forgets its state and is filled again (R22). */
  async #refill(group: GroupId, voters: readonly NodeId[], { index }: Divergence): Promise<void> {
    const { store, host, logger } = this.#deps;
    const hosted = this.#hosted.get(group)!;
    logger.error({ group, index }, 'a replica differs from its leader and is filled again');
    host.remove(group);
    this.#hosted.delete(group);
    this.#shards.delete(group);
    await hosted.stop();
    await store.setDamaged(group, true);
    await store.keepGeneration(group, undefined);
    await this.#openShard(group, voters, { from: 'a-leader', reason: 'it differs from its leader' });
  }

  #snapshots(group: GroupId): Pick<GroupListener<ShardEffects>, 'snapshotsWanted' | 'install'> {
    return {
      snapshotsWanted: peers => this.#hosted.get(group)?.snapshotsWanted(peers),
      install: install => this.#hosted.get(group)?.install(install),
    };
  }
}

function addLiveBodies(store: NodeStore, group: GroupId, { entries, accounted }: LiveReferences): void {
  for (let i = 0; i < entries.length; i++) store.journal.addLive(group, entries[i]!, accounted[i]!);
}
