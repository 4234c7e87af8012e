import type { Decision, OnOutcome, PublishOrigin } from '../../broker/gateway.ts';
import { assert } from '../../lib/assert.ts';
import { ByteWriter } from '../../lib/bytes.ts';
import type { Incarnation, NodeId, QueueId } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import {
  type QueueConfig,
  writeAssembledEnqueue,
  writeEnqueue,
  writeEnsureQueue,
  writePart,
} from '../../queue/commands.ts';
import type { SequencedOutcome } from '../../queue/effects.ts';
import { BATCH_HEADER_BYTES, type BatchHeader, writeBatch } from '../../queue/entry-codec.ts';
import { MESSAGE_BLOCK_BYTES_MAX, PART_BYTES_MAX } from '../../queue/limits.ts';
import { type MessageFields, messageBlockBytes } from '../../queue/message-block.ts';
import type { Outcome } from '../../queue/outcomes.ts';
import { publishesToAny } from './batch-targets.ts';
import { CommandRing } from './command-ring.ts';

export interface ShardOutboxOptions {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** A batch is closed before it grows above this. */
  readonly batchBytesMax: number;
  readonly bytesMax: number;
  readonly commandsMax: number;
}

export interface ShardOutboxDependencies {
  /** Group 0's log index that this node has applied, written into each batch. */
  readonly topologyIndex: () => number;
  /** The outbox has something to send, or has room again. */
  readonly wake: () => void;
}

/** Target queues in one command: their ids and the largest message block fit into one entry together. */
const TARGETS_PER_COMMAND = 4_096;
const STALE: Outcome = { kind: 'stale-topology' };
const NOTHING = new Uint8Array(0);

interface Batch {
  readonly first: number;
  readonly last: number;
  readonly bytes: Uint8Array;
}

/**
 * This node's session with one shard (R23, R25): every command gets the next sequence number and is kept, encoded, until
 * the shard has answered it. Whoever leads the shard gets the unanswered rest again, in order; the machine takes each once.
 */
export class ShardOutbox {
  readonly #options: ShardOutboxOptions;
  readonly #deps: ShardOutboxDependencies;
  readonly #ring = new CommandRing();
  /** Commands of the batch that is still open. */
  readonly #writer = new ByteWriter(4096);
  #openFirst = 1;
  /** Of the topology by which its first command was routed: the others know at least as much. */
  #openTopologyIndex = 0;
  #batches: Batch[] = [];
  /** Index in `#batches` of the first that was not handed out since the last (re)attach. */
  #unsent = 0;
  #keptBytes = 0;
  #upload = 0;
  readonly #introduced = new Set<QueueId>();
  /** Introductions without an answer, by sequence. */
  readonly #introducing = new Map<number, QueueId>();
  /** Queues that could not be introduced, and up to where commands may have met them. */
  readonly #stale = new Set<QueueId>();
  #staleThrough = 0;
  /** What the shard was told last of what this node knows, and whether it keeps outcomes that were seen since. */
  #toldTopologyIndex = 0;
  #hasSeenOutcomes = false;

  constructor(options: ShardOutboxOptions, deps: ShardOutboxDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Everything below was answered. */
  get firstUnanswered(): number {
    return this.#ring.first;
  }

  /** Something is still to be handed out: the leader could not take it, or nobody looked since. */
  get hasUnsent(): boolean {
    return this.#unsent < this.#batches.length || this.#writer.length > 0;
  }

  get isIdle(): boolean {
    return this.#ring.size === 0;
  }

  /** At the bound: publishers are not read until answers made room. Commands are never refused, they are few. */
  get isFull(): boolean {
    return (
      this.#keptBytes + this.#writer.length >= this.#options.bytesMax || this.#ring.size >= this.#options.commandsMax
    );
  }

  /** Half empty again: those who were held may go on. */
  get hasRoom(): boolean {
    return (
      (this.#keptBytes + this.#writer.length) * 2 <= this.#options.bytesMax &&
      this.#ring.size * 2 <= this.#options.commandsMax
    );
  }

  /** The first command to a queue tells the shard what the queue is (R3). */
  introduce(queue: QueueId, config: QueueConfig): void {
    if (this.#introduced.has(queue)) return;
    this.#introduced.add(queue);
    this.#introducing.set(this.#ring.next, queue);
    this.request(
      out => writeEnsureQueue(out, queue, config),
      outcome => {
        // The shard does not have the queue: the next command to it, by a node that has caught up, introduces it again.
        if (outcome?.kind === 'stale-topology') this.#introduced.delete(queue);
      },
    );
  }

  forget(queue: QueueId): void {
    this.#introduced.delete(queue);
  }

  /** `number` is the origin's own count of its publishes; 0 with no origin when nobody waits. */
  publish(queues: readonly QueueId[], message: MessageFields, origin: PublishOrigin | undefined, number: number): void {
    let left = queues;
    // Answers come in order: when the last share is decided all are.
    for (; left.length > TARGETS_PER_COMMAND; left = left.slice(TARGETS_PER_COMMAND)) {
      this.#publish(left.slice(0, TARGETS_PER_COMMAND), message, undefined, 0);
    }
    this.#publish(left, message, origin, number);
  }

  #publish(
    queues: readonly QueueId[],
    message: MessageFields,
    origin: PublishOrigin | undefined,
    number: number,
  ): void {
    const blockBytes = messageBlockBytes(message);
    if (blockBytes > MESSAGE_BLOCK_BYTES_MAX) {
      this.#publishInParts(queues, message, origin, number);
      return;
    }
    this.#reserve(blockBytes + 16 + queues.length * 6);
    writeEnqueue(this.#writer, queues, message);
    this.#ring.addPublish(origin, number);
  }

  /** Any other command. `onOutcome` is called once, when the shard has decided. */
  request(write: (out: ByteWriter) => void, onOutcome: OnOutcome | undefined, bytes = 1024): void {
    this.#reserve(bytes);
    write(this.#writer);
    this.#ring.addRequest(onOutcome);
  }

  /** Hands out what is new, batch by batch, until `send` says that it cannot take more. */
  flush(send: (batch: Uint8Array) => boolean): void {
    this.#close();
    while (this.#unsent < this.#batches.length && send(this.#batches[this.#unsent]!.bytes)) this.#unsent++;
  }

  /** There is a new leader or a new stream: what it does not have yet goes out again. */
  resendAfter(lastSequence: number): void {
    this.#close();
    this.#unsent = this.#batches.findIndex(batch => batch.last > lastSequence);
    if (this.#unsent === -1) this.#unsent = this.#batches.length;
    this.#deps.wake();
  }

  answered(through: number, outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[]): void {
    if (through < this.#ring.first) return;
    const wasFull = this.isFull;
    if (outcomes.length > 0) this.#hasSeenOutcomes = true;
    this.#ring.answer(
      through,
      this.#staleThrough === 0 && outcomes.length === 0 ? outcomes : this.#withStale(through, outcomes),
    );
    if (this.#introducing.size > 0)
      for (const sequence of this.#introducing.keys()) if (sequence <= through) this.#introducing.delete(sequence);
    let done = 0;
    while (done < this.#batches.length && this.#batches[done]!.last <= through)
      this.#keptBytes -= this.#batches[done++]!.bytes.length;
    if (done > 0) {
      this.#batches = this.#batches.slice(done);
      this.#unsent = Math.max(0, this.#unsent - done);
    }
    if (wasFull || done > 0) this.#deps.wake();
  }

  /**
   * A queue that could not be introduced, because this node's topology was too old, looks deleted to the commands behind.
   * It is not: a message to it must not count as gone with its queue, nor as taken because it entered another one.
   */
  #withStale(through: number, outcomes: readonly SequencedOutcome[]): readonly SequencedOutcome[] {
    for (const { sequence, outcome } of outcomes) {
      if (outcome.kind !== 'stale-topology') continue;
      this.#staleThrough = this.#ring.next - 1;
      this.#stale.add(this.#introducing.get(sequence)!);
    }
    if (this.#staleThrough === 0) return outcomes;
    const decided = new Map(outcomes.map(one => [one.sequence, one.outcome]));
    for (const [sequence, { kind }] of decided) {
      if (kind === 'no-such-queue' && sequence <= this.#staleThrough) decided.set(sequence, STALE);
    }
    reached('client.topology-was-stale');
    for (const { first, bytes } of this.#batches) {
      for (const position of publishesToAny(bytes, this.#stale)) {
        if (first + position <= Math.min(through, this.#staleThrough)) decided.set(first + position, STALE);
      }
    }
    if (through >= this.#staleThrough) {
      this.#staleThrough = 0;
      this.#stale.clear();
    }
    return [...decided].map(([sequence, outcome]) => ({ sequence, outcome })).sort((a, b) => a.sequence - b.sequence);
  }

  /**
   * Nothing waits for an answer, and the shard keeps outcomes that were seen, or tombstones until this node says that it has
   * applied the deletion: it is to be told without a command (R3, R23).
   */
  get hasNews(): boolean {
    if (!this.isIdle || this.#ring.next === 1) return false;
    return this.#hasSeenOutcomes || this.#toldTopologyIndex < this.#deps.topologyIndex();
  }

  /** A batch without commands, for the news. */
  report(): Uint8Array {
    const topologyIndex = this.#deps.topologyIndex();
    const out = new ByteWriter(BATCH_HEADER_BYTES);
    this.#writeBatch(out, { firstSequence: this.#ring.next, topologyIndex, commandCount: 0 }, NOTHING);
    this.#told(topologyIndex);
    return out.view();
  }

  /** Whoever leads the shard now may not have got the last report. */
  forgetReports(): void {
    this.#toldTopologyIndex = 0;
  }

  #told(topologyIndex: number): void {
    this.#toldTopologyIndex = topologyIndex;
    this.#hasSeenOutcomes = false;
  }

  /** The session, or the shard, has ended: everything that waits gets this outcome. */
  abandon(outcome: Decision): void {
    this.#close();
    const outcomes: { sequence: number; outcome: Decision }[] = [];
    for (let sequence = this.#ring.first; sequence < this.#ring.next; sequence++) outcomes.push({ sequence, outcome });
    this.#batches = [];
    this.#unsent = 0;
    this.#keptBytes = 0;
    this.#ring.answer(this.#ring.next - 1, outcomes);
  }

  /** Above one entry's size the body goes ahead in parts, and the enqueue that names them comes last (R6). */
  #publishInParts(
    queues: readonly QueueId[],
    message: MessageFields,
    origin: PublishOrigin | undefined,
    number: number,
  ): void {
    const upload = ++this.#upload;
    for (const piece of message.body) {
      for (let at = 0; at < piece.length; at += PART_BYTES_MAX) {
        const part = piece.subarray(at, at + PART_BYTES_MAX);
        this.request(out => writePart(out, upload, part), undefined, part.length + 16);
      }
    }
    const head = { ...message, body: [] };
    this.#reserve(messageBlockBytes(head) + 32 + queues.length * 6);
    writeAssembledEnqueue(this.#writer, queues, upload, head);
    this.#ring.addPublish(origin, number);
  }

  /** Makes room for one more command of about `bytes` in the open batch. */
  #reserve(bytes: number): void {
    if (this.#writer.length > 0 && this.#writer.length + bytes > this.#options.batchBytesMax) this.#close();
    if (this.#writer.length > 0) return;
    this.#openTopologyIndex = this.#deps.topologyIndex();
    this.#deps.wake();
  }

  #close(): void {
    if (this.#writer.length === 0) return;
    const first = this.#openFirst;
    const last = this.#ring.next - 1;
    assert(last >= first, 'an open batch holds at least one command');
    const out = new ByteWriter(BATCH_HEADER_BYTES + this.#writer.length);
    const header = { firstSequence: first, topologyIndex: this.#openTopologyIndex, commandCount: last - first + 1 };
    this.#writeBatch(out, header, this.#writer.view());
    this.#writer.reset();
    this.#told(this.#openTopologyIndex);
    this.#openFirst = last + 1;
    const bytes = out.view();
    this.#batches.push({ first, last, bytes });
    this.#keptBytes += bytes.length;
  }

  #writeBatch(
    out: ByteWriter,
    header: Pick<BatchHeader, 'firstSequence' | 'topologyIndex' | 'commandCount'>,
    commands: Uint8Array,
  ): void {
    const { node, incarnation } = this.#options;
    writeBatch(out, { node, incarnation, seenThrough: this.#ring.first - 1, ...header }, commands);
  }
}
