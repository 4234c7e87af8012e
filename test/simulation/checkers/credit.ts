import type { QueueId } from '../../../src/lib/ids.ts';
import type { ConsumerAddress, ShardEffects } from '../../../src/queue/effects.ts';
import type { ConsumerView } from '../../../src/queue/shard-reading.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * Nobody holds more than was ever asked for (R26), the numbers of one consumer ascend without a gap, and of a queue that serves one
 * consumer at a time nobody else gets anything while that one is active. What there was credit for at the very moment, and who comes
 * first, is the auditor's concern.
 */
export class CreditChecker extends Checker {
  readonly title = 'credit';
  /** By consumer: the highest that it ever had. */
  readonly #prefetch = new Map<string, number>();
  /** By replica and consumer: the last number that was handed out. */
  readonly #last = new Map<SimReplica, Map<string, number>>();
  /** By replica and queue with a single active consumer: who got the last delivery. */
  readonly #served = new Map<SimReplica, Map<QueueId, ConsumerAddress>>();

  override onApply(replica: SimReplica, _meta: ApplyMeta, _payload: Uint8Array, { deliveries }: ShardEffects): void {
    for (let i = 0; i < deliveries.length; i++) {
      this.#checkNumber(replica, deliveries.consumers[i]!, deliveries.numbers[i]!);
      if (deliveries.consumers[i] === deliveries.consumers[i + 1]) continue;
      this.#checkPrefetch(replica, deliveries.consumers[i]!);
      this.#checkAlone(replica, deliveries.consumers[i]!);
    }
  }

  override onInstall(replica: SimReplica): void {
    this.#last.delete(replica);
    this.#served.delete(replica);
  }

  #checkNumber(replica: SimReplica, address: ConsumerAddress, number: number): void {
    let numbers = this.#last.get(replica);
    if (numbers === undefined) {
      numbers = new Map();
      this.#last.set(replica, numbers);
    }
    const name = nameOf(address);
    const last = numbers.get(name);
    if (last !== undefined && number !== last + 1) this.fail(`${name} gets delivery ${number} after ${last}`);
    numbers.set(name, number);
  }

  #checkPrefetch(replica: SimReplica, address: ConsumerAddress): void {
    const view = viewOf(replica, address);
    if (view === undefined) return;
    const name = nameOf(address);
    const prefetch = Math.max(this.#prefetch.get(name) ?? 0, view.prefetch);
    this.#prefetch.set(name, prefetch);
    if (view.prefetch > 0 && view.unsettled > prefetch)
      this.fail(`${name} holds ${view.unsettled} messages with a prefetch of ${prefetch}`);
  }

  #checkAlone(replica: SimReplica, address: ConsumerAddress): void {
    const { queue } = address;
    if (!this.cluster.workload.topology.recordOf(queue).config.singleActive) return;
    let served = this.#served.get(replica);
    if (served === undefined) {
      served = new Map();
      this.#served.set(replica, served);
    }
    const previous = served.get(queue) ?? address;
    served.set(queue, address);
    if (nameOf(previous) !== nameOf(address) && viewOf(replica, previous)?.state === 'active')
      this.fail(`${nameOf(address)} gets deliveries while ${nameOf(previous)} is the active one`);
  }
}

const viewOf = ({ machine }: SimReplica, { node, incarnation, consumer }: ConsumerAddress): ConsumerView | undefined =>
  machine.consumersOf(node, incarnation).find(one => one.consumer === consumer);

const nameOf = ({ node, incarnation, consumer, queue }: ConsumerAddress): string =>
  `consumer ${consumer} of node ${node}.${incarnation} in queue ${queue}`;
