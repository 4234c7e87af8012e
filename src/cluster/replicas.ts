import { ByteWriter } from '../lib/bytes.ts';
import { type GroupId, type LogIndex, METADATA_GROUP, type NodeId, type QueueId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import type { Random } from '../lib/random.ts';
import type { ShardEffects } from '../queue/effects.ts';
import { PAYLOAD_HEADER_BYTES, writePayloadHeader } from '../queue/entry-codec.ts';
import { ShardMachine } from '../queue/shard-machine.ts';
import type { Checkpointable, Page } from '../raft/checkpoint.ts';
import type { EntryId, RaftMessage } from '../raft/messages.ts';
import { Checkpointer, type CheckpointerOptions } from './checkpointer.ts';
import { type Formation, metadataMembership } from './formation.ts';
import type { GroupDriver } from './group-driver.ts';
import { GroupFactory, type GroupFactoryOptions } from './group-factory.ts';
import type { GroupHost, HostedGroup } from './group-host.ts';
import { METADATA_HEAD_BYTES, writeMetadataHead } from './metadata-command-codec.ts';
import { MetadataGroup, type MetadataGroupDependencies, type MetadataGroupOptions } from './metadata-group.ts';
import { MetadataMachine } from './metadata-machine.ts';
import type { NodeStore } from './node-store.ts';
import { ReplicatedShard } from './replicated-shard.ts';
import { ShardTime } from './shard-time.ts';

export interface ReplicasOptions {
  readonly self: NodeId;
  readonly formation: Formation;
  readonly factory: GroupFactoryOptions;
  readonly metadata: Omit<MetadataGroupOptions, 'formation'>;
  readonly checkpoints: CheckpointerOptions;
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
  readonly metadata: Pick<MetadataGroupDependencies, 'reply' | 'grant' | 'applied'>;
  readonly leaderChanged: (group: GroupId, leader: NodeId | undefined) => void;
  readonly fenced: () => readonly { readonly node: NodeId; readonly through: number }[];
  readonly removeName: (queue: QueueId) => Promise<number>;
}

const NOTHING: EntryId = { term: 0, index: 0 };

/** A replica with everything that keeps it going, as the host drives it. */
class HostedReplica<Effects> implements HostedGroup {
  readonly driver: GroupDriver<Effects>;
  readonly #checkpointer: Checkpointer;

  constructor(driver: GroupDriver<Effects>, checkpointer: Checkpointer) {
    this.driver = driver;
    this.#checkpointer = checkpointer;
  }

  get group(): GroupId {
    return this.driver.group;
  }
  step(message: RaftMessage): void {
    this.driver.step(message);
  }
  tick(): void {
    this.driver.tick();
    this.#checkpointer.tick();
  }
  process(): void {
    this.driver.process();
  }
  peerGone(peer: NodeId): void {
    this.driver.raft.peerGone(peer);
  }
  peerConnected(peer: NodeId): void {
    this.driver.raft.peerConnected(peer);
  }
}

/** Every Raft group that this node takes part in: group 0, and the shards that the shard map gives it. */
export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #deps: ReplicasDependencies;
  readonly #factory: GroupFactory;
  readonly #shards = new Map<GroupId, ReplicatedShard>();
  readonly #opening = new Set<GroupId>();
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
  }

  shard(group: GroupId): ReplicatedShard | undefined {
    return this.#shards.get(group);
  }

  shards(): IterableIterator<ReplicatedShard> {
    return this.#shards.values();
  }

  async openMetadata(): Promise<void> {
    const { store, host, metadata, monotonicMs, leaderChanged, logger } = this.#deps;
    const loaded = await this.#load(METADATA_GROUP);
    const machine = new MetadataMachine(loaded && { pages: loaded.pages, at: loaded.at.index });
    const proposals = this.#factory.proposals(METADATA_HEAD_BYTES, payload => writeMetadataHead(payload));
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
        listener: group,
        proposals,
        entryTimeMs: () => 0,
      },
      metadataMembership(this.#options.formation.members),
    );
    this.metadata = group;
    this.#add(group.driver, machine, store);
    logger.info({ group: METADATA_GROUP, index: group.driver.applied.index }, 'metadata group opened');
    await this.openShards();
  }

  /** Opens the shards that the shard map gives this node and that are not open yet. */
  async openShards(): Promise<void> {
    const { self } = this.#options;
    for (const { group, replicas } of this.metadata.machine.shards.heldBy(self)) {
      if (this.#shards.has(group) || this.#opening.has(group)) continue;
      this.#opening.add(group);
      await this.#openShard(group, replicas);
      this.#opening.delete(group);
    }
  }

  async #openShard(group: GroupId, voters: readonly NodeId[]): Promise<void> {
    const { store, host, monotonicMs, wallClocksMs, leaderChanged, fenced, removeName } = this.#deps;
    const loaded = await this.#load(group);
    const machine = loaded ? ShardMachine.restore(loaded.pages, loaded.at) : new ShardMachine();
    if (loaded) store.journal.checkpointed(group, loaded.at.index);
    countLiveBodies(store, group, machine);
    const head = new ByteWriter(PAYLOAD_HEADER_BYTES);
    const proposals = this.#factory.proposals(PAYLOAD_HEADER_BYTES, (payload, timeMs) => {
      head.reset();
      writePayloadHeader(head, timeMs);
      payload.set(head.view());
    });
    const shard: ReplicatedShard = new ReplicatedShard(
      { group, bodyCacheBytesMax: this.#options.bodyCacheBytesMax },
      {
        machine,
        journal: store.journal,
        proposals,
        bodies: {
          inMemory: entry => shard.driver.raft.payloadAt(entry),
          fromJournal: (entry, done) => store.readPayload(group, entry, done),
          fromStragglers: (part, done) => store.readStraggler(group, part, done),
        },
        wake: () => host.wake(group),
        fenced,
        removeName,
        leaderChanged,
        snapshots: this.#snapshots(group),
      },
    );
    const time = new ShardTime(machine.timeMs, monotonicMs());
    shard.driver = this.#factory.driver<ShardEffects>(
      {
        group,
        id: this.#options.self,
        machine,
        restored: loaded?.at ?? NOTHING,
        listener: shard,
        proposals,
        entryTimeMs: () => time.now(monotonicMs(), wallClocksMs(voters), voters.length),
      },
      { voters, outgoing: [], learners: [] },
    );
    this.#shards.set(group, shard);
    this.#add(shard.driver, machine, store);
  }

  #add<Effects>(
    driver: GroupDriver<Effects>,
    machine: Checkpointable & { readonly applied: LogIndex },
    store: NodeStore,
  ): void {
    const generation = store.recovered.get(driver.group)?.base.generation ?? 0;
    const checkpointer = new Checkpointer(
      { ...this.#options.checkpoints, generation },
      { driver, machine, store, monotonicMs: this.#deps.monotonicMs },
    );
    this.#deps.host.add(new HostedReplica(driver, checkpointer));
  }

  async #load(group: GroupId): Promise<{ at: EntryId; pages: readonly Page[] } | undefined> {
    const { store } = this.#deps;
    const recovered = store.recovered.get(group);
    if (recovered === undefined) return undefined;
    const loaded = await store.loadCheckpoint(group, recovered.base.generation);
    if (loaded === 'none') return undefined;
    if (loaded === 'damaged')
      throw new Error(`the checkpoint of group ${group} is damaged: empty this node's data directory`);
    return loaded;
  }

  #snapshots(group: GroupId): { snapshotsWanted: (peers: readonly NodeId[]) => void; install: () => void } {
    const { logger } = this.#deps;
    return {
      snapshotsWanted: peers => logger.warn({ group, peers }, 'peers are behind the log and need a snapshot'),
      install: () => logger.warn({ group }, 'a snapshot is offered'),
    };
  }
}

/** After a restart: which segments hold bodies that live, according to the machine's state (R13). */
function countLiveBodies(store: NodeStore, group: GroupId, machine: ShardMachine): void {
  for (const { entries, accounted } of machine.liveReferences(0, machine.applied)) {
    for (let i = 0; i < entries.length; i++) store.journal.addLive(group, entries[i]!, accounted[i]!);
  }
  store.journal.accounted(group);
}
