import { ByteReader } from '../../../src/lib/bytes.ts';
import { consumerId, type LogIndex, type QueueId, queueId } from '../../../src/lib/ids.ts';
import { CommandKind, type DecodedCommand, EnqueueFlag, Settlement } from '../../../src/queue/commands.ts';
import type { BodyPart, ConsumerAddress, ShardEffects } from '../../../src/queue/effects.ts';
import { type BatchHeader, readBatchHeader, readCommand } from '../../../src/queue/entry-codec.ts';
import { STEP_SHARES, type StepShares } from '../../../src/queue/limits.ts';
import type { MessageCounters } from '../../../src/queue/shard-state.ts';
import { DeliveryReader } from './delivery-reader.ts';
import { ModelMembers } from './model-members.ts';
import { canTake, ModelQueues } from './model-queues.ts';
import type { ModelReturns } from './model-returns.ts';
import { consumerOf, type ModelListener, type ModelQueue, type ModelSession } from './model-state.ts';
import type { ModelTombstones } from './model-tombstones.ts';

/** What is expected of the effects of one entry. */
export interface Expected {
  readonly answers: ShardEffects['answers'][number][];
  readonly refusals: ShardEffects['refusals'][number][];
  readonly cancelled: ConsumerAddress[];
  readonly deleted: QueueId[];
}

/** Whoever waits for messages comes before these. */
const LOOK_AT_READY: ReadonlySet<CommandKind> = new Set([
  CommandKind.consume,
  CommandKind.get,
  CommandKind.purge,
  CommandKind.count,
  CommandKind.deleteQueue,
  CommandKind.cancel,
]);

/**
 * What a shard promises, written with arrays and maps, one message at a time. It follows a log and says for each entry what must come
 * out of it. Only the order in which several queues are looked at is left open, and, once a queue was left to the next entry, which
 * of several consumers of one priority comes first. Of what ends by itself nothing is left over: less must be due at once than one step
 * of the machine does.
 */
export class ShardModel {
  readonly members = new ModelMembers();
  readonly #all: ModelQueues;
  readonly #listener: ModelListener;
  readonly #fail: (message: string) => never;
  readonly #shares: StepShares;
  /** Queues were left to the next entry. */
  #isOrderKnown = true;
  #handedOut = 0;
  /** The entry that is being followed. */
  #index: LogIndex = 0;
  #expected: Expected = { answers: [], refusals: [], cancelled: [], deleted: [] };

  constructor(listener: ModelListener, fail: (message: string) => never, shares = STEP_SHARES) {
    this.#listener = listener;
    this.#fail = fail;
    this.#shares = shares;
    this.#all = new ModelQueues(listener);
  }

  get applied(): LogIndex {
    return this.#index;
  }
  get queues(): ReadonlyMap<QueueId, ModelQueue> {
    return this.#all.all;
  }
  get tombstones(): ModelTombstones {
    return this.#all.tombstones;
  }
  get counters(): Readonly<MessageCounters> {
    return this.#all.counters;
  }

  /** Sessions that the shard knows, also those that end. */
  get sessions(): number {
    return this.members.all().length + this.#all.returns.ending;
  }

  /** As of the entry that was followed last. */
  get timeMs(): number {
    return this.#all.timeMs;
  }

  /** What was left to the next entry. */
  get returns(): ModelReturns {
    return this.#all.returns;
  }

  /** Whether a piece of a message that is alive, or is being uploaded, lies there. */
  hasLiving(entry: LogIndex, position: number): boolean {
    const lies = ({ parts }: { readonly parts: readonly BodyPart[] }): boolean =>
      parts.some(part => part.entry === entry && part.position === position);
    for (const { ready, consumers } of this.queues.values()) {
      if (ready.some(lies) || consumers.some(({ held }) => [...held.values()].some(lies))) return true;
    }
    return this.members.all().some(({ uploads }) => [...uploads.values()].some(lies));
  }

  /** Follows one entry; `effects` is what the machine made of it. */
  follow(index: LogIndex, payload: Uint8Array, effects: ShardEffects): Expected {
    this.#index = index;
    this.#all.index = index;
    this.#all.cancelled = [];
    this.#all.deleted = [];
    this.#expected = { answers: [], refusals: [], cancelled: this.#all.cancelled, deleted: this.#all.deleted };
    const deliveries = new DeliveryReader(effects.deliveries);
    if (payload.length > 0) {
      const reader = new ByteReader(payload);
      reader.skip(1);
      this.#all.timeMs = Math.max(this.#all.timeMs, reader.f64());
      this.#handedOut = 0;
      this.#all.returns.left = this.#shares.settlements;
      this.#all.returns.continue();
      this.#all.returns.left = this.#shares.settlements;
      this.#all.expire();
      while (reader.remaining > 0) {
        const end = reader.u32() + reader.position;
        this.#batch(reader, readBatchHeader(reader), end, deliveries);
        this.#handOutAll(deliveries);
      }
      this.#handOutAll(deliveries);
    }
    if (!deliveries.isDone) this.#fail(`entry ${index} hands out more than it may: ${deliveries.describe()}`);
    return this.#expected;
  }

  #unserved(): ReturnType<ModelQueues['unserved']> {
    this.#all.expireUndeliverable();
    return this.#all.unserved();
  }

  #handOutAll(deliveries: DeliveryReader): void {
    for (let unserved = this.#unserved(); unserved !== undefined; unserved = this.#unserved()) {
      const next = deliveries.take();
      if (next === undefined) {
        if (this.#handedOut === this.#shares.deliveries) {
          this.#isOrderKnown = false;
          break;
        }
        const { queue, consumer } = unserved;
        this.#fail(
          `queue ${queue.id} has ${queue.ready.length} messages ready and consumer ${consumer.id} of node ` +
            `${consumer.session.node} has credit; entry ${this.#index} hands out nothing`,
        );
      }
      const { address } = next;
      const consumer = this.members.find(address.node, address.incarnation)?.consumers.get(address.consumer);
      const name = `delivery ${next.number} to consumer ${address.consumer} of node ${address.node}.${address.incarnation}`;
      if (consumer?.queue === undefined) this.#fail(`${name}: there is no such consumer`);
      const { queue } = consumer;
      if (!canTake(consumer)) {
        const { prefetch, deliverThrough } = consumer.credit;
        this.#fail(
          `${name}: it is ${consumer.state}, holds ${consumer.held.size} with a prefetch of ${prefetch} and has had ` +
            `${consumer.last} of ${deliverThrough}`,
        );
      }
      const message = this.#all.offered(queue, consumer);
      if (message === undefined) this.#fail(`${name}: queue ${queue.id} has no message ready`);
      const served = this.#all.next(queue);
      const isTurn = served === consumer || (!this.#isOrderKnown && served?.priority === consumer.priority);
      if (!isTurn) this.#fail(`${name}: it is the turn of consumer ${served?.id}`);
      if (address.queue !== queue.id) this.#fail(`${name} comes from queue ${address.queue}, not ${queue.id}`);
      const number = this.#all.handOut(queue, consumer);
      this.#all.rotate(queue, consumer);
      this.#handedOut++;
      const problem = deliveries.compare(next, number, message, queue.config.stream !== undefined);
      if (problem !== undefined) this.#fail(`${name}: ${problem}`);
    }
    for (const queue of this.queues.values()) if (queue.ready.length > 0) this.#all.next(queue);
    this.#all.expire();
  }

  #batch(reader: ByteReader, header: BatchHeader, end: number, deliveries: DeliveryReader): void {
    if (header.node === 0) {
      for (let i = 0; i < header.commandCount; i++) {
        reader.u32();
        this.#lead(readCommand(reader, reader.u8() as CommandKind));
      }
      return;
    }
    const session = this.#admit(header);
    if (session !== undefined) {
      this.#seen(session, header.seenThrough);
      if (this.members.heard(session, header.topologyIndex)) this.#prune();
      for (let i = 0; i < header.commandCount; i++) {
        const commandEnd = reader.u32() + reader.position;
        if (header.firstSequence + i === session.lastSequence + 1) {
          this.#executeNext(session, reader, commandEnd, deliveries);
        }
        reader.skip(commandEnd - reader.position);
      }
      const { node, incarnation, lastSequence: throughSequence } = session;
      const outcomes = session.outcomes.filter(({ sequence }) => sequence >= header.firstSequence);
      this.#expected.answers.push({ node, incarnation, throughSequence, outcomes });
    }
    reader.skip(end - reader.position);
  }

  #admit({ node, incarnation, firstSequence }: BatchHeader): ModelSession | undefined {
    const { members } = this;
    if (members.isFenced(node, incarnation)) {
      this.#expected.refusals.push({ reason: 'fenced', node, incarnation });
      return undefined;
    }
    const known = members.find(node, incarnation);
    const expectedSequence = (known?.lastSequence ?? 0) + 1;
    if (firstSequence > expectedSequence) {
      this.#expected.refusals.push({ reason: 'gap', node, incarnation, expectedSequence });
      return undefined;
    }
    return known ?? members.open(node, incarnation);
  }

  /** The sender has these answers: they are forgotten, and messages got with automatic settlement are settled. */
  #seen(session: ModelSession, through: number): void {
    session.seenThrough = Math.max(session.seenThrough, through);
    const seen = session.outcomes.filter(({ sequence }) => sequence <= through);
    session.outcomes = session.outcomes.filter(({ sequence }) => sequence > through);
    for (const { outcome } of seen) {
      if (outcome.kind !== 'message' || !outcome.autoSettle) continue;
      const getter = consumerOf(session, outcome.consumer);
      if (getter !== undefined) this.#all.settleRange(getter, Settlement.settle, outcome.number, outcome.number);
    }
  }

  #executeNext(session: ModelSession, reader: ByteReader, end: number, deliveries: DeliveryReader): void {
    const sequence = ++session.lastSequence;
    const kind = reader.u8() as CommandKind;
    if (kind === CommandKind.enqueue || kind === CommandKind.part) {
      this.#executePublish(session, sequence, kind, reader, end);
      return;
    }
    if (kind === CommandKind.settle) {
      this.#settle(session, reader, end);
      return;
    }
    const command = readCommand(reader, kind);
    if (LOOK_AT_READY.has(kind)) this.#handOutAll(deliveries);
    const outcome = this.#all.execute(session, command);
    if (outcome !== undefined) session.outcomes.push({ sequence, outcome });
    const queues = 'queue' in command ? [command.queue] : [];
    this.#listener.executed(session, sequence, { kind, queues, outcome, body: undefined }, this.#index);
  }

  #executePublish(session: ModelSession, sequence: number, kind: CommandKind, reader: ByteReader, end: number): void {
    if (kind === CommandKind.part) {
      const upload = reader.u32();
      const known = session.uploads.get(upload) ?? { parts: [] };
      session.uploads.set(upload, known);
      known.parts.push(this.#partHere(reader, end));
      return;
    }
    const flags = reader.u8();
    const upload = (flags & EnqueueFlag.assembled) !== 0 ? reader.u32() : undefined;
    const ttlMs = (flags & EnqueueFlag.expires) !== 0 ? reader.u48() : Number.POSITIVE_INFINITY;
    const queues = Array.from({ length: reader.u16() }, () => queueId(reader.u48()));
    const body = this.#partHere(reader, end);
    const outcome = this.#all.enqueue(session, queues, body, upload, ttlMs);
    if (outcome !== undefined) session.outcomes.push({ sequence, outcome });
    this.#listener.executed(session, sequence, { kind, queues, outcome, body }, this.#index);
  }

  #partHere(reader: ByteReader, end: number): BodyPart {
    return { entry: this.#index, position: reader.position, length: end - reader.position };
  }

  #settle(session: ModelSession, reader: ByteReader, end: number): void {
    const how = reader.u8() as Settlement;
    const consumer = consumerOf(session, consumerId(reader.u32()));
    while (reader.position < end) {
      const [first, last] = [reader.u48(), reader.u48()];
      if (consumer === undefined) this.#all.counters.ignoredSettlements++;
      else this.#all.settleRange(consumer, how, first, last);
    }
  }

  #lead(command: DecodedCommand): void {
    if (command.kind === CommandKind.fence) {
      for (const session of this.members.fence(command.node, command.incarnation)) {
        session.isEnded = true;
        session.outcomes = [];
        session.uploads.clear();
        this.#all.returns.fence(session);
      }
      this.#prune();
    } else if (command.kind === CommandKind.nameRemoved) {
      this.#all.tombstones.nameRemoved(command.queue, command.topologyIndex);
      this.#prune();
    }
  }

  #prune(): void {
    this.#all.tombstones.prune(this.members.topologyIndexMin);
  }
}
