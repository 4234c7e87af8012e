import type { StreamOffset } from '../../../src/queue/stream-offset.ts';
import type { ModelConsumer, ModelMessage, ModelQueue } from './model-state.ts';

export const isStream = ({ config }: ModelQueue): boolean => config.stream !== undefined;

/** The next message for a reader. */
export const unread = ({ ready }: ModelQueue, { cursor }: ModelConsumer): ModelMessage | undefined =>
  ready.find(({ place }) => place >= cursor);

/** Whether the stream drops its first message. */
export function mustDrop({ config, ready }: ModelQueue, timeMs: number): boolean {
  const { maxAgeMs, maxBytes } = config.stream!;
  const first = ready[0];
  if (first === undefined) return false;
  if (maxAgeMs !== undefined && first.cameMs + maxAgeMs <= timeMs) return true;
  return maxBytes !== undefined && ready.length > 1 && ready.reduce((sum, { bytes }) => sum + bytes, 0) > maxBytes;
}

/** Where a reader begins. */
export function placeOf({ ready, places }: ModelQueue, offset: StreamOffset | undefined, timeMs: number): number {
  const since = (fromMs: number): number => ready.find(({ cameMs }) => cameMs >= fromMs)?.place ?? places;
  switch (offset?.from) {
    case 'first':
      return ready[0]?.place ?? places;
    case 'last':
      return ready.at(-1)?.place ?? places;
    case 'offset':
      return ready.find(({ place }) => place >= offset.offset)?.place ?? places;
    case 'time':
      return since(offset.timeMs);
    case 'age':
      return since(timeMs - offset.ageMs);
    default:
      return places;
  }
}
