import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type ConsumerId, type Incarnation, incarnation, type NodeId, nodeId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, StatePage } from './checkpoint-pages.ts';
import { type Consumer, type DecodedConsumer, decodeConsumer } from './consumers.ts';
import type { BodyPart, SequencedOutcome } from './effects.ts';
import { type Outcome, readBodyParts, readOutcome, writeBodyParts, writeOutcome } from './outcomes.ts';

/** Parts of a large message that came in so far. */
export interface Upload {
  readonly parts: BodyPart[];
  bytes: number;
}

/** What the shard knows of one node incarnation: one contiguous sequence of commands (R23), its consumers, its uploads. */
export class Session {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** Every command up to here was executed. */
  lastSequence = 0;
  seenThrough = 0;
  /** Index of group 0 that the node had applied when it last wrote. */
  topologyIndex = 0;
  /** Fenced; kept while its consumers are being released. */
  isEnded = false;
  /** Ascending by sequence; without default outcomes and without those that were seen. */
  outcomes: SequencedOutcome[] = [];
  /** In the order of their serials. */
  readonly consumers = new Map<ConsumerId, Consumer>();
  readonly uploads = new Map<number, Upload>();

  constructor(node: NodeId, started: Incarnation) {
    this.node = node;
    this.incarnation = started;
  }

  /** The consumer that a command speaks of; undefined also for one that is being released. */
  consumer(id: ConsumerId): Consumer | undefined {
    const found = this.consumers.get(id);
    return found?.isLeaving === true ? undefined : found;
  }

  record(sequence: number, outcome: Outcome): void {
    this.outcomes.push({ sequence, outcome });
  }

  outcomesAfter(sequence: number): SequencedOutcome[] {
    const { outcomes } = this;
    let i = outcomes.length;
    while (i > 0 && outcomes[i - 1]!.sequence > sequence) i--;
    return i === outcomes.length ? [] : outcomes.slice(i);
  }

  /** Forgets what the sender has seen, and returns it. */
  seen(through: number): SequencedOutcome[] {
    if (through <= this.seenThrough) return [];
    this.seenThrough = through;
    const { outcomes } = this;
    let i = 0;
    while (i < outcomes.length && outcomes[i]!.sequence <= through) i++;
    return i === 0 ? [] : outcomes.splice(0, i);
  }

  encode(out: ByteWriter): void {
    out.u32(this.node);
    out.u32(this.incarnation);
    out.u48(this.lastSequence);
    out.u48(this.seenThrough);
    out.u48(this.topologyIndex);
    out.u8(this.isEnded ? 1 : 0);
    out.u32(this.outcomes.length);
    for (const { sequence, outcome } of this.outcomes) {
      out.u48(sequence);
      writeOutcome(out, outcome);
    }
    out.u32(this.uploads.size);
    for (const id of [...this.uploads.keys()].sort((a, b) => a - b)) {
      out.u32(id);
      writeBodyParts(out, this.uploads.get(id)!.parts);
    }
    const withoutQueue = [...this.consumers.values()].filter(consumer => consumer.queue === undefined);
    out.u32(withoutQueue.length);
    for (const consumer of withoutQueue) consumer.encode(out);
  }
}

/** Sessions of a shard and the incarnations that are fenced for ever (R24). One page of the checkpoint. */
export class SessionTable extends StatePage {
  readonly pageKey: PageKey = { space: 0, kind: PageKind.sessions, number: 0 };
  readonly #sessions: Session[] = [];
  /** By node: this incarnation and all before it. */
  readonly #fences = new Map<NodeId, Incarnation>();

  all(): readonly Session[] {
    return this.#sessions;
  }

  find(node: NodeId, started: Incarnation): Session | undefined {
    for (const session of this.#sessions) {
      if (session.node === node && session.incarnation === started) return session;
    }
    return undefined;
  }

  open(node: NodeId, started: Incarnation): Session {
    const session = new Session(node, started);
    this.#sessions.push(session);
    return session;
  }

  remove(session: Session): void {
    this.#sessions.splice(this.#sessions.indexOf(session), 1);
  }

  isFenced(node: NodeId, started: Incarnation): boolean {
    return started <= (this.#fences.get(node) ?? 0);
  }

  fence(node: NodeId, started: Incarnation): void {
    if (!this.isFenced(node, started)) this.#fences.set(node, started);
  }

  /** The index of group 0 that every session has reported; Infinity without sessions. */
  get topologyIndexMin(): number {
    let min = Number.POSITIVE_INFINITY;
    for (const session of this.#sessions) if (!session.isEnded) min = Math.min(min, session.topologyIndex);
    return min;
  }

  encode(out: ByteWriter): void {
    out.u32(this.#fences.size);
    for (const node of [...this.#fences.keys()].sort((a, b) => a - b)) {
      out.u32(node);
      out.u32(this.#fences.get(node)!);
    }
    out.u32(this.#sessions.length);
    for (const session of this.#sessions) session.encode(out);
  }

  /** Returns the consumers whose queue is deleted; those of queues come with their queue's page. */
  decode(from: ByteReader): DecodedConsumer[] {
    for (let count = from.u32(); count > 0; count--) this.#fences.set(nodeId(from.u32()), incarnation(from.u32()));
    const consumers: DecodedConsumer[] = [];
    for (let count = from.u32(); count > 0; count--) {
      const session = this.open(nodeId(from.u32()), incarnation(from.u32()));
      session.lastSequence = from.u48();
      session.seenThrough = from.u48();
      session.topologyIndex = from.u48();
      session.isEnded = from.u8() === 1;
      for (let outcomes = from.u32(); outcomes > 0; outcomes--) session.record(from.u48(), readOutcome(from));
      for (let uploads = from.u32(); uploads > 0; uploads--) {
        const id = from.u32();
        const parts = readBodyParts(from);
        session.uploads.set(id, { parts, bytes: parts.reduce((sum, part) => sum + part.length, 0) });
      }
      for (let without = from.u32(); without > 0; without--) consumers.push(decodeConsumer(from));
    }
    return consumers;
  }
}
