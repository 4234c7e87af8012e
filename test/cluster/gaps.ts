import type { EventKind, History, Mark } from './history.ts';

/**
 * How long clients that kept their connection saw nothing happen around an event. Confirms already on their way still
 * arrive for a moment after a kill, so the gap of a connection is the longest silence between two events that touches
 * the time from the mark to `WINDOW_MS` after it.
 */
const WINDOW_MS = 1_000;

export interface Gap {
  readonly mark: Mark;
  readonly connection: number;
  /** Until the connection's end when nothing happened on it after the mark; Infinity when it is still open. */
  readonly gapMs: number;
}

export interface GapSummary {
  readonly count: number;
  readonly medianMs: number;
  readonly maxMs: number;
}

/** Gaps between events of one kind around each mark with this label, one per connection that was open throughout. */
export function gapsAround(history: History, label: string, kind: EventKind): Gap[] {
  const marks = history.marks.filter(mark => mark.label === label);
  const times = timesByConnection(history, kind);
  const gaps: Gap[] = [];
  for (const mark of marks) {
    for (const [connection, events] of times) {
      const { startMs, endMs, node } = history.connections[connection]!;
      if (node === mark.node || startMs > mark.timeMs || endMs < mark.timeMs + WINDOW_MS) continue;
      const gapMs = longestSilence(events, mark.timeMs, endMs);
      if (gapMs !== undefined) gaps.push({ mark, connection, gapMs });
    }
  }
  return gaps;
}

export function summarize(gaps: readonly Gap[]): GapSummary {
  const sorted = gaps.map(gap => gap.gapMs).sort((a, b) => a - b);
  if (sorted.length === 0) return { count: 0, medianMs: Number.NaN, maxMs: Number.NaN };
  const middle = sorted.length >> 1;
  const medianMs = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { count: sorted.length, medianMs, maxMs: sorted.at(-1)! };
}

function timesByConnection(history: History, kind: EventKind): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (let row = 0; row < history.length; row++) {
    if (history.kindAt(row) !== kind) continue;
    const connection = history.connectionAt(row);
    const list = times.get(connection);
    if (list === undefined) times.set(connection, [history.timeAt(row)]);
    else list.push(history.timeAt(row));
  }
  return times;
}

/** Undefined when the connection had no event before the mark: it was not in use yet. */
function longestSilence(times: readonly number[], markMs: number, endMs: number): number | undefined {
  let index = firstAfter(times, markMs);
  if (index === 0) return undefined;
  if (index === times.length) return endMs - times[index - 1]!;
  let longest = 0;
  for (; index < times.length && times[index - 1]! <= markMs + WINDOW_MS; index++) {
    longest = Math.max(longest, times[index]! - times[index - 1]!);
  }
  return longest;
}

/** Index of the first time above the limit. */
function firstAfter(times: readonly number[], limit: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The longest time between two events of one kind, on whatever connection, from `fromMs` to `toMs`. */
export function longestSilenceBetween(history: History, kind: EventKind, fromMs: number, toMs: number): number {
  let last = fromMs;
  let longest = 0;
  for (let row = 0; row < history.length; row++) {
    const timeMs = history.timeAt(row);
    if (history.kindAt(row) !== kind || timeMs < fromMs || timeMs > toMs) continue;
    longest = Math.max(longest, timeMs - last);
    last = timeMs;
  }
  return Math.max(longest, toMs - last);
}
