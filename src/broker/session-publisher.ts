import { utf8Encode } from '../lib/bytes.ts';
import type { QueueId } from '../lib/ids.ts';
import type { QueueConfig } from '../queue/commands.ts';
import type { Publish, PublishResult, SessionListener } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import type { ClusterGateway, Decision, HomeStream, PublishOrigin } from './gateway.ts';
import { checkNameLength } from './names.ts';
import { expiresMs, isSingleActive, isStream, messageTtlMs } from './queue-arguments.ts';
import type { Route } from './router.ts';
import { retentionOf } from './stream-arguments.ts';
import type { QueueRecord } from './topology-records.ts';

/** The queues of a route that share a home: one command carries the message to all of them. */
interface Target {
  readonly stream: HomeStream;
  readonly queues: readonly QueueId[];
  /** Of `queues`, in their order. */
  readonly configs: readonly QueueConfig[];
}

export interface SessionPublisherOptions {
  readonly vhost: string;
  readonly bodyBytesMax: number;
}

export interface SessionPublisherDependencies {
  readonly gateway: ClusterGateway;
  readonly listener: Pick<SessionListener, 'confirmed' | 'rejected'>;
  /** A home's stream is at its bound after this publish: hold the connection (R30). */
  readonly backlog: (stream: HomeStream) => void;
}

export const queueConfig = (record: QueueRecord): QueueConfig => ({
  vhost: record.vhost,
  name: record.name,
  autoDelete: record.autoDelete,
  exclusive: record.exclusiveOwner !== undefined,
  singleActive: isSingleActive(record.arguments),
  messageTtlMs: messageTtlMs(record.arguments),
  expiresMs: expiresMs(record.arguments),
  stream: isStream(record.arguments) ? retentionOf(record.arguments) : undefined,
});

/** A message for a queue that was deleted meanwhile is what it would have been a moment earlier: gone with the queue, and confirmed. */
const isRefusal = (outcome: Decision | undefined): boolean => outcome !== undefined && outcome.kind !== 'no-such-queue';

/**
 * The way of a publish on its node: route, hand over to the homes of its queues, and confirm once all of them have it.
 * Everything that repeats from one publish to the next is remembered: the target of a key, its encoded names.
 */
export class SessionPublisher implements PublishOrigin {
  readonly #options: SessionPublisherOptions;
  readonly #deps: SessionPublisherDependencies;
  #route: Route | undefined;
  #targets: readonly Target[] = [];
  #exchange = '';
  #routingKey = '';
  #exchangeBytes = new Uint8Array(0);
  #routingKeyBytes = new Uint8Array(0);
  /** Publishes with several homes that not all have answered: how many are missing, and whether one refused. */
  readonly #split = new Map<number, { missing: number; refused: boolean }>();

  /** Publishes that want a confirm and have no answer. */
  #unanswered = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: SessionPublisherOptions, deps: SessionPublisherDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Publishes that want a confirm and have no answer yet. */
  get unconfirmed(): number {
    return this.#unanswered;
  }

  publish(publish: Publish): PublishResult {
    const tooLarge = this.#checkSize(publish);
    if (tooLarge) return tooLarge;
    const { exchange, routingKey, sequence } = publish;
    const tooLong = this.#encodeNames(exchange, routingKey);
    if (tooLong) return tooLong;
    const route = this.#deps.gateway.router.route(this.#options.vhost, exchange, publish);
    if ('code' in route) return route satisfies BrokerError;
    if (route.length === 0) return 'unroutable';
    if (route !== this.#route) this.#resolve(route);
    if (this.#targets.length === 0) return 'unroutable';
    const message = {
      exchange: this.#exchangeBytes,
      routingKey: this.#routingKeyBytes,
      properties: publish.properties,
      body: publish.body,
      ttlMs: publish.expirationMs,
    };
    if (this.#targets.length > 1 && sequence > 0) {
      this.#split.set(sequence, { missing: this.#targets.length, refused: false });
    }
    if (sequence > 0) this.#unanswered++;
    const origin = sequence > 0 ? this : undefined;
    for (const { stream, queues, configs } of this.#targets) {
      for (let i = 0; i < queues.length; i++) stream.introduce(queues[i]!, configs[i]!);
      stream.publish(queues, message, origin, sequence);
      if (stream.isFull) this.#deps.backlog(stream);
    }
    return 'routed';
  }

  check(publish: Publish): BrokerError | undefined {
    const { exchange, routingKey } = publish;
    return (
      this.#checkSize(publish) ??
      checkNameLength('exchange name', exchange) ??
      checkNameLength('routing key', routingKey) ??
      this.#deps.gateway.router.check(this.#options.vhost, exchange)
    );
  }

  /** Resolves when every publish so far that wants a confirm has its answer. */
  answered(): Promise<void> {
    if (this.#unanswered === 0) return Promise.resolve();
    return new Promise(resolve => this.#waiting.push(resolve));
  }

  #checkSize({ bodyBytes }: Publish): BrokerError | undefined {
    const { bodyBytesMax } = this.#options;
    return bodyBytes > bodyBytesMax ? { code: 'too-large', bytes: bodyBytes, bytesMax: bodyBytesMax } : undefined;
  }

  #answered(count: number): void {
    this.#unanswered -= count;
    if (this.#unanswered > 0 || this.#waiting.length === 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Answers of one home, in ranges. */
  published(first: number, last: number, outcome: Decision | undefined): void {
    if (this.#split.size === 0) {
      if (isRefusal(outcome)) this.#deps.listener.rejected(first, last);
      else this.#deps.listener.confirmed(first, last);
      this.#answered(last - first + 1);
      return;
    }
    for (let number = first; number <= last; number++) this.#publishedOne(number, isRefusal(outcome));
  }

  #publishedOne(number: number, refused: boolean): void {
    const split = this.#split.get(number);
    if (split !== undefined) {
      split.refused ||= refused;
      if (--split.missing > 0) return;
      this.#split.delete(number);
    }
    if (split?.refused ?? refused) this.#deps.listener.rejected(number, number);
    else this.#deps.listener.confirmed(number, number);
    this.#answered(1);
  }

  /** Groups a route's queues by home. A queue whose home is gone is about to leave the topology: it takes nothing any more. */
  #resolve(route: Route): void {
    const byStream = new Map<HomeStream, QueueRecord[]>();
    for (const record of route) {
      const stream = this.#deps.gateway.stream(record.home);
      if (stream === undefined) continue;
      const records = byStream.get(stream);
      if (records === undefined) byStream.set(stream, [record]);
      else records.push(record);
    }
    this.#route = route;
    this.#targets = [...byStream].map(([stream, records]) => ({
      stream,
      queues: records.map(record => record.id),
      configs: records.map(queueConfig),
    }));
  }

  /** Checks them too, when they are not those of the message before. */
  #encodeNames(exchange: string, routingKey: string): BrokerError | undefined {
    if (exchange !== this.#exchange) {
      const error = checkNameLength('exchange name', exchange);
      if (error) return error;
      this.#exchange = exchange;
      this.#exchangeBytes = Uint8Array.from(utf8Encode(exchange));
    }
    if (routingKey !== this.#routingKey) {
      const error = checkNameLength('routing key', routingKey);
      if (error) return error;
      this.#routingKey = routingKey;
      this.#routingKeyBytes = Uint8Array.from(utf8Encode(routingKey));
    }
    return undefined;
  }
}
