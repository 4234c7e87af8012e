import type { Swarm } from './swarm.ts';

/** Every field by name, also those that may be absent. */
type Complete<T> = { readonly [K in keyof T]-?: CompleteValue<T[K]> };
type CompleteValue<T> = T extends readonly unknown[] ? T : T extends object ? Complete<T> : T;

/**
 * A swarm in which nothing goes wrong. What a kept run says nothing about, because the field is younger than the file, has the
 * value that stands here: a new field of the swarm needs the one with which its fault does not exist.
 */
export const QUIET_SWARM: Complete<Swarm> = {
  nodes: 3,
  groups: 1,
  electionTicks: 10,
  network: {
    delayMs: { min: 1, max: 2 },
    loss: undefined,
    duplicate: undefined,
    reorder: undefined,
    slow: undefined,
    breaks: undefined,
    asymmetry: undefined,
    capacity: undefined,
    weather: undefined,
  },
  disk: { syncMs: { min: 0.2, max: 1 }, slowSync: undefined, readMs: { min: 0.1, max: 1 }, damage: undefined },
  limits: {
    segmentBytes: 65_536,
    reserveSegments: 2,
    snapshotChunkBytes: 4_096,
    stragglerBatchBytes: 2_000,
    checkpointEntries: 100,
    trailingEntries: 40,
    entryBytesMax: 4_096,
    appendBytesMax: 16_384,
    inflightEntriesMax: 64,
    proposalBytesMax: 65_536,
    cachedBytesMax: 262_144,
    pageBytesMax: 65_536,
    stepShare: undefined,
  },
  workload: {
    queues: 1,
    publishers: 1,
    consumers: 1,
    publishMs: { min: 20, max: 60 },
    outstandingMax: 100,
    bodyBytesMax: 16,
    fanout: undefined,
    prefetchMax: 5,
    answerMs: { min: 0.5, max: 5 },
    returns: undefined,
    discards: undefined,
    forgets: undefined,
    multiples: undefined,
    autoDeletes: undefined,
    singleActives: undefined,
    priorities: undefined,
    volatile: undefined,
    getMs: undefined,
    countMs: undefined,
    expiry: undefined,
    streams: undefined,
  },
  clockSkew: undefined,
  clocks: { offsetMs: undefined, jumps: undefined },
  spares: undefined,
  fenceDelayMs: undefined,
  leaderLifeMs: undefined,
  patienceMs: undefined,
  muted: [],
  compareDiskEvery: 1,
  compareStatesEvery: 7,
};
