import type { Decision, OnOutcome, PublishOrigin } from '../../broker/gateway.ts';
import { assert } from '../../lib/assert.ts';
import { ByteWriter } from '../../lib/bytes.ts';
import type { Incarnation, NodeId, QueueId } from '../../lib/ids.ts';
import {
  type QueueConfig,
  writeAssembledEnqueue,
  writeEnqueue,
  writeEnsureQueue,
  writePart,
} from '../../queue/commands.ts';
import type { SequencedOutcome } from '../../queue/effects.ts';
import { BATCH_HEADER_BYTES, writeBatch } from '../../queue/entry-codec.ts';
import { MESSAGE_BLOCK_BYTES_MAX, PART_BYTES_MAX } from '../../queue/limits.ts';
import { type MessageFields, messageBlockBytes } from '../../queue/message-block.ts';
import type { Outcome } from '../../queue/outcomes.ts';
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
  #batches: Batch[] = [];
  /** Index in `#batches` of the first that was not handed out since the last (re)attach. */
  #unsent = 0;
  #keptBytes = 0;
  #upload = 0;
  readonly #introduced = new Set<QueueId>();
  /** Commands up to here may have met a queue that could not be introduced. */
  #staleThrough = 0;

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
    this.#ring.answer(through, outcomes.length === 0 ? outcomes : this.#withStale(outcomes));
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
   * It is not: a message to it must not count as gone with its queue.
   */
  #withStale(outcomes: readonly SequencedOutcome[]): readonly SequencedOutcome[] {
    return outcomes.map(decided => {
      if (decided.outcome.kind === 'stale-topology') this.#staleThrough = this.#ring.next - 1;
      const isStale = decided.outcome.kind === 'no-such-queue' && decided.sequence <= this.#staleThrough;
      return isStale ? { sequence: decided.sequence, outcome: STALE } : decided;
    });
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
    if (this.#writer.length === 0) this.#deps.wake();
    else if (this.#writer.length + bytes > this.#options.batchBytesMax) this.#close();
  }

  #close(): void {
    if (this.#writer.length === 0) return;
    const first = this.#openFirst;
    const last = this.#ring.next - 1;
    assert(last >= first, 'an open batch holds at least one command');
    const out = new ByteWriter(BATCH_HEADER_BYTES + this.#writer.length);
    writeBatch(
      out,
      {
        node: this.#options.node,
        incarnation: this.#options.incarnation,
        firstSequence: first,
        seenThrough: this.#ring.first - 1,
        topologyIndex: this.#deps.topologyIndex(),
        commandCount: last - first + 1,
      },
      this.#writer.view(),
    );
    this.#writer.reset();
    this.#openFirst = last + 1;
    const bytes = out.view();
    this.#batches.push({ first, last, bytes });
    this.#keptBytes += bytes.length;
  }
}
