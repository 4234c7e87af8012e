import fc from 'fast-check';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** Rates are probabilities per packet; an absent one means that the fault does not exist in this run. */
export interface NetworkSwarm {
  readonly delayMs: Range;
  readonly loss?: number | undefined;
  readonly duplicate?: number | undefined;
  readonly reorder?: number | undefined;
  /** Packets that take 5 to 50 times as long. */
  readonly slow?: number | undefined;
  /** Frames with which the connection of two nodes ends. */
  readonly breaks?: number | undefined;
}

export interface DiskSwarm {
  readonly syncMs: Range;
  /** Syncs that take 100 times as long. */
  readonly slowSync?: number | undefined;
  readonly readMs: Range;
}

/** Sizes so small that every bound is met within seconds. */
export interface LimitSwarm {
  readonly segmentBytes: number;
  readonly checkpointEntries: number;
  readonly trailingEntries: number;
  readonly entryBytesMax: number;
  /** Payload of one append; one entry always fits. */
  readonly appendBytesMax: number;
  readonly inflightEntriesMax: number;
  /** Batches that wait for an entry; above it they are not taken. */
  readonly proposalBytesMax: number;
  readonly cachedBytesMax: number;
  readonly pageBytesMax: number;
}

export interface WorkloadSwarm {
  readonly queues: number;
  readonly publishers: number;
  readonly consumers: number;
  /** Between two publishes of one publisher. */
  readonly publishMs: Range;
  readonly bodyBytesMax: number;
  /** Share of publishes that go to several queues. */
  readonly fanout?: number | undefined;
  readonly prefetchMax: number;
  /** Between a delivery and the consumer's answer. */
  readonly answerMs: Range;
  readonly returns?: number | undefined;
  readonly discards?: number | undefined;
  /** Deliveries that are never answered until the consumer goes. */
  readonly forgets?: number | undefined;
}

/** One draw decides which faults exist in a run and how often; what is not drawn does not happen ("swarm testing"). */
export interface Swarm {
  readonly nodes: number;
  readonly groups: number;
  /** Election timeout; the shorter, the more elections fit into a run. */
  readonly electionTicks: number;
  readonly network: NetworkSwarm;
  readonly disk: DiskSwarm;
  readonly limits: LimitSwarm;
  readonly workload: WorkloadSwarm;
  /** Clocks of nodes run faster or slower by up to this share. */
  readonly clockSkew?: number | undefined;
  /** A new leader's node crashes after so long: many short terms, with entries that only one node has (Raft figure 8). */
  readonly leaderLifeMs?: Range | undefined;
  /** Actions of these kinds do nothing in this run. */
  readonly muted: readonly string[];
  /** Of the append responses that leave a node, one in this many is compared with the node's disk; of the votes every one. */
  readonly compareDiskEvery: number;
  /** Indexes between two comparisons of the replicas' states. */
  readonly compareStatesEvery: number;
}

/** A fault that shrinks towards absent: the report of a failure then says which faults were needed. */
const rate = (values: readonly number[]): fc.Arbitrary<number | undefined> =>
  fc.option(fc.constantFrom(...values), { nil: undefined, freq: 2 });

const networkArb: fc.Arbitrary<NetworkSwarm> = fc.record({
  delayMs: fc.constantFrom({ min: 1, max: 2 }, { min: 0.2, max: 10 }, { min: 5, max: 60 }, { min: 1, max: 250 }),
  loss: rate([0.01, 0.05, 0.2]),
  duplicate: rate([0.01, 0.1]),
  reorder: rate([0.02, 0.2, 1]),
  slow: rate([0.005, 0.05]),
  breaks: rate([0.001, 0.01]),
});

const diskArb: fc.Arbitrary<DiskSwarm> = fc.record({
  syncMs: fc.constantFrom({ min: 0.2, max: 1 }, { min: 1, max: 20 }, { min: 10, max: 150 }),
  slowSync: rate([0.002, 0.02]),
  readMs: fc.constantFrom({ min: 0.1, max: 1 }, { min: 1, max: 50 }),
});

const limitArb: fc.Arbitrary<LimitSwarm> = fc.record({
  segmentBytes: fc.constantFrom(8_192, 16_384, 65_536),
  checkpointEntries: fc.constantFrom(10, 25, 100),
  trailingEntries: fc.constantFrom(2, 10, 40),
  entryBytesMax: fc.constantFrom(1_024, 4_096),
  appendBytesMax: fc.constantFrom(1, 2_048, 16_384),
  inflightEntriesMax: fc.constantFrom(1, 2, 8, 64),
  proposalBytesMax: fc.constantFrom(8_192, 65_536),
  cachedBytesMax: fc.constantFrom(512, 8_192, 262_144),
  pageBytesMax: fc.constantFrom(128, 1_024, 65_536),
});

const workloadArb: fc.Arbitrary<WorkloadSwarm> = fc.record({
  queues: fc.integer({ min: 1, max: 3 }),
  publishers: fc.integer({ min: 1, max: 4 }),
  consumers: fc.integer({ min: 1, max: 4 }),
  publishMs: fc.constantFrom({ min: 20, max: 60 }, { min: 5, max: 20 }, { min: 50, max: 500 }),
  bodyBytesMax: fc.constantFrom(16, 200, 800),
  fanout: rate([0.2]),
  prefetchMax: fc.constantFrom(1, 5, 50),
  answerMs: fc.constantFrom({ min: 0.5, max: 5 }, { min: 10, max: 300 }),
  returns: rate([0.05, 0.3]),
  discards: rate([0.05]),
  forgets: rate([0.02, 0.1]),
});

/** `kinds`: the kinds of actions that may be muted. */
export const swarmArb = (kinds: readonly string[]): fc.Arbitrary<Swarm> =>
  fc.record({
    nodes: fc.constantFrom(3, 3, 3, 5),
    groups: fc.constantFrom(1, 1, 2),
    electionTicks: fc.constantFrom(10, 4),
    network: networkArb,
    disk: diskArb,
    limits: limitArb,
    workload: workloadArb,
    clockSkew: rate([0.05, 0.3]),
    leaderLifeMs: fc.option(fc.constantFrom({ min: 0, max: 20 }, { min: 0, max: 300 }, { min: 50, max: 3_000 }), {
      nil: undefined,
      freq: 1,
    }),
    muted: fc.oneof(fc.constant([]), fc.subarray([...kinds])),
    compareDiskEvery: fc.constantFrom(1, 4, 16),
    compareStatesEvery: fc.constantFrom(7, 31),
  });
