import { writeCount } from '../queue/commands.ts';
import type { QueueDeclared, Result } from './broker.ts';
import { type BrokerError, failed } from './broker-error.ts';
import type { ClusterGateway, Decision, HomeStream } from './gateway.ts';
import { queueConfig } from './session-publisher.ts';
import { isReplyQueue } from './session-requests.ts';
import type { ConnectionOwner, QueueRecord } from './topology-records.ts';
import { untilKnown } from './until-known.ts';

/** The queues that a session may use, and its way to their homes. */
export class SessionQueues {
  readonly #options: { readonly vhost: string; readonly owner: ConnectionOwner };
  readonly #gateway: Pick<ClusterGateway, 'topology' | 'stream'>;
  /** Homes that may hold deliveries of the session. */
  readonly homes = new Set<HomeStream>();

  constructor(
    options: { readonly vhost: string; readonly owner: ConnectionOwner },
    gateway: Pick<ClusterGateway, 'topology' | 'stream'>,
  ) {
    this.#options = options;
    this.#gateway = gateway;
  }

  find(name: string): Result<QueueRecord> {
    if (isReplyQueue(name)) return failed({ code: 'no-queue', vhost: this.#options.vhost, name });
    return this.#gateway.topology.checkQueue(this.#options.vhost, name, this.#options.owner);
  }

  /**
   * The stream to the queue's home, which knows the queue from then on. Undefined for one that is gone, though its record is
   * still in somebody's hand: the home may have forgotten that it deleted it, and would make it anew (R3).
   */
  stream(queue: QueueRecord): HomeStream | undefined {
    if (this.#gateway.topology.isRemoved(queue.id)) return undefined;
    const stream = this.#gateway.stream(queue.home);
    stream?.introduce(queue.id, queueConfig(queue));
    return stream;
  }

  ask(
    queue: QueueRecord,
    request: (stream: HomeStream) => (onOutcome: (outcome: Decision | undefined) => void) => void,
  ): Promise<Decision | undefined> {
    return untilKnown(() => {
      const stream = this.stream(queue);
      if (stream === undefined) return Promise.resolve({ kind: 'no-such-queue' });
      return new Promise(resolve => request(stream)(resolve));
    });
  }

  async count(queue: QueueRecord): Promise<Result<QueueDeclared>> {
    const outcome = await this.ask(
      queue,
      stream => onOutcome => stream.request(out => writeCount(out, queue.id), onOutcome),
    );
    if (outcome?.kind !== 'counted') return this.gone(queue, outcome);
    return { ok: true, value: { name: queue.name, messageCount: outcome.ready, consumerCount: outcome.consumers } };
  }

  /** Of an outcome that is none of those that the request can have while queue and node are well. */
  gone(queue: QueueRecord, outcome?: Decision): { readonly ok: false; readonly error: BrokerError } {
    if (outcome?.kind === 'abandoned') return failed({ code: 'unavailable', text: 'this node left the cluster' });
    if (outcome?.kind === 'stale-topology') return failed({ code: 'unavailable', text: 'this node is catching up' });
    return failed({ code: 'no-queue', vhost: queue.vhost, name: queue.name });
  }
}
