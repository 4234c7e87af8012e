import fc from 'fast-check';
import { utf8Encode } from '../../src/lib/bytes.ts';
import { consumerId, type NodeId, nodeId, type QueueId, queueId } from '../../src/lib/ids.ts';
import {
  type Retention,
  Settlement,
  writeAbandonUpload,
  writeAssembledEnqueue,
  writeCancel,
  writeCount,
  writeCredit,
  writeDeleteQueue,
  writePart,
  writePurge,
  writeRelease,
} from '../../src/queue/commands.ts';
import type { StreamOffset } from '../../src/queue/stream-offset.ts';
import { consume, declare, get, message, publish, settle, type Write } from './shard-driver.ts';

/** One command, with small numbers that stand for what exists: queue slots, consumers, delivery numbers. */
export type Action =
  | {
      do: 'declare';
      slot: number;
      autoDelete: boolean;
      singleActive: boolean;
      messageTtlMs: number | undefined;
      expiresMs: number | undefined;
      /** Then it is neither a queue with one consumer at a time nor one that lets messages wait. */
      stream: Retention | undefined;
    }
  | { do: 'enqueue'; slots: number[]; bytes: number; ttlMs: number | undefined }
  | {
      do: 'consume';
      slot: number;
      consumer: number;
      exclusive: boolean;
      priority: number;
      prefetch: number;
      through: number;
      bytesThrough: number;
      offset: StreamOffset | undefined;
    }
  | { do: 'credit'; consumer: number; prefetch: number; through: number; bytesThrough: number }
  | { do: 'settle'; how: Settlement; consumer: number; ranges: { first: number; count: number }[] }
  | { do: 'cancel' | 'release'; consumer: number }
  | { do: 'get'; slot: number; consumer: number; autoSettle: boolean }
  | { do: 'part'; upload: number; bytes: number }
  | { do: 'assemble'; upload: number; slots: number[]; bytes: number; ttlMs: number | undefined }
  | { do: 'abandon'; upload: number }
  | { do: 'purge' | 'count'; slot: number }
  | { do: 'delete'; slot: number; ifUnused: boolean; ifEmpty: boolean };

/** What happens at once: a batch of a node, or something around it. */
export type Step =
  | { do: 'entry'; batches: BatchStep[] }
  | { do: 'repeat' | 'skip' | 'late' | 'fence' | 'late-fence'; node: number }
  | { do: 'name-removed'; topologyIndex: number }
  | { do: 'continue' }
  | { do: 'wait'; ms: number }
  | { do: 'restore' };

export interface BatchStep {
  node: number;
  /** The answers so far have reached the node. */
  hasSeen: boolean;
  /** Group 0 as the node knows it goes on by so much. */
  topology: number;
  actions: Action[];
}

const slot = fc.nat({ max: 2 });
const consumer = fc.nat({ max: 2 });
const creditFields = {
  prefetch: fc.constantFrom(0, 1, 3),
  through: fc.constantFrom(0, 2, 10, 1_000),
  bytesThrough: fc.constantFrom(0, 60, 100_000),
};

/** Times to live of messages; most have none. */
const ttlMs = fc.constantFrom(undefined, undefined, undefined, 0, 2, 9);

/** Where readers of streams begin; other queues do not care. */
const offsetArb: fc.Arbitrary<StreamOffset | undefined> = fc.oneof(
  fc.constantFrom(undefined, { from: 'first' as const }, { from: 'last' as const }, { from: 'next' as const }),
  fc.record({ from: fc.constant('offset' as const), offset: fc.integer({ min: -1, max: 12 }) }),
  fc.record({ from: fc.constant('time' as const), timeMs: fc.nat({ max: 40 }) }),
  fc.record({ from: fc.constant('age' as const), ageMs: fc.nat({ max: 20 }) }),
);

export const actionArb: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('declare' as const),
      slot,
      autoDelete: fc.boolean(),
      singleActive: fc.boolean(),
      messageTtlMs: fc.constantFrom(undefined, undefined, 0, 1, 7),
      expiresMs: fc.constantFrom(undefined, undefined, 3, 12),
      stream: fc.option(
        fc.record({
          maxAgeMs: fc.constantFrom(undefined, undefined, 0, 4, 20),
          maxBytes: fc.constantFrom(undefined, undefined, 0, 90),
        }),
        { nil: undefined, freq: 2 },
      ),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      slots: fc.uniqueArray(slot, { minLength: 1, maxLength: 3 }),
      bytes: fc.nat({ max: 40 }),
      ttlMs,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('consume' as const),
      slot,
      consumer,
      exclusive: fc.nat({ max: 5 }).map(value => value === 5),
      priority: fc.constantFrom(0, 0, 0, 2, -1),
      offset: offsetArb,
      ...creditFields,
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('credit' as const), consumer, ...creditFields }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      how: fc.constantFrom(Settlement.settle, Settlement.return, Settlement.discard),
      consumer: fc.nat({ max: 5 }),
      ranges: fc.array(fc.record({ first: fc.integer({ min: 1, max: 12 }), count: fc.integer({ min: 1, max: 6 }) }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'release' as const), consumer }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('get' as const),
      slot,
      consumer: fc.nat({ max: 5 }),
      autoSettle: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('part' as const), upload: fc.nat({ max: 1 }), bytes: fc.nat({ max: 20 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('assemble' as const),
      upload: fc.nat({ max: 1 }),
      slots: fc.uniqueArray(slot, { minLength: 1, maxLength: 3 }),
      bytes: fc.nat({ max: 20 }),
      ttlMs,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abandon' as const), upload: fc.nat({ max: 1 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('purge' as const, 'count' as const), slot }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('delete' as const), slot, ifUnused: fc.boolean(), ifEmpty: fc.boolean() }),
  },
);

const node = fc.nat({ max: 1 });

const batchArb: fc.Arbitrary<BatchStep> = fc.record({
  node,
  hasSeen: fc.boolean(),
  topology: fc.constantFrom(0, 0, 1, 3),
  actions: fc.array(actionArb, { minLength: 1, maxLength: 8 }),
});

export const stepArb: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('entry' as const),
      batches: fc.array(batchArb, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('repeat' as const, 'skip' as const, 'late' as const), node }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('fence' as const, 'late-fence' as const), node }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('name-removed' as const), topologyIndex: fc.integer({ min: 1, max: 12 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('continue' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const) }) },
);

export const nodeOf = (step: { node: number }): NodeId => nodeId(step.node + 1);
export const consumerOf = (action: { consumer: number }) => consumerId(action.consumer + 1);

/** Maps queue slots to queue ids: a slot whose queue is gone gets a new id with its next declaration. */
export class Slots {
  readonly #ids = [queueId(1), queueId(2), queueId(3)];
  #next = 4;

  id(slotNumber: number): QueueId {
    return this.#ids[slotNumber]!;
  }

  renew(slotNumber: number): void {
    this.#ids[slotNumber] = queueId(this.#next++);
  }
}

/** Content of the message or part that is written as the `number`-th. */
export function bodyOf(action: Extract<Action, { bytes: number }>, number: number): string {
  return `${number}:`.padEnd(action.bytes, '.');
}

/** The queue ids are those of now, not those of when the command is written. */
export function writeOf(action: Action, slots: Slots, bodyNumber: number): Write {
  const queue = slots.id('slot' in action ? action.slot : 0);
  switch (action.do) {
    case 'declare':
      return declare(queue, {
        autoDelete: action.autoDelete,
        expiresMs: action.expiresMs,
        ...(action.stream === undefined
          ? { singleActive: action.singleActive, messageTtlMs: action.messageTtlMs }
          : { stream: action.stream }),
      });
    case 'enqueue':
      return publish(bodyOf(action, bodyNumber), action.ttlMs, ...action.slots.map(number => slots.id(number)));
    case 'consume':
      return consume(action.consumer + 1, {
        queue,
        exclusive: action.exclusive,
        priority: action.priority,
        prefetch: action.prefetch,
        deliverThrough: action.through,
        bytesThrough: action.bytesThrough,
        offset: action.offset,
      });
    case 'credit':
      return out =>
        writeCredit(out, {
          consumer: consumerOf(action),
          prefetch: action.prefetch,
          deliverThrough: action.through,
          bytesThrough: action.bytesThrough,
        });
    case 'settle':
      return settle(
        action.how,
        action.consumer + 1,
        ...action.ranges.flatMap(({ first, count }) => [first, first + count - 1]),
      );
    case 'part':
      return out => writePart(out, action.upload, utf8Encode(bodyOf(action, bodyNumber)));
    case 'abandon':
      return out => writeAbandonUpload(out, action.upload);
    case 'assemble': {
      const queues = action.slots.map(number => slots.id(number));
      return out =>
        writeAssembledEnqueue(out, queues, action.upload, {
          ...message(bodyOf(action, bodyNumber)),
          ttlMs: action.ttlMs,
        });
    }
    case 'cancel':
      return out => writeCancel(out, consumerOf(action));
    case 'release':
      return out => writeRelease(out, consumerOf(action));
    case 'get':
      return get(action.consumer + 1, queue, action.autoSettle);
    case 'purge':
      return out => writePurge(out, queue);
    case 'count':
      return out => writeCount(out, queue);
    case 'delete':
      return out => writeDeleteQueue(out, { queue, ifUnused: action.ifUnused, ifEmpty: action.ifEmpty });
  }
}
