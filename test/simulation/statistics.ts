/** What happened in a run, as counts. A run in which all of it is zero proves nothing. */
export class Statistics {
  elections = 0;
  truncations = 0;
  processCrashes = 0;
  powerLosses = 0;
  /** Power losses that took bytes which were written and not synced. */
  powerLossesWithUnsynced = 0;
  syncFailures = 0;
  restarts = 0;
  pauses = 0;
  partitions = 0;
  transfers = 0;
  checkpoints = 0;
  compactions = 0;
  segmentsReclaimed = 0;
  snapshotsInstalled = 0;
  packetsSent = 0;
  packetsLost = 0;
  entriesApplied = 0;
  published = 0;
  confirmed = 0;
  unknownOutcomes = 0;
  delivered = 0;
  redelivered = 0;
  settled = 0;
  returned = 0;
  discarded = 0;

  add(other: Statistics): void {
    for (const key of Object.keys(this) as (keyof Statistics)[]) {
      const value = other[key];
      if (typeof value === 'number') (this as Record<string, unknown>)[key] = (this[key] as number) + value;
    }
  }
}
