import type { Decision } from '../../src/broker/gateway.ts';
import { assert } from '../../src/lib/assert.ts';
import type { GroupId, LogIndex, QueueId } from '../../src/lib/ids.ts';
import { CommandKind } from '../../src/queue/commands.ts';
import { NO_OFFSET, type ShardEffects } from '../../src/queue/effects.ts';
import { STEP_SHARES } from '../../src/queue/limits.ts';
import type { ShardMachine } from '../../src/queue/shard-machine.ts';
import type { ApplyMeta } from '../../src/raft/state-machine.ts';
import { Checker } from './checkers/checker.ts';
import { compareCounts, compareEffects, compareState } from './model/compare.ts';
import type { Departure, ExecutedCommand, ModelConsumer, ModelMessage, ModelSession } from './model/model-state.ts';
import { ShardModel } from './model/shard-model.ts';
import type { SimReplica } from './sim-replica.ts';
import { type Message, readMessage } from './workload/message.ts';
import type { Gone } from './workload/part.ts';

/** Of commands of these kinds the client and the log must tell the same. */
const ASKED: ReadonlySet<number> = new Set([
  CommandKind.get,
  CommandKind.count,
  CommandKind.purge,
  CommandKind.deleteQueue,
  CommandKind.consume,
]);

interface PublishRecord {
  readonly message: Message;
  /** By group: what the log made of it. */
  readonly logged: Map<GroupId, Decision | 'accepted'>;
  /** By group: what the publisher was told. */
  readonly told: Map<GroupId, Decision | 'accepted'>;
}

/** What became of a message in one queue. */
interface Fate {
  readonly group: GroupId;
  /** Shard time at which its wait is over, by what its publisher and its queue's owner asked for; and the entry it came with. */
  readonly expiryMs: number;
  readonly entry: LogIndex;
  how: 'ready' | 'held' | Departure;
  arrivals: number;
  /** The delivery by which it arrived last, for people. */
  arrivedBy: string | undefined;
  /** The delivery that was settled, discarded or purged. */
  endedBy: string | undefined;
}

/** One delivery, as the log has it. */
export interface LoggedDelivery {
  readonly consumer: ModelConsumer;
  readonly number: number;
  readonly id: number;
  readonly queue: QueueId;
  readonly deliveryCount: number;
  /** In a stream; -1 in other queues. */
  readonly offset: number;
  hasArrived: boolean;
  /** How it ended; undefined: the consumer holds the message. */
  end: Departure | 'returned' | undefined;
}

interface GroupBook {
  readonly name: string;
  readonly group: GroupId;
  readonly model: ShardModel;
  /** Of the entry that is being followed. */
  payload: Uint8Array;
  followed: number;
}

/** Names one delivery for ever. */
export const deliveryKey = (node: number, incarnation: number, consumer: number, number: number): string =>
  `${node}/${incarnation}/${consumer}/${number}`;

const fateKey = (queue: QueueId, id: number): string => `${queue}/${id}`;
const keyOf = ({ session, id }: ModelConsumer, number: number): string =>
  deliveryKey(session.node, session.incarnation, id, number);

/**
 * What clients are promised (DESIGN section 1). A naive model follows each shard's log and says what must come of every entry; what
 * clients did and were told is compared with that. So a confirmed message is delivered, still there or gone by somebody's will; a
 * refused one is in no queue; what was settled never comes again; a message enters a queue once, whatever the broker repeated inside;
 * what has expired is not handed out, and nothing expires before its time; first deliveries keep the order of the publisher's connection; `redelivered` and the delivery count are right; a returned message is
 * back in its place; gets, counts, purges and deletions are answered with the truth.
 */
export class Auditor extends Checker {
  readonly title = 'auditor';
  readonly #records = new Map<number, PublishRecord>();
  readonly #fates = new Map<string, Fate>();
  readonly #ids = new WeakMap<ModelMessage, number>();
  readonly #deliveries = new Map<string, LoggedDelivery>();
  /** By connection and queue, of a stream also by reader: the last message that was handed out for the first time. */
  readonly #order = new Map<string, number>();
  /** By session: executed commands whose sender was not told yet. */
  readonly #executed = new Map<string, ExecutedCommand[]>();
  readonly #books = new Map<GroupId, GroupBook>();
  readonly #deleted = new Set<QueueId>();
  /** Deliveries that settle by themselves, to clients that were gone. */
  readonly #forgone = new Set<string>();
  /** Volatile homes that went with their node. */
  readonly #lost = new Set<GroupId>();

  // What clients do and are told.

  published(message: Message): void {
    this.#records.set(message.id, { message, logged: new Map(), told: new Map() });
    this.cluster.statistics.published++;
  }

  /** The publisher heard of a shard what became of its message there. */
  decided({ id }: Message, group: GroupId, told: Decision | undefined): void {
    if (this.#lost.has(group)) return;
    const record = this.#records.get(id)!;
    const logged = record.logged.get(group);
    const name = `message ${id} in group ${group}`;
    const earlier = record.told.get(group);
    if (earlier !== undefined) this.fail(`${name} was decided before: ${plain(earlier)}, now ${plain(told)}`);
    record.told.set(group, told ?? 'accepted');
    if (isUncertain(told)) return;
    if (plain(told) !== plain(logged))
      this.fail(`${name} was answered ${plain(told)}; in the log it is ${plain(logged)}`);
    if (told !== undefined) return;
    for (const queue of record.message.queues) {
      if (this.cluster.workload.homeOf(queue) !== group || this.#fates.has(fateKey(queue, id))) continue;
      if (!this.#deleted.has(queue)) this.fail(`message ${id} is confirmed and is not in queue ${queue}`);
    }
  }

  /** A delivery arrived at a client. Returns the message's id. */
  arrived(key: string, queue: QueueId, deliveryCount: number, offset: number, content: Uint8Array): number {
    const { statistics } = this.cluster;
    statistics.delivered++;
    if (deliveryCount > 0) statistics.redelivered++;
    const { id } = this.#identify(content, queue);
    const logged = this.#deliveries.get(key);
    if (logged?.id !== id) this.fail(`delivery ${key} brought message ${id}; in the log it is message ${logged?.id}`);
    if (logged.deliveryCount !== deliveryCount) {
      this.fail(`delivery ${key} of message ${id} came with count ${deliveryCount}, not ${logged.deliveryCount}`);
    }
    if (logged.offset !== offset) this.fail(`delivery ${key} came with offset ${offset}, not ${logged.offset}`);
    const fate = this.#fates.get(fateKey(queue, id))!;
    if (logged.hasArrived) this.fail(`delivery ${key} of message ${id} arrived twice`);
    logged.hasArrived = true;
    if (fate.arrivals > 0 && deliveryCount === 0 && !this.#isStream(queue)) {
      this.fail(`message ${id} of queue ${queue} was seen before, by ${fate.arrivedBy}; ${key} is not flagged`);
    }
    fate.arrivals++;
    fate.arrivedBy = key;
    return id;
  }

  /** Until the message has waited for as long as it may, by the time of the entry that is being followed. */
  timeLeft(queue: QueueId, id: number): number {
    const { expiryMs, group } = this.#fates.get(fateKey(queue, id))!;
    return expiryMs - this.model(group)!.timeMs;
  }

  delivery(key: string): LoggedDelivery | undefined {
    return this.#deliveries.get(key);
  }

  /** A get that settles by itself was answered to a client that had closed its channel before the message came. */
  forgone(key: string): void {
    this.#forgone.add(key);
  }

  /** The settlement of a delivery was answered: it is done, or comes before all that is asked for later. */
  settlementAnswered(group: GroupId, key: string, wanted: Departure | 'returned'): void {
    if (this.#lost.has(group)) return;
    const delivery = this.#deliveries.get(key)!;
    const { consumer, number, id } = delivery;
    const end = delivery.end ?? this.model(group)?.returns.endOf(consumer, number);
    if (end === wanted || end === 'deleted') return;
    this.fail(`${key} was answered as ${wanted}; message ${id} is ${end ?? 'still held'}`);
  }

  /** The answer to a get, count, purge, deletion or consume reached its client; answers come in the order of asking. */
  told(group: GroupId, node: number, incarnation: number, queue: QueueId, told: Decision | undefined): void {
    if (told?.kind === 'abandoned' || this.#lost.has(group)) return;
    const name = `${group}/${node}/${incarnation}`;
    const command = this.#executed.get(name)?.shift();
    if (command === undefined) this.fail(`an answer about queue ${queue} reached ${name}, but the log has no command`);
    if (command.queues[0] !== queue) this.fail(`an answer about queue ${queue} is one about ${command.queues[0]}`);
    if (told?.kind === 'no-such-queue' && !this.isDeleted(queue))
      this.fail(`${name} heard that queue ${queue} is gone, and it was never deleted`);
    const isStale = told?.kind === 'stale-topology' && command.outcome?.kind === 'no-such-queue';
    if (isStale || plain(told) === plain(command.outcome)) return;
    this.fail(
      `command ${command.kind} to queue ${queue} came to ${plain(command.outcome)}; ${name} heard ${plain(told)}`,
    );
  }

  isDeleted(queue: QueueId): boolean {
    return this.#deleted.has(queue);
  }

  /** A volatile home ended with its node's incarnation, with everything in it (R4). */
  homeLost(group: GroupId): void {
    this.#lost.add(group);
    this.#books.delete(group);
  }

  model(group: GroupId): ShardModel | undefined {
    return this.#books.get(group)?.model;
  }

  idOf(message: ModelMessage): number {
    return this.#ids.get(message)!;
  }

  // What the logs say.

  override onApply(replica: SimReplica, { index }: ApplyMeta, payload: Uint8Array, effects: ShardEffects): void {
    if (index > (this.model(replica.group)?.applied ?? 0)) {
      this.follow(replica.group, index, payload, effects, replica.machine);
    }
  }

  /** The first application of an entry. */
  follow(group: GroupId, index: LogIndex, payload: Uint8Array, effects: ShardEffects, machine: ShardMachine): void {
    const book = this.#book(group);
    book.payload = payload;
    const expected = book.model.follow(index, payload, effects);
    const isWhole = book.followed++ % this.cluster.swarm.compareStatesEvery === 0;
    const problem =
      compareEffects(expected, effects) ??
      (isWhole ? compareState(book.model, machine) : compareCounts(book.model, machine));
    if (problem !== undefined) this.fail(`entry ${index} of group ${group}: ${problem}`);
  }

  override atEnd(): void {
    for (const { message, told } of this.#records.values()) {
      for (const queue of message.queues) {
        const group = this.cluster.workload.homeOf(queue);
        if (told.get(group) !== 'accepted' || this.#lost.has(group)) continue;
        const fate = this.#fates.get(fateKey(queue, message.id));
        const isSeen = fate?.how === 'settled' || fate?.how === 'discarded';
        if (isSeen && fate.arrivals === 0 && !this.#forgone.has(fate.endedBy ?? ''))
          this.fail(`message ${message.id} was confirmed and never delivered`);
        if (isSeen || fate?.how === 'purged' || fate?.how === 'expired' || this.#deleted.has(queue)) continue;
        const mayStay = this.cluster.workload.volatile.groupOf(queue) !== undefined || this.#isStream(queue);
        if (fate?.how === 'ready' && mayStay) continue;
        this.fail(`message ${message.id} was confirmed and is ${fate?.how ?? 'not'} in queue ${queue} at the end`);
      }
    }
  }

  #book(group: GroupId): GroupBook {
    let book = this.#books.get(group);
    if (book !== undefined) return book;
    const created: GroupBook = {
      name: `group ${group}`,
      group,
      payload: new Uint8Array(0),
      followed: 0,
      model: new ShardModel(
        {
          entered: message => this.#entered(created, message),
          handedOut: (message, consumer, number) => this.#handedOut(message, consumer, number),
          returned: (message, consumer, number) => this.#returned(message, consumer, number),
          letGo: (message, how, consumer, number) => this.#letGo(message, how, consumer, number),
          departed: (message, how, consumer, number) =>
            this.#departed(message, how, consumer && keyOf(consumer, number!)),
          executed: (session, _sequence, command) => this.#commandExecuted(created, session, command),
          queueDeleted: ({ id }) => {
            this.#deleted.add(id);
            this.cluster.statistics.queuesDeleted++;
          },
        },
        message => this.fail(`group ${group}: ${message}`),
        // What is in the memory of one node takes steps of the full size.
        this.cluster.groups.includes(group) ? this.cluster.stepShares : STEP_SHARES,
      ),
    };
    book = created;
    this.#books.set(group, book);
    return book;
  }

  #entered(book: GroupBook, message: ModelMessage): void {
    const { position, length } = message.parts[0]!;
    const { id } = this.#identify(book.payload.subarray(position, position + length), message.queue);
    this.#ids.set(message, id);
    const key = fateKey(message.queue, id);
    if (this.#fates.has(key)) this.fail(`message ${id} entered queue ${message.queue} twice`);
    const told = this.#records.get(id)!.told.get(book.group);
    if (told !== undefined && told !== 'accepted' && !isUncertain(told)) {
      this.fail(`message ${id} was refused: ${plain(told)}; now it enters queue ${message.queue}`);
    }
    const { group, model } = book;
    const ttlMs = Math.min(
      this.#records.get(id)!.message.ttlMs ?? Number.POSITIVE_INFINITY,
      this.cluster.workload.topology.recordOf(message.queue).config.messageTtlMs ?? Number.POSITIVE_INFINITY,
    );
    const start = { group, expiryMs: model.timeMs + ttlMs, entry: model.applied };
    this.#fates.set(key, { ...start, how: 'ready', arrivals: 0, arrivedBy: undefined, endedBy: undefined });
  }

  #handedOut(message: ModelMessage, consumer: ModelConsumer, number: number): void {
    const id = this.idOf(message);
    const { queue, attempts } = message;
    const isRead = this.#isStream(queue);
    const key = keyOf(consumer, number);
    const offset = isRead ? message.place : NO_OFFSET;
    const found = { consumer, number, id, queue, deliveryCount: attempts, offset };
    this.#deliveries.set(key, { ...found, hasArrived: false, end: undefined });
    const { connection } = this.#records.get(id)!.message;
    if (isRead) {
      this.#noteFirst(`${connection} to ${keyOf(consumer, 0)}`, queue, id);
      return;
    }
    const fate = this.#fates.get(fateKey(queue, id))!;
    assert(fate.how === 'ready', () => `message ${id} is ${fate.how} and handed out`);
    fate.how = 'held';
    const leftMs = this.timeLeft(queue, id);
    // What may not wait at all may be handed out by the entry that brings it.
    if (leftMs < 0 || (leftMs === 0 && fate.entry !== this.model(fate.group)!.applied))
      this.fail(`message ${id} of queue ${queue} is handed out ${-leftMs} ms after its time`);
    if (attempts === 0) this.#noteFirst(`${connection}`, queue, id);
  }

  #noteFirst(connection: string, queue: QueueId, id: number): void {
    const key = `${connection}/${queue}`;
    const previous = this.#order.get(key) ?? 0;
    if (id < previous)
      this.fail(`connection ${connection} published ${id} before ${previous}; queue ${queue} delivers it after`);
    this.#order.set(key, id);
  }

  #returned(message: ModelMessage, consumer: ModelConsumer, number: number): void {
    const key = keyOf(consumer, number);
    const delivery = this.#deliveries.get(key)!;
    delivery.end = 'returned';
    this.#fates.get(fateKey(message.queue, delivery.id))!.how = 'ready';
    if (!this.#isFenced(consumer)) this.#object({ message, id: delivery.id, how: 'returned', delivery: key });
  }

  /** A reader has done with it, or the stream is gone. */
  #letGo(message: ModelMessage, how: Departure | 'returned', consumer: ModelConsumer, number: number): void {
    const key = keyOf(consumer, number);
    const delivery = this.#deliveries.get(key)!;
    delivery.end = how;
    if (how !== 'deleted' && !this.#isFenced(consumer)) this.#object({ message, id: delivery.id, how, delivery: key });
  }

  #isFenced({ session: { node, incarnation } }: ModelConsumer): boolean {
    return this.cluster.fences().some(fence => fence.node === node && incarnation <= fence.through);
  }

  #isStream(queue: QueueId): boolean {
    return this.cluster.workload.topology.recordOf(queue).config.stream !== undefined;
  }

  #departed(message: ModelMessage, how: Departure, key: string | undefined): void {
    const id = this.idOf(message);
    if (key !== undefined) this.#deliveries.get(key)!.end = how;
    const fate = this.#fates.get(fateKey(message.queue, id))!;
    fate.how = how;
    fate.endedBy = key;
    if (how === 'purged') this.cluster.statistics.purged++;
    if (how === 'expired') this.cluster.statistics.expired++;
    this.#object({ message, id, how, delivery: key });
  }

  /** Somebody must have wanted it. */
  #object(gone: Gone): void {
    const objections: string[] = [];
    for (const part of this.cluster.workload.parts) {
      if (!part.departures.includes(gone.how)) continue;
      const objection = part.objection(gone);
      if (objection === undefined) return;
      objections.push(objection);
    }
    this.fail(`message ${gone.id} of queue ${gone.message.queue} is ${gone.how}, but ${objections.join(', and ')}`);
  }

  #commandExecuted({ group, payload }: GroupBook, session: ModelSession, command: ExecutedCommand): void {
    if (command.body !== undefined) {
      const { position, length } = command.body;
      const { id } = this.#identify(payload.subarray(position, position + length), command.queues[0]!);
      const { logged } = this.#records.get(id)!;
      if (logged.has(group)) this.fail(`message ${id} was executed twice in group ${group}`);
      logged.set(group, command.outcome ?? 'accepted');
    } else if (ASKED.has(command.kind)) {
      const name = `${group}/${session.node}/${session.incarnation}`;
      const executed = this.#executed.get(name);
      if (executed === undefined) this.#executed.set(name, [command]);
      else executed.push(command);
    }
  }

  #identify(block: Uint8Array, queue: QueueId): Message {
    const read = readMessage(block);
    const record = read && this.#records.get(read.id);
    if (record === undefined) this.fail(`${block.length} bytes that nobody published are about queue ${queue}`);
    const { message } = record;
    if (read?.bodyBytes !== message.bodyBytes) this.fail(`message ${message.id} has lost bytes`);
    if (!message.queues.includes(queue)) this.fail(`message ${message.id} was not published to queue ${queue}`);
    return message;
  }
}

/** Nobody was told whether the message is in a queue. */
const isUncertain = (told: Decision | 'accepted' | undefined): boolean =>
  typeof told === 'object' && (told.kind === 'stale-topology' || told.kind === 'abandoned');

const plain = (outcome: Decision | 'accepted' | undefined): string =>
  typeof outcome === 'object' ? JSON.stringify(outcome) : 'accepted';
