import { ByteWriter } from '../../lib/bytes.ts';
import type { Clock } from '../../lib/clock.ts';
import { type ConsumerId, type Incarnation, incarnation, type NodeId, type QueueId } from '../../lib/ids.ts';
import { reached } from '../../lib/reached.ts';
import { writeCheck, writeContinue, writeFence, writeNameRemoved } from '../../queue/commands.ts';
import type { DeliveryList, ShardEffects } from '../../queue/effects.ts';
import { writeLeaderBatch } from '../../queue/entry-codec.ts';
import type { ShardMachine } from '../../queue/shard-machine.ts';
import type { BodyReader } from './body-reader.ts';
import { DeadlineWatch } from './deadline-watch.ts';
import { DeliveryPipeline } from './delivery-pipeline.ts';
import type { AttachRequest, ShardLink } from './shard-link.ts';

export interface ShardLeaderDependencies {
  readonly machine: ShardMachine;
  readonly bodies: BodyReader;
  /** Puts a batch before the next entry; false if there is no room now. */
  readonly propose: (batch: Uint8Array) => boolean;
  /** Members whose incarnations up to `through` are fenced (R24). */
  readonly fenced: () => readonly { readonly node: NodeId; readonly through: number }[];
  /** Has group 0 remove the name (R3); resolves with the index of its log at which the name is gone. */
  readonly removeName: (queue: QueueId) => Promise<number>;
  /** Shard time as it would be written into an entry now (R28). */
  readonly timeMs: () => number;
  readonly after: Clock['after'];
}

/** Names whose removal group 0 is asked for at the same time: thousands of queues may expire at once. */
const NAME_REMOVALS_MAX = 100;

interface AttachedNode {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  readonly link: ShardLink;
  readonly pipeline: DeliveryPipeline;
}

/**
 * What only the leader of a shard does: it performs the machine's effects towards the nodes that attached to it, and
 * proposes what the machine cannot do by itself. Everything it knows beyond the machine's state is who is attached; so
 * nothing is lost with it (R25).
 */
export class ShardLeader {
  readonly #deps: ShardLeaderDependencies;
  readonly #attached = new Map<NodeId, AttachedNode>();
  /** Nodes that heard of this leader before it was ready to serve. */
  readonly #early = new Map<NodeId, { readonly request: AttachRequest; readonly link: ShardLink }>();
  #isServing = false;
  #lastMark = 0;
  /** Names that group 0 was asked to remove, until the removal is applied here. */
  readonly #removals = new Set<QueueId>();
  /** Fences proposed in this term and not applied yet. */
  readonly #fencing = new Map<NodeId, number>();
  readonly #deadlines: DeadlineWatch;

  constructor(deps: ShardLeaderDependencies) {
    const { machine, timeMs, after } = deps;
    this.#deps = deps;
    this.#deadlines = new DeadlineWatch({
      deadlineMs: () => machine.nextDeadlineMs,
      timeMs,
      after,
      propose: () => this.#propose(writeContinue),
    });
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  /** Leads, and has applied what earlier leaders committed. */
  serve(): void {
    this.#isServing = true;
    this.#fencing.clear();
    this.#duties();
    for (const { request, link } of this.#early.values()) this.attach(request, link);
    this.#early.clear();
    if (this.#deps.machine.continuationWanted) this.#propose(writeContinue);
    this.#deadlines.look();
  }

  stop(): void {
    this.#isServing = false;
    this.#early.clear();
    for (const node of [...this.#attached.keys()]) this.detach(node);
    this.#removals.clear();
    this.#fencing.clear();
    this.#deadlines.stop();
  }

  /** Regularly: hands the network what it did not take before, looks for somebody to fence and for names to be removed, also those for which an earlier attempt failed. */
  review(): void {
    if (!this.#isServing) return;
    for (const { pipeline } of this.#attached.values()) pipeline.review();
    this.#duties();
  }

  /** A node whose link broke attaches anew when it is back. */
  detach(node: NodeId): void {
    this.#early.delete(node);
    const attached = this.#attached.get(node);
    if (attached === undefined) return;
    this.#attached.delete(node);
    attached.pipeline.close();
    attached.link.detached();
  }

  attach(request: AttachRequest, link: ShardLink): void {
    const { machine, bodies } = this.#deps;
    const { node } = request;
    if (!this.#isServing) {
      reached('leader.attached-too-early');
      this.#early.set(node, { request, link });
      return;
    }
    if (machine.isFenced(node, request.incarnation)) {
      link.refused({ reason: 'fenced', node, incarnation: request.incarnation });
      return;
    }
    this.detach(node);
    const pipeline = new DeliveryPipeline(link, bodies, (consumer, number) => {
      const held = machine.unsettledAfter(node, request.incarnation, consumer, number - 1);
      return held !== undefined && held.length > 0 && held.numbers[0] === number;
    });
    const attached: AttachedNode = { node, incarnation: request.incarnation, link, pipeline };
    this.#attached.set(node, attached);
    const lastSequence = machine.lastSequenceOf(node, request.incarnation) ?? 0;
    const { held, unknown } = this.#missed(request);
    link.attached(request.incarnation, request.attach, lastSequence, unknown);
    for (const list of held) for (let i = 0; i < list.length; i++) pipeline.deliver(list, i, true);
    for (const view of machine.consumersOf(node, request.incarnation)) {
      if (view.state === 'queue-deleted') {
        reached('leader.deletion-told-again');
        pipeline.consumerCancelled(view.consumer);
      }
    }
    if (lastSequence <= request.answeredThrough) return;
    const outcomes = machine.outcomesAfter(node, request.incarnation, request.answeredThrough);
    pipeline.answer({ node, incarnation: request.incarnation, throughSequence: lastSequence, outcomes });
  }

  /** A batch of an attached node. False: it cannot be taken now. */
  batch(node: NodeId, bytes: Uint8Array): boolean {
    return this.#isServing && this.#attached.has(node) && this.#deps.propose(bytes);
  }

  /** The node sent what no node sends: its incarnation is to end, because it would send the same again and again. */
  expel(node: NodeId): void {
    const attached = this.#attached.get(node);
    if (attached === undefined) return;
    this.detach(node);
    attached.link.refused({ reason: 'fenced', node, incarnation: attached.incarnation });
  }

  /** Effects of one applied entry. */
  perform(effects: ShardEffects): void {
    if (!this.#isServing) return;
    const { deliveries } = effects;
    for (let i = 0; i < deliveries.length; i++) {
      const address = deliveries.consumers[i]!;
      const attached = this.#attached.get(address.node);
      if (attached?.incarnation === address.incarnation) attached.pipeline.deliver(deliveries, i, false);
    }
    for (const answer of effects.answers) {
      const attached = this.#attached.get(answer.node);
      if (attached?.incarnation === answer.incarnation) attached.pipeline.answer(answer);
    }
    for (const refusal of effects.refusals) {
      const attached = this.#attached.get(refusal.node);
      if (attached?.incarnation === refusal.incarnation) attached.link.refused(refusal);
    }
    for (const { node, incarnation: started, consumer } of effects.consumersCancelled) {
      const attached = this.#attached.get(node);
      if (attached?.incarnation === started) attached.pipeline.consumerCancelled(consumer);
    }
    if (effects.queuesDeleted.length > 0) this.#removeNames();
    if (effects.continuationWanted) this.#propose(writeContinue);
    this.#deadlines.look();
    this.#check();
  }

  /** What a node has not received: deliveries behind the last that arrived; and consumers that the shard does not have. */
  #missed({ node, incarnation: started, consumers }: AttachRequest): { held: DeliveryList[]; unknown: ConsumerId[] } {
    const held: DeliveryList[] = [];
    const unknown: ConsumerId[] = [];
    for (const { consumer, last } of consumers) {
      const list = this.#deps.machine.unsettledAfter(node, started, consumer, last);
      if (list === undefined) unknown.push(consumer);
      else if (list.length > 0) held.push(list);
    }
    return { held, unknown };
  }

  #duties(): void {
    for (const { node, through } of this.#deps.fenced()) {
      if (through === 0 || (this.#fencing.get(node) ?? 0) >= through) continue;
      if (this.#deps.machine.isFenced(node, incarnation(through))) continue;
      if (this.#propose(out => writeFence(out, node, incarnation(through)))) this.#fencing.set(node, through);
      this.#endAttachment(node, through);
    }
    this.#removeNames();
  }

  /** An incarnation that is still attached hears of its end here: it may have nothing to send by which it would learn. */
  #endAttachment(node: NodeId, through: number): void {
    const attached = this.#attached.get(node);
    if (attached === undefined || attached.incarnation > through) return;
    reached('leader.fenced-node-told');
    this.expel(node);
  }

  /** Until group 0 has answered, the state remembers the name; so a leader that dies in between leaves nothing behind. */
  #removeNames(): void {
    const { machine } = this.#deps;
    for (const id of this.#removals) if (!machine.isNameRemovalPending(id)) this.#removals.delete(id);
    for (const { id } of machine.namesToRemove()) {
      if (this.#removals.size >= NAME_REMOVALS_MAX) return;
      if (this.#removals.has(id)) {
        reached('leader.name-removal-repeated');
        continue;
      }
      this.#removals.add(id);
      this.#deps.removeName(id).then(
        topologyIndex => {
          const isProposed = this.#isServing && this.#propose(out => writeNameRemoved(out, id, topologyIndex));
          if (!isProposed) this.#removals.delete(id);
        },
        () => this.#removals.delete(id),
      );
    }
  }

  /** Has the replicas compare their hashes (R22). */
  #check(): void {
    const mark = this.#deps.machine.latestMark;
    if (mark === undefined || mark.index <= this.#lastMark) return;
    if (this.#propose(out => writeCheck(out, mark.index, mark.hash))) this.#lastMark = mark.index;
  }

  #propose(write: (out: ByteWriter) => void): boolean {
    const commands = new ByteWriter(32);
    write(commands);
    const batch = new ByteWriter(commands.length + 64);
    writeLeaderBatch(batch, 1, commands.view());
    return this.#deps.propose(batch.view());
  }
}
