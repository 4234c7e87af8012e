import { expect } from 'vitest';
import { ByteWriter, bytesEqual, utf8Encode } from '../../src/lib/bytes.ts';
import {
  type ConsumerId,
  consumerId,
  type Incarnation,
  incarnation,
  type NodeId,
  nodeId,
  type QueueId,
  queueId,
} from '../../src/lib/ids.ts';
import {
  type Consume,
  type QueueConfig,
  type Settlement,
  writeConsume,
  writeEnqueue,
  writeEnsureQueue,
  writeGet,
  writeSettle,
} from '../../src/queue/commands.ts';
import type { BodyReference, ShardEffects } from '../../src/queue/effects.ts';
import { checkBatch, writeBatch, writeLeaderBatch, writePayloadHeader } from '../../src/queue/entry-codec.ts';
import type { StepShares } from '../../src/queue/limits.ts';
import { decodeMessageBlock, type MessageFields } from '../../src/queue/message-block.ts';
import type { Outcome } from '../../src/queue/outcomes.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { CheckpointCut, Page } from '../../src/raft/checkpoint.ts';

/** Writes one command. */
export type Write = (out: ByteWriter) => void;

export const ALICE: NodeId = nodeId(1);
export const BOB: NodeId = nodeId(2);
export const QUEUE: QueueId = queueId(7);

/** A message whose body is this text. */
export const message = (body: string | Uint8Array): MessageFields => ({
  exchange: utf8Encode('exchange'),
  routingKey: utf8Encode('key'),
  properties: new Uint8Array([0, 0]),
  body: [typeof body === 'string' ? utf8Encode(body) : body],
});

export const declare =
  (queue: QueueId = QUEUE, config: Partial<QueueConfig> = {}): Write =>
  out =>
    writeEnsureQueue(out, queue, {
      vhost: '/',
      name: `queue-${queue}`,
      autoDelete: false,
      exclusive: false,
      singleActive: false,
      ...config,
    });

export const enqueue =
  (body: string | Uint8Array, ...queues: QueueId[]): Write =>
  out =>
    writeEnqueue(out, queues.length > 0 ? queues : [QUEUE], message(body));

/** A message with a time to live of its own. */
export const publish =
  (body: string, ttlMs: number | undefined, ...queues: QueueId[]): Write =>
  out =>
    writeEnqueue(out, queues.length > 0 ? queues : [QUEUE], { ...message(body), ttlMs });

/** Unlimited credit unless the options say otherwise. */
export const consume =
  (consumer: number, options: Partial<Consume> = {}): Write =>
  out =>
    writeConsume(out, {
      consumer: consumerId(consumer),
      queue: QUEUE,
      tag: '',
      exclusive: false,
      priority: 0,
      prefetch: 0,
      deliverThrough: 2 ** 40,
      bytesThrough: 2 ** 50,
      ...options,
    });

export const settle =
  (how: Settlement, consumer: number, ...ranges: number[]): Write =>
  out =>
    writeSettle(out, how, consumerId(consumer), ranges);

export const get =
  (consumer: number, queue: QueueId = QUEUE, autoSettle = false): Write =>
  out =>
    writeGet(out, { consumer: consumerId(consumer), queue, autoSettle });

interface SenderState {
  incarnation: Incarnation;
  nextSequence: number;
  seenThrough: number;
  topologyIndex: number;
}

export interface DeliveryRecord {
  readonly node: NodeId;
  readonly consumer: ConsumerId;
  readonly number: number;
  readonly body: string;
  readonly redelivered: boolean;
}

export function encodeCommands(writes: readonly Write[]): Uint8Array {
  const out = new ByteWriter();
  for (const write of writes) write(out);
  return out.finish();
}

/** A shard with one replica and the log that it applied; sends batches as nodes do. */
export class ShardDriver {
  machine: ShardMachine;
  readonly #shares: StepShares | undefined;
  /** Payloads by entry index. */
  readonly log = new Map<number, Uint8Array>();
  readonly #senders = new Map<NodeId, SenderState>();
  index = 0;
  /** Shard time that passed beside one millisecond per entry. */
  waitedMs = 0;

  constructor(shares?: StepShares) {
    this.#shares = shares;
    this.machine = new ShardMachine(undefined, shares);
  }

  /** The replica goes on from a checkpoint of its state. */
  restore(): void {
    const at = { term: 1, index: this.index };
    this.machine = ShardMachine.restore(dump(this.machine, this.index), at, this.#shares);
  }

  sender(node: NodeId): SenderState {
    let sender = this.#senders.get(node);
    if (!sender) {
      sender = { incarnation: incarnation(1), nextSequence: 1, seenThrough: 0, topologyIndex: 1 };
      this.#senders.set(node, sender);
    }
    return sender;
  }

  /** The node was started again. */
  restart(node: NodeId): void {
    const sender = this.sender(node);
    sender.incarnation = incarnation(sender.incarnation + 1);
    sender.nextSequence = 1;
    sender.seenThrough = 0;
  }

  /** A batch with the node's next sequence numbers. */
  batch(node: NodeId, writes: readonly Write[]): Uint8Array {
    const sender = this.sender(node);
    const batch = this.batchAt(node, sender.nextSequence, writes);
    sender.nextSequence += writes.length;
    return batch;
  }

  batchAt(node: NodeId, firstSequence: number, writes: readonly Write[]): Uint8Array {
    const { incarnation: started, seenThrough, topologyIndex } = this.sender(node);
    const out = new ByteWriter();
    const seen = Math.min(seenThrough, firstSequence - 1);
    const header = { node, incarnation: started, firstSequence, seenThrough: seen, topologyIndex };
    writeBatch(out, { ...header, commandCount: writes.length }, encodeCommands(writes));
    const batch = out.finish();
    expect(checkBatch(batch)).toMatchObject({ ok: true });
    return batch;
  }

  run(node: NodeId, ...writes: readonly Write[]): ShardEffects {
    return this.apply(this.batch(node, writes));
  }

  /** Commands of the shard's own leader. */
  lead(...writes: readonly Write[]): ShardEffects {
    const out = new ByteWriter();
    writeLeaderBatch(out, writes.length, encodeCommands(writes));
    return this.apply(out.finish());
  }

  apply(...batches: readonly Uint8Array[]): ShardEffects {
    const out = new ByteWriter();
    writePayloadHeader(out, this.index + this.waitedMs);
    for (const batch of batches) out.bytes(batch);
    return this.applyPayload(out.finish());
  }

  applyPayload(payload: Uint8Array): ShardEffects {
    this.index++;
    this.log.set(this.index, payload);
    return this.machine.apply({ index: this.index, term: 1 }, payload);
  }

  block(body: BodyReference): Uint8Array {
    const parts = (body.parts ?? [body]).map(({ entry, position, length }) =>
      this.log.get(entry)!.subarray(position, position + length),
    );
    return parts.length === 1 ? parts[0]! : concat(parts);
  }

  bodyOf(body: BodyReference): string {
    return new TextDecoder().decode(decodeMessageBlock(this.block(body)).body);
  }

  deliveries({ deliveries }: Pick<ShardEffects, 'deliveries'>): DeliveryRecord[] {
    return deliveries.numbers.map((number, i) => {
      const { node, consumer } = deliveries.consumers[i]!;
      const redelivered = deliveries.deliveryCounts[i]! > 0;
      return { node, consumer, number, redelivered, body: this.bodyOf(deliveries.bodyAt(i)) };
    });
  }

  bodies(effects: ShardEffects): string[] {
    return this.deliveries(effects).map(delivery => delivery.body);
  }
}

/** The outcome of the command with this sequence; undefined is the default outcome. */
export function outcomeOf(effects: ShardEffects, sequence: number): Outcome | undefined {
  for (const answer of effects.answers) {
    const found = answer.outcomes.find(outcome => outcome.sequence === sequence);
    if (found) return found.outcome;
  }
  return undefined;
}

/** Outcomes of the first answer, without sequences. */
export const outcomes = (effects: ShardEffects): Outcome[] =>
  effects.answers.flatMap(answer => answer.outcomes.map(({ outcome }) => outcome));

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new ByteWriter();
  for (const part of parts) out.bytes(part);
  return out.finish();
}

const keyOf = ({ key }: Page): string => `${key.space}/${key.kind}/${key.number}`;

export function pagesOf(cut: CheckpointCut, bytesMax = 1 << 20): Page[] {
  const pages: Page[] = [];
  for (;;) {
    const next = cut.nextPages(bytesMax);
    if (next.length === 0) return pages;
    pages.push(...next);
  }
}

/** Every page of the machine as it is now. */
export function dump(machine: ShardMachine, index: number): Page[] {
  const cut = machine.cut('all', { term: 1, index });
  const pages = pagesOf(cut);
  cut.completed();
  return pages.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** Checkpointed pages as a store keeps them. */
export class PageStore {
  readonly pages = new Map<string, Page>();

  write(pages: readonly Page[]): void {
    for (const page of pages) {
      if (page.bytes) this.pages.set(keyOf(page), page);
      else this.pages.delete(keyOf(page));
    }
  }

  sorted(): Page[] {
    return [...this.pages.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }
}

export function expectEqualPages(actual: readonly Page[], expected: readonly Page[]): void {
  expect(actual.map(keyOf)).toEqual(expected.map(keyOf));
  const different = actual.filter((page, i) => !bytesEqual(page.bytes!, expected[i]!.bytes!));
  expect(different.map(keyOf)).toEqual([]);
}
