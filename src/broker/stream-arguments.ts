import type { Retention } from '../queue/commands.ts';
import type { StreamOffset } from '../queue/stream-offset.ts';
import { erlangTerm, INTEGERS, typeWord } from './erlang-term.ts';
import type { FieldTable, FieldValue } from './field-table.ts';

export const MAX_AGE = 'x-max-age';
export const MAX_BYTES = 'x-max-length-bytes';
export const SEGMENT_BYTES = 'x-stream-max-segment-size-bytes';
export const STREAM_OFFSET = 'x-stream-offset';

/** What a command for a shard holds of a time or a size: 8,900 years, 256 TiB. More is no limit. */
const LIMIT_MAX = 2 ** 48 - 1;

const SECOND_MS = 1_000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;
/** RabbitMQ's years and months have as many days as these. */
const UNITS_MS: Readonly<Record<string, number>> = {
  Y: 365 * DAY_MS,
  M: 30 * DAY_MS,
  D: DAY_MS,
  h: 60 * 60 * SECOND_MS,
  m: 60 * SECOND_MS,
  s: SECOND_MS,
};
const INTERVAL = /^(\d+)([YMDhms])$/;

/** `7D`, `12h`; undefined for what is no such text, or nothing at all. */
export function intervalMs(text: string): number | undefined {
  const [, count, unit] = INTERVAL.exec(text) ?? [];
  if (count === undefined || unit === undefined) return undefined;
  const ms = Number(count) * UNITS_MS[unit]!;
  return ms === 0 ? undefined : Math.min(ms, LIMIT_MAX);
}

/** What the arguments of a stream, which have been checked, ask to keep. */
export function retentionOf(queueArguments: FieldTable): Retention {
  const age = queueArguments.get(MAX_AGE);
  const bytes = queueArguments.get(MAX_BYTES);
  return {
    maxAgeMs: age?.type === 'string' ? intervalMs(age.value) : undefined,
    maxBytes: bytes === undefined ? undefined : Math.min(integerOf(bytes), LIMIT_MAX),
  };
}

/** Where a consumer with these arguments, which have been checked, wants to begin; undefined if it does not say. */
export function streamOffset(consumerArguments: FieldTable): StreamOffset | undefined {
  const field = consumerArguments.get(STREAM_OFFSET);
  return field && parseOffset(field);
}

/** What is wrong with `x-stream-offset`, as RabbitMQ prints it where it does not fail over it. */
export function checkOffset(field: FieldValue): string | undefined {
  if (parseOffset(field) !== undefined) return undefined;
  return `{invalid_stream_offset_arg,{${typeWord(field)},${erlangTerm(field)}}}`;
}

function parseOffset(field: FieldValue): StreamOffset | undefined {
  switch (field.type) {
    case 'string':
      return parseOffsetText(field.value);
    case 'timestamp':
      return { from: 'time', timeMs: atMost(Number(field.value) * SECOND_MS) };
    default:
      // What is below the first message begins with the first message.
      return INTEGERS.has(field.type) ? { from: 'offset', offset: atMost(Math.max(0, integerOf(field))) } : undefined;
  }
}

function parseOffsetText(text: string): StreamOffset | undefined {
  if (text === 'first' || text === 'last' || text === 'next') return { from: text };
  const ageMs = intervalMs(text);
  return ageMs === undefined ? undefined : { from: 'age', ageMs };
}

const integerOf = (field: FieldValue): number => ('value' in field ? Number(field.value) : 0);
const atMost = (value: number): number => Math.min(value, Number.MAX_SAFE_INTEGER);
