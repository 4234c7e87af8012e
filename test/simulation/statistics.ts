/** What happened in a run, as counts: of what took effect, not of what was planned. A run in which all of it is zero proves nothing. */
export class Statistics {
  /** Changes of a group's leader: every election but the first. */
  leaderChanges = 0;
  elections = 0;
  truncations = 0;
  processCrashes = 0;
  powerLosses = 0;
  /** Power losses that took bytes which were written and not synced. */
  powerLossesWithUnsynced = 0;
  syncFailures = 0;
  /** What was synced and was taken away. */
  damages = 0;
  /** Replicas that began without what they had acknowledged, and that have it again. */
  lossesNoticed = 0;
  lossesHealed = 0;
  fullDisks = 0;
  slowSyncs = 0;
  diskHangs = 0;
  restarts = 0;
  pauses = 0;
  partitions = 0;
  flaps = 0;
  clogs = 0;
  linksBroken = 0;
  /** Nodes whose clock does not keep the world's time. */
  skewedClocks = 0;
  /** Wall clocks that were set forward or back. */
  clockJumps = 0;
  /** Directories that were lost: the machine came back as another node. */
  wipes = 0;
  /** Changes of a group's members that a leader began. */
  membershipChanges = 0;
  /** A node was told that a living peer is gone. */
  falseHints = 0;
  /** Incarnations that were fenced while they lived. */
  livingFenced = 0;
  /** Fences that a leader proposed again, or late. */
  fencesRepeated = 0;
  consumersDisconnected = 0;
  transfers = 0;
  checkpoints = 0;
  compactions = 0;
  segmentsReclaimed = 0;
  snapshotsInstalled = 0;
  packetsSent = 0;
  packetsLost = 0;
  packetsDuplicated = 0;
  packetsReordered = 0;
  packetsSlow = 0;
  entriesApplied = 0;
  published = 0;
  confirmed = 0;
  unknownOutcomes = 0;
  delivered = 0;
  redelivered = 0;
  settled = 0;
  returned = 0;
  discarded = 0;
  /** Messages that a purge took. */
  purged = 0;
  queuesDeleted = 0;
  /** Messages that waited for too long. */
  expired = 0;

  add(other: Statistics): void {
    for (const key of Object.keys(this) as Counter[]) this[key] += other[key] ?? 0;
  }
}

export type Counter = Exclude<keyof Statistics, 'add'>;

/**
 * The classes of faults: a counter of what was done to the cluster. Each must happen in at least half of all runs (`tally.ts`);
 * a new fault is a counter above and a line here.
 */
export const FAULT_CLASSES: readonly Counter[] = [
  'processCrashes',
  'powerLosses',
  'syncFailures',
  'slowSyncs',
  'diskHangs',
  'fullDisks',
  'damages',
  'wipes',
  'pauses',
  'clockJumps',
  'partitions',
  'flaps',
  'clogs',
  'linksBroken',
  'skewedClocks',
  'falseHints',
  'livingFenced',
  'membershipChanges',
  'consumersDisconnected',
  'packetsLost',
  'packetsDuplicated',
  'packetsReordered',
  'packetsSlow',
];

/** Those of which a single packet is one: a thousand lost packets are no thousand faults. */
const PER_PACKET: ReadonlySet<Counter> = new Set([
  'packetsLost',
  'packetsDuplicated',
  'packetsReordered',
  'packetsSlow',
]);

/** Faults that were injected; what befalls single packets counts as one fault per class and run. */
export function faultsIn(statistics: Statistics): number {
  let faults = 0;
  for (const name of FAULT_CLASSES) faults += PER_PACKET.has(name) ? Math.min(1, statistics[name]) : statistics[name];
  return faults;
}
