import type { Incarnation, LogIndex, NodeId } from '../../lib/ids.ts';
import type { EntryId } from '../../raft/messages.ts';
import type { GroupDriver } from '../group/group-driver.ts';
import { LeaseTable } from './lease-table.ts';
import { encodeRequest } from './metadata-command-codec.ts';
import { expireIncarnation, type RequestId } from './metadata-commands.ts';
import type { MetadataMachine } from './metadata-machine.ts';
import type { MetadataEffects, MetadataReply } from './metadata-replies.ts';

export interface Renewal {
  readonly node: NodeId;
  readonly incarnation: Incarnation;
  /** The node's own monotonic time when it asked; comes back in the grant. */
  readonly sentMs: number;
  readonly applied: LogIndex;
}

export type Grant = 'granted' | 'behind' | 'refused';

export interface MetadataLeaderOptions {
  readonly routingLeaseMs: number;
  readonly nodeLeaseMs: number;
  readonly goneGraceMs: number;
}

export interface MetadataLeaderDependencies {
  readonly driver: () => GroupDriver<MetadataEffects>;
  readonly machine: MetadataMachine;
  readonly propose: (batch: Uint8Array) => boolean;
  readonly reply: (to: NodeId, id: RequestId, reply: MetadataReply) => void;
  readonly grant: (renewal: Renewal, grant: Grant) => void;
  readonly monotonicMs: () => number;
}

/**
 * What only the leader of group 0 does: it grants leases and answers a change when every node that may route has applied
 * it (R2). All of it is soft state; a successor starts from nothing and waits a full term.
 */
export class MetadataLeader {
  readonly #deps: MetadataLeaderDependencies;
  readonly #leases: LeaseTable;
  #isServing = false;
  /** Renewals that wait for a round which confirms the leadership. */
  #renewals: Renewal[] = [];
  #round: { readonly context: number; readonly startedMs: number; readonly renewals: readonly Renewal[] } | undefined;
  #lastContext = 0;
  #waiting: { readonly index: LogIndex; readonly id: RequestId; readonly reply: MetadataReply }[] = [];
  readonly #expiring = new Set<string>();

  constructor(options: MetadataLeaderOptions, deps: MetadataLeaderDependencies) {
    this.#deps = deps;
    this.#leases = new LeaseTable(options);
  }

  get isServing(): boolean {
    return this.#isServing;
  }

  serve(appliedIndex: LogIndex): void {
    this.#isServing = true;
    this.#expiring.clear();
    const running = this.#deps.machine.members.list().flatMap(member => {
      const incarnation = this.#deps.machine.members.currentIncarnation(member.id);
      return incarnation === undefined ? [] : [{ node: member.id, incarnation }];
    });
    this.#leases.reset(running, appliedIndex, this.#deps.monotonicMs());
    this.#endQueues();
  }

  stop(): void {
    this.#isServing = false;
    this.#renewals = [];
    this.#round = undefined;
    this.#waiting = [];
  }

  /** A request of a node, encoded. False: it cannot be taken now; the node comes again. */
  request(batch: Uint8Array): boolean {
    return this.#isServing && this.#deps.propose(batch);
  }

  renew(renewal: Renewal): void {
    if (!this.#isServing) return;
    this.#renewals.push(renewal);
    this.#beginRound();
  }

  /** A quorum has confirmed that this leader led when the round began. */
  roundConfirmed(context: number): void {
    const round = this.#round;
    if (round === undefined || round.context !== context) return;
    this.#round = undefined;
    for (const renewal of round.renewals) {
      const { node, incarnation, applied } = renewal;
      this.#deps.grant(renewal, this.#leases.renew(node, incarnation, applied, round.startedMs));
    }
    this.#answer();
    this.#beginRound();
  }

  topologyApplied(node: NodeId, incarnation: Incarnation, index: LogIndex): void {
    this.#leases.applied(node, incarnation, index);
    this.#answer();
  }

  /** Effects of one applied entry. */
  perform(id: EntryId, effects: MetadataEffects): void {
    if (!this.#isServing) return;
    const nowMs = this.#deps.monotonicMs();
    if (effects.membersChanged) {
      for (const { node, through } of effects.fenced) this.#leases.remove(node, through);
      for (const { id: node } of this.#deps.machine.members.list()) {
        const incarnation = this.#deps.machine.members.currentIncarnation(node);
        if (incarnation !== undefined && !this.#leases.has(node, incarnation))
          this.#leases.admit(node, incarnation, nowMs);
      }
    }
    for (const { id: request, reply } of effects.answers) {
      if (request !== undefined) this.#waiting.push({ index: id.index, id: request, reply });
    }
    this.#endQueues();
    this.#answer();
  }

  processGone(node: NodeId): void {
    if (!this.#isServing) return;
    this.#leases.processGone(node, this.#deps.monotonicMs());
    this.#answer();
  }

  /** Time has passed: leases may have run out, a round may have been lost. */
  tick(): void {
    if (!this.#isServing) return;
    const nowMs = this.#deps.monotonicMs();
    for (const { node, incarnation } of this.#leases.expired(nowMs)) {
      const key = `${node}/${incarnation}`;
      if (this.#expiring.has(key)) continue;
      const command = expireIncarnation({ node, incarnation });
      if (this.#deps.propose(encodeRequest({ id: undefined, command }))) this.#expiring.add(key);
    }
    this.#answer();
    this.#beginRound();
  }

  /** A step for each start that is over and has queues left. */
  #endQueues(): void {
    for (const start of this.#deps.machine.startsToEnd()) {
      this.#deps.propose(encodeRequest({ id: undefined, command: expireIncarnation(start) }));
    }
  }

  #beginRound(): void {
    if (this.#round !== undefined || this.#renewals.length === 0) return;
    const context = ++this.#lastContext;
    if (!this.#deps.driver().readIndex(context)) return;
    this.#round = { context, startedMs: this.#deps.monotonicMs(), renewals: this.#renewals };
    this.#renewals = [];
  }

  #answer(): void {
    if (this.#waiting.length === 0) return;
    const last = this.#waiting.at(-1)!.index;
    const through = this.#leases.answerableThrough(last, this.#deps.monotonicMs());
    let done = 0;
    while (done < this.#waiting.length && this.#waiting[done]!.index <= through) {
      const { id, reply } = this.#waiting[done++]!;
      this.#deps.reply(id.node, id, reply);
    }
    if (done === 0) return;
    this.#leases.answered(this.#waiting[done - 1]!.index);
    this.#waiting = this.#waiting.slice(done);
  }
}
