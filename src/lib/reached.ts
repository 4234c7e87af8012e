let counts: Map<string, number> | undefined;

/**
 * Marks a rare path of the code (`'raft.conflict-truncated'`). The simulator counts the marks, so that a path which no
 * schedule ever takes shows in its report. Nothing is counted until `countReached()`: the cost is one comparison.
 */
export function reached(mark: string): void {
  if (counts !== undefined) counts.set(mark, (counts.get(mark) ?? 0) + 1);
}

/** Counts from now on; the map is live. */
export function countReached(): ReadonlyMap<string, number> {
  counts = new Map();
  return counts;
}
