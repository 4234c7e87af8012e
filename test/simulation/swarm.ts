import fc from 'fast-check';
import { STEP_SHARES, type StepShares } from '../../src/queue/limits.ts';

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
  /** The slowest direction of a pair takes so many times as long as the fastest. */
  readonly asymmetry?: number | undefined;
  /** Packets on their way in one direction of a pair; one more is lost. */
  readonly capacity?: number | undefined;
  readonly weather?: WeatherSwarm | undefined;
}

/** Partitions that come and go by themselves. */
export interface WeatherSwarm {
  readonly separates: 'some' | 'one' | 'leader';
  /** Share of the partitions in which only what leaves one side is lost. */
  readonly oneWay: number;
  readonly cutMs: Range;
  readonly healedMs: Range;
}

export interface ClockSwarm {
  /** Wall clocks are off by up to so much, in either direction. */
  readonly offsetMs?: number | undefined;
  /** Now and then somebody sets a wall clock forward or back by up to so much. */
  readonly jumps?: { readonly everyMs: number; readonly byMs: number } | undefined;
}

export interface DiskSwarm {
  readonly syncMs: Range;
  /** Syncs that take 100 times as long. */
  readonly slowSync?: number | undefined;
  readonly readMs: Range;
  /** One node's disk takes away what was synced, as often as the plan says so. */
  readonly damage?: boolean | undefined;
}

/** Sizes so small that every bound is met within seconds. */
export interface LimitSwarm {
  readonly segmentBytes: number;
  /** The journal may take so many segments beyond twice the bytes that are alive. */
  readonly reserveSegments: number;
  readonly snapshotChunkBytes: number;
  readonly stragglerBatchBytes: number;
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
  /** Messages that one entry hands out, settles, or drops because their queue is purged or deleted; absent: as a node does. */
  readonly stepShare?: number | undefined;
}

export const stepSharesOf = ({ stepShare: share }: LimitSwarm): StepShares =>
  share === undefined ? STEP_SHARES : { ...STEP_SHARES, settlements: share, drops: share, deliveries: share };

/** What ends by itself. */
export interface ExpirySwarm {
  /** Share of the queues that let messages wait for so long. */
  readonly limitedQueues: number;
  readonly queueTtlMs: number;
  /** Share of the messages that wait for up to so long, as their publisher says. */
  readonly limitedMessages: number;
  readonly messageTtlMsMax: number;
  /** Share of the queues that go when nobody has used them for so long. */
  readonly leasedQueues: number;
  readonly leaseMs: number;
}

/** Queues whose messages stay. */
export interface StreamSwarm {
  /** Of all queues. */
  readonly share: number;
  readonly maxAgeMs?: number | undefined;
  readonly maxBytes?: number | undefined;
}

export interface WorkloadSwarm {
  readonly queues: number;
  readonly publishers: number;
  readonly consumers: number;
  /** Between two publishes of one publisher. */
  readonly publishMs: Range;
  /** Messages of one publisher that wait for their confirms; above it, it waits, too. */
  readonly outstandingMax: number;
  readonly bodyBytesMax: number;
  /** Share of publishes that go to several queues. */
  readonly fanout?: number | undefined;
  readonly prefetchMax: number;
  /** Between a delivery and the consumer's answer. */
  readonly answerMs: Range;
  readonly returns?: number | undefined;
  readonly discards?: number | undefined;
  /** Deliveries that are not answered until the consumer goes. */
  readonly forgets?: number | undefined;
  /** Answers that speak for all earlier deliveries, too. */
  readonly multiples?: number | undefined;
  /** Share of the queues that go with their last consumer. */
  readonly autoDeletes?: number | undefined;
  /** Share of the queues with a single active consumer. */
  readonly singleActives?: number | undefined;
  /** Consumers have priorities. */
  readonly priorities?: boolean | undefined;
  /** Every node has a queue in its memory, too. */
  readonly volatile?: boolean | undefined;
  /** Between two gets of one client; absent: nobody gets. */
  readonly getMs?: Range | undefined;
  /** Between two counts; absent: nobody counts. */
  readonly countMs?: Range | undefined;
  readonly expiry?: ExpirySwarm | undefined;
  readonly streams?: StreamSwarm | undefined;
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
  readonly clocks: ClockSwarm;
  /** Nodes that hold no replica when the cluster is formed. */
  readonly spares?: number | undefined;
  /** How long it takes until a node hears who is fenced. */
  readonly fenceDelayMs?: Range | undefined;
  /** A new leader's node crashes after so long: many short terms, with entries that only one node has (Raft figure 8). */
  readonly leaderLifeMs?: Range | undefined;
  /** What needs leaders waits for them so long at most: faults that meet a group at work. Absent: faults upon faults. */
  readonly patienceMs?: number | undefined;
  /** Actions of these kinds do nothing in this run. */
  readonly muted: readonly string[];
  /** Of the append responses that leave a node, one in this many is compared with the node's disk; of the votes every one. */
  readonly compareDiskEvery: number;
  /** Indexes between two comparisons of the replicas' states. */
  readonly compareStatesEvery: number;
}

/** Has a switch of its own in `DiskSwarm`. */
const DAMAGE = 'damage-disk';

/** A fault that is absent in one run of four. */
const rate = (values: readonly number[]): fc.Arbitrary<number | undefined> =>
  fc.option(fc.constantFrom(...values), { nil: undefined, freq: 4 });

const weatherArb: fc.Arbitrary<WeatherSwarm> = fc.record({
  separates: fc.constantFrom('some', 'one', 'leader'),
  oneWay: fc.constantFrom(0, 0.5, 1),
  cutMs: fc.constantFrom({ min: 100, max: 400 }, { min: 500, max: 4_000 }),
  healedMs: fc.constantFrom({ min: 400, max: 2_000 }, { min: 1_500, max: 6_000 }),
});

const networkArb: fc.Arbitrary<NetworkSwarm> = fc.record({
  delayMs: fc.constantFrom({ min: 1, max: 2 }, { min: 0.2, max: 10 }, { min: 5, max: 30 }, { min: 1, max: 100 }),
  loss: rate([0.01, 0.05, 0.2]),
  duplicate: rate([0.01, 0.1]),
  reorder: rate([0.02, 0.2, 1]),
  slow: rate([0.01, 0.05]),
  breaks: rate([0.01, 0.04]),
  asymmetry: rate([2, 6]),
  capacity: rate([8, 64]),
  weather: fc.option(weatherArb, { nil: undefined, freq: 2 }),
});

const clockArb: fc.Arbitrary<ClockSwarm> = fc.record({
  offsetMs: rate([50, 3_000, 60_000]),
  jumps: fc.option(fc.record({ everyMs: fc.constantFrom(500, 3_000), byMs: fc.constantFrom(100, 4_000, 600_000) }), {
    nil: undefined,
    freq: 2,
  }),
});

const diskArb: fc.Arbitrary<DiskSwarm> = fc.record({
  syncMs: fc.constantFrom({ min: 0.2, max: 1 }, { min: 1, max: 20 }, { min: 5, max: 60 }),
  slowSync: rate([0.02, 0.05]),
  readMs: fc.constantFrom({ min: 0.1, max: 1 }, { min: 1, max: 50 }),
  damage: fc.option(fc.constant(true), { nil: undefined, freq: 16 }),
});

const limitArb: fc.Arbitrary<LimitSwarm> = fc.record({
  segmentBytes: fc.constantFrom(4_096, 8_192, 16_384, 65_536),
  reserveSegments: fc.constantFrom(1, 2, 4),
  snapshotChunkBytes: fc.constantFrom(600, 4_096),
  stragglerBatchBytes: fc.constantFrom(1, 2_000),
  checkpointEntries: fc.constantFrom(10, 25, 100),
  trailingEntries: fc.constantFrom(2, 10, 40),
  entryBytesMax: fc.constantFrom(1_024, 4_096),
  appendBytesMax: fc.constantFrom(1, 2_048, 16_384),
  inflightEntriesMax: fc.constantFrom(1, 2, 8, 64),
  proposalBytesMax: fc.constantFrom(8_192, 65_536),
  cachedBytesMax: fc.constantFrom(512, 8_192, 262_144),
  pageBytesMax: fc.constantFrom(128, 1_024, 65_536),
  stepShare: fc.option(fc.constantFrom(1, 4, 20), { nil: undefined, freq: 2 }),
});

const expiryArb: fc.Arbitrary<ExpirySwarm> = fc.record({
  limitedQueues: fc.constantFrom(0, 0.4, 0.4, 1),
  queueTtlMs: fc.constantFrom(0, 100, 2_000, 2_000),
  limitedMessages: fc.constantFrom(0, 0.1, 0.5),
  messageTtlMsMax: fc.constantFrom(20, 1_000),
  leasedQueues: fc.constantFrom(0, 0.5, 1),
  leaseMs: fc.constantFrom(100, 1_500),
});

const streamArb: fc.Arbitrary<StreamSwarm> = fc.record({
  share: fc.constantFrom(0.5, 1),
  maxAgeMs: fc.option(fc.constantFrom(500, 4_000), { nil: undefined, freq: 2 }),
  maxBytes: fc.option(fc.constantFrom(400, 20_000), { nil: undefined, freq: 2 }),
});

const workloadArb: fc.Arbitrary<WorkloadSwarm> = fc.record({
  queues: fc.integer({ min: 1, max: 4 }),
  publishers: fc.integer({ min: 1, max: 4 }),
  consumers: fc.integer({ min: 1, max: 4 }),
  publishMs: fc.constantFrom({ min: 20, max: 60 }, { min: 5, max: 20 }, { min: 50, max: 200 }),
  outstandingMax: fc.constantFrom(20, 70),
  bodyBytesMax: fc.constantFrom(16, 200, 800),
  fanout: rate([0.2]),
  prefetchMax: fc.constantFrom(1, 5, 50, 50),
  answerMs: fc.constantFrom({ min: 0.5, max: 5 }, { min: 10, max: 300 }),
  returns: rate([0.05, 0.3]),
  discards: rate([0.05]),
  forgets: rate([0.02, 0.1]),
  multiples: rate([0.2, 0.8]),
  autoDeletes: rate([0.4, 1]),
  singleActives: fc.option(fc.constantFrom(0.3, 1), { nil: undefined, freq: 2 }),
  priorities: fc.option(fc.constant(true), { nil: undefined, freq: 2 }),
  volatile: fc.option(fc.constant(true), { nil: undefined, freq: 2 }),
  getMs: fc.option(fc.constantFrom({ min: 20, max: 100 }, { min: 100, max: 800 }), { nil: undefined, freq: 2 }),
  countMs: fc.option(fc.constant({ min: 20, max: 600 }), { nil: undefined, freq: 2 }),
  expiry: fc.option(expiryArb, { nil: undefined, freq: 2 }),
  streams: fc.option(streamArb, { nil: undefined, freq: 2 }),
});

/** In one run of six leaders do not live long: there the plan's own faults have little left to break. */
const leaderLifeArb: fc.Arbitrary<Range | undefined> = fc.oneof(
  { withCrossShrink: true },
  { weight: 5, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constantFrom({ min: 0, max: 20 }, { min: 0, max: 300 }, { min: 50, max: 3_000 }) },
);

/** `kinds`: the kinds of actions that may be muted. */
export const swarmArb = (kinds: readonly string[]): fc.Arbitrary<Swarm> =>
  fc.record({
    nodes: fc.constantFrom(3, 3, 3, 5),
    groups: fc.constantFrom(1, 1, 2),
    electionTicks: fc.constantFrom(10, 10, 4),
    network: networkArb,
    disk: diskArb,
    limits: limitArb,
    workload: workloadArb,
    clockSkew: rate([0.05, 0.3]),
    clocks: clockArb,
    spares: fc.constantFrom(undefined, 1, 1, 2),
    fenceDelayMs: fc.option(fc.constantFrom({ min: 0, max: 500 }, { min: 200, max: 8_000 }), {
      nil: undefined,
      freq: 3,
    }),
    leaderLifeMs: leaderLifeArb,
    patienceMs: rate([1_500]),
    muted: fc.oneof(
      fc.constant([]),
      fc.subarray(
        kinds.filter(kind => kind !== DAMAGE),
        { maxLength: kinds.length >> 1 },
      ),
    ),
    compareDiskEvery: fc.constantFrom(8, 32, 64),
    compareStatesEvery: fc.constantFrom(7, 31),
  });
