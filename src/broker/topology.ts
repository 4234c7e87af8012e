import { assert } from '../lib/assert.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import type { Declared } from './argument-equivalence.ts';
import { DEFAULT_EXCHANGE_REFUSAL, findBindingEnds, findExchange } from './binding-ends.ts';
import type { Result } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import {
  type BindRequest,
  checkAccess,
  checkAlternateExchange,
  checkExchangeEquivalent,
  checkNewQueue,
  checkQueueEquivalent,
  type DeclareExchange,
  type DeclareQueue,
  isDurable,
} from './declarations.ts';
import { Exchange } from './exchange.ts';
import { ExchangeDirectory } from './exchange-directory.ts';
import { exchangeType } from './exchange-type.ts';
import { EMPTY_TABLE } from './field-table.ts';
import {
  checkNameLength,
  checkNotReserved,
  DEFAULT_EXCHANGE,
  described,
  RESERVED_PREFIX,
  withoutLineBreaks,
} from './names.ts';
import { QueueDirectory } from './queue-directory.ts';
import { TopologyBindings } from './topology-bindings.ts';
import type {
  BindingRecord,
  ConnectionOwner,
  ExchangeRecord,
  NodeStart,
  QueueHome,
  QueueRecord,
  TopologyCounters,
  TopologyObserver,
} from './topology-records.ts';

export type { BindRequest, DeclareExchange, DeclareQueue } from './declarations.ts';

/** RabbitMQ's firehose publishes to it; clients may only bind. */
const TRACE_EXCHANGE = 'amq.rabbitmq.trace';

/** Exists in each vhost from the start and cannot be deleted. */
const PREDECLARED: readonly (readonly [name: string, type: string])[] = [
  [DEFAULT_EXCHANGE, 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
  [TRACE_EXCHANGE, 'topic'],
];

/** What everybody but the machine of group 0 may do with a topology. */
export type TopologyView = Omit<
  Topology,
  | 'declareVhost'
  | 'removeVhost'
  | 'declareExchange'
  | 'deleteExchange'
  | 'declareQueue'
  | 'removeQueue'
  | 'bind'
  | 'unbind'
  | 'restore'
  | 'clear'
>;

const DONE: Result<void> = { ok: true, value: undefined };

/**
 * Vhosts, exchanges, queues and bindings: what group 0 says about names (R3). Requests answer as RabbitMQ does, with the
 * first error that it would find. Changes happen in the order of the log only.
 */
export class Topology {
  readonly #observer: TopologyObserver;
  readonly #exchanges = new ExchangeDirectory();
  readonly #queues = new QueueDirectory();
  readonly #bindings: TopologyBindings;
  #counters: TopologyCounters = { nextQueue: queueId(1), nextExchange: 1, nextBinding: 1 };

  constructor(observer: TopologyObserver) {
    this.#observer = observer;
    this.#bindings = new TopologyBindings(this.#exchanges, this.#queues, observer);
  }

  // ---- Reading ----

  get counters(): TopologyCounters {
    return this.#counters;
  }

  /** Ascending by name. */
  vhosts(): string[] {
    return [...this.#exchanges.vhosts()].sort();
  }

  hasVhost(vhost: string): boolean {
    return this.#exchanges.hasVhost(vhost);
  }

  exchange(vhost: string, name: string): Exchange | undefined {
    return this.#exchanges.named(vhost, name);
  }

  exchangeById(id: number): ExchangeRecord | undefined {
    return this.#exchanges.get(id)?.record;
  }

  /** The exchange that a binding of today leads to. */
  linkedExchange(id: number): Exchange {
    const exchange = this.#exchanges.get(id);
    assert(exchange !== undefined, () => `no exchange ${id}`);
    return exchange;
  }

  /** Of one vhost, or all; in the order of their declaration. */
  exchanges(vhost?: string): ExchangeRecord[] {
    const all = Array.from(this.#exchanges.list(), exchange => exchange.record);
    return vhost === undefined ? all : all.filter(record => record.vhost === vhost);
  }

  queue(vhost: string, name: string): QueueRecord | undefined {
    return this.#queues.named(vhost, name)?.record;
  }

  queueById(id: QueueId): QueueRecord | undefined {
    return this.#queues.get(id)?.record;
  }

  /** To this queue alone; the same array as long as the queue lives. */
  routeTo(id: QueueId): readonly QueueRecord[] {
    return this.#queues.get(id)!.route;
  }

  /** Of an id that was given: the queue is gone. One that is not known here yet is not. */
  isRemoved(id: QueueId): boolean {
    return id < this.#counters.nextQueue && this.#queues.get(id) === undefined;
  }

  /** Where the default exchange sends a message with this routing key; the same array as long as the queue lives. */
  defaultRoute(vhost: string, routingKey: string): readonly QueueRecord[] | undefined {
    return this.#queues.named(vhost, routingKey)?.route;
  }

  get queueCount(): number {
    return this.#queues.count;
  }

  queueCountIn(vhost: string): number {
    return this.#queues.countIn(vhost);
  }

  /** In the order of their declaration. */
  queues(vhost?: string): QueueRecord[] {
    return this.#queues.list(vhost);
  }

  /** Exclusive and non-durable queues that live on one start of a node; of one connection, or all (R4). */
  queuesOf(start: Omit<ConnectionOwner, 'connection'>, connection?: number): QueueRecord[] {
    return this.#queues.hostedBy(start, connection);
  }

  /** Starts of nodes on which exclusive and non-durable queues live. */
  queueHosts(): NodeStart[] {
    return this.#queues.hosts();
  }

  bindingById(id: number): BindingRecord | undefined {
    return this.#bindings.get(id);
  }

  /** Without the default exchange's, which follow from the queues. */
  bindingsOfQueue(id: QueueId): BindingRecord[] {
    return [...(this.#queues.get(id)?.bindings ?? [])];
  }

  /** Whether there is just this binding. */
  isBound({ vhost, source, destination, routingKey, arguments: table }: Omit<BindRequest, 'owner'>): boolean {
    const ends = findBindingEnds(this.#exchanges, this.#queues, { vhost, source, destination });
    return ends.ok && ends.value.source.binding(ends.value.destination, routingKey, table) !== undefined;
  }

  /** Those that messages leave it by. */
  bindingsOfExchange(vhost: string, name: string): BindingRecord[] {
    return [...(this.exchange(vhost, name)?.bindings() ?? [])];
  }

  /** A passive declare. */
  checkExchange(vhost: string, name: string): Result<ExchangeRecord> {
    const exchangeName = withoutLineBreaks(name);
    if (exchangeName === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    const found = findExchange(this.#exchanges, vhost, exchangeName);
    return found.ok ? { ok: true, value: found.value.record } : found;
  }

  /** A passive declare, and what every use of a queue by a client begins with. */
  checkQueue(vhost: string, name: string, owner: ConnectionOwner): Result<QueueRecord> {
    const queueName = withoutLineBreaks(name);
    if (!this.#exchanges.hasVhost(vhost)) return refused({ code: 'no-vhost', vhost });
    const queue = this.queue(vhost, queueName);
    if (queue === undefined) return refused({ code: 'no-queue', vhost, name: queueName });
    const locked = checkAccess(queue, owner);
    return locked ? refused(locked) : { ok: true, value: queue };
  }

  // ---- Changing ----

  /** With its predeclared exchanges. Declaring it again changes nothing. */
  declareVhost(vhost: string): Result<void> {
    const error = checkNameLength('vhost name', vhost);
    if (error) return refused(error);
    if (this.#exchanges.hasVhost(vhost)) return DONE;
    this.#observer.beforeChange({ kind: 'vhost-declared', vhost });
    this.#exchanges.addVhost(vhost);
    for (const [name, type] of PREDECLARED) {
      const internal = name === TRACE_EXCHANGE;
      const flags = { durable: true, autoDelete: false, internal, arguments: EMPTY_TABLE };
      this.#createExchange({ vhost, name, type, ...flags });
    }
    return DONE;
  }

  /** A vhost without queues: at most so many of its exchanges, and itself when none is left. False: not yet. */
  removeVhost(vhost: string, exchangesMax: number): boolean {
    assert(this.#queues.countIn(vhost) === 0, () => `vhost ${vhost} still has queues`);
    const exchanges = [...this.#exchanges.inVhost(vhost)];
    this.#bindings.removeExchanges(exchanges.slice(0, exchangesMax));
    if (exchanges.length > exchangesMax) return false;
    this.#observer.beforeChange({ kind: 'vhost-removed', vhost });
    this.#exchanges.removeVhost(vhost);
    return true;
  }

  declareExchange(request: DeclareExchange): Result<ExchangeRecord> {
    const { vhost } = request;
    const name = withoutLineBreaks(request.name);
    const declared: Declared = { kind: 'exchange', vhost, name };
    const type = exchangeType(request.type);
    if (type === undefined) return refused({ code: 'unknown-exchange-type', type: request.type });
    if (name === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    if (!this.#exchanges.hasVhost(vhost)) return refused({ code: 'no-vhost', vhost });
    const existing = this.exchange(vhost, name);
    if (existing !== undefined) {
      const difference = checkExchangeEquivalent(declared, request, existing.record);
      return difference ? refused(difference) : { ok: true, value: existing.record };
    }
    const error =
      checkNotReserved('exchange', name) ??
      checkNameLength('exchange name', name) ??
      checkAlternateExchange(declared, request.arguments) ??
      type.checkExchange(request.arguments);
    if (error) return refused(error);
    const { durable, autoDelete, internal } = request;
    const flags = { durable, autoDelete, internal, arguments: request.arguments };
    return { ok: true, value: this.#createExchange({ vhost, name, type: type.name, ...flags }) };
  }

  /** An exchange that is not there counts as deleted. */
  deleteExchange(request: { readonly vhost: string; readonly name: string; readonly ifUnused: boolean }): Result<void> {
    const { vhost } = request;
    const name = withoutLineBreaks(request.name);
    if (name === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    if (name.startsWith(RESERVED_PREFIX)) {
      const text = `deletion of system ${described('exchange', vhost, name)} not allowed`;
      return refused({ code: 'access-refused', text });
    }
    const exchange = this.exchange(vhost, name);
    if (exchange === undefined) return DONE;
    if (request.ifUnused && exchange.bindingCount > 0)
      return refused({ code: 'in-use', kind: 'exchange', vhost, name });
    this.#bindings.removeExchanges([exchange]);
    return DONE;
  }

  /** `chooseHome` is asked only when the queue is new and replicated; exclusive and non-durable queues live with their declarer (R4). */
  declareQueue(
    request: DeclareQueue,
    chooseHome: () => Result<QueueHome>,
  ): Result<{ readonly queue: QueueRecord; readonly created: boolean }> {
    const { vhost, owner, exclusive, autoDelete } = request;
    const name = withoutLineBreaks(request.name);
    const declared: Declared = { kind: 'queue', vhost, name };
    if (!this.#exchanges.hasVhost(vhost)) return refused({ code: 'no-vhost', vhost });
    const reserved = request.serverNamed ? undefined : checkNotReserved('queue', name);
    if (reserved) return refused(reserved);
    const existing = this.queue(vhost, name);
    if (existing !== undefined) {
      const difference = checkQueueEquivalent(declared, request, existing);
      return difference ? refused(difference) : { ok: true, value: { queue: existing, created: false } };
    }
    const error = checkNewQueue(declared, request);
    if (error) return refused(error);
    const { node, incarnation } = owner;
    const durable = isDurable(request);
    const home: Result<QueueHome> = durable
      ? chooseHome()
      : { ok: true, value: { kind: 'volatile', node, incarnation } };
    if (!home.ok) return home;
    const queue: QueueRecord = {
      id: this.#counters.nextQueue,
      vhost,
      name,
      durable,
      autoDelete,
      exclusiveOwner: exclusive ? owner : undefined,
      arguments: request.arguments,
      home: home.value,
    };
    this.#observer.beforeChange({ kind: 'queue-declared', queue });
    this.#counters = { ...this.#counters, nextQueue: queueId(queue.id + 1) };
    this.#queues.add(queue);
    return { ok: true, value: { queue, created: true } };
  }

  /** The shard, or the volatile queue's host, has decided that the queue is gone (R3). False: it was not there. */
  removeQueue(id: QueueId): boolean {
    const entry = this.#queues.get(id);
    if (entry === undefined) return false;
    this.#bindings.remove([...entry.bindings]);
    this.#observer.beforeChange({ kind: 'queue-removed', queue: entry.record });
    this.#queues.remove(id);
    return true;
  }

  /** Binding again with the same key and arguments changes nothing. */
  bind(request: BindRequest): Result<void> {
    const found = findBindingEnds(this.#exchanges, this.#queues, request);
    if (!found.ok) return found;
    const { source, destination, queue } = found.value;
    const { routingKey } = request;
    const error =
      source.type.checkBinding(routingKey, request.arguments) ??
      (queue && checkAccess(queue, request.owner)) ??
      checkNameLength('routing key', routingKey);
    if (error) return refused(error);
    if (source.binding(destination, routingKey, request.arguments) !== undefined) return DONE;
    const id = this.#counters.nextBinding;
    const binding = { id, source: source.record.id, destination, routingKey, arguments: request.arguments };
    this.#observer.beforeChange({ kind: 'bound', binding });
    this.#counters = { ...this.#counters, nextBinding: id + 1 };
    this.#bindings.add(binding);
    return DONE;
  }

  /** A binding, queue or exchange that is not there counts as unbound, as in RabbitMQ since 3.2. */
  unbind(request: BindRequest): Result<void> {
    const found = findBindingEnds(this.#exchanges, this.#queues, request);
    if (!found.ok) return found.error.code === 'no-queue' || found.error.code === 'no-exchange' ? DONE : found;
    const { source, destination, queue } = found.value;
    const binding = source.binding(destination, request.routingKey, request.arguments);
    if (binding === undefined) return DONE;
    const locked = queue && checkAccess(queue, request.owner);
    if (locked) return refused(locked);
    this.#bindings.remove([binding]);
    return DONE;
  }

  // ---- Restoring from a checkpoint or snapshot ----

  /** Forgets everything, so that another state can be restored. */
  clear(): void {
    this.#exchanges.clear();
    this.#bindings.clear();
    this.#queues.clear();
  }

  /** Each list ascending by id. */
  restore(state: {
    readonly vhosts: readonly string[];
    readonly exchanges: readonly ExchangeRecord[];
    readonly queues: readonly QueueRecord[];
    readonly bindings: readonly BindingRecord[];
    readonly counters: TopologyCounters;
  }): void {
    assert(this.vhosts().length === 0, 'a topology is restored only into an empty one');
    this.#counters = state.counters;
    for (const vhost of state.vhosts) this.#exchanges.addVhost(vhost);
    for (const record of state.exchanges) this.#exchanges.add(new Exchange(record));
    for (const record of state.queues) this.#queues.add(record);
    for (const binding of state.bindings) this.#bindings.add(binding);
  }

  // ---- Inside ----

  #createExchange(properties: Omit<ExchangeRecord, 'id'>): ExchangeRecord {
    const record: ExchangeRecord = { id: this.#counters.nextExchange, ...properties };
    this.#observer.beforeChange({ kind: 'exchange-declared', exchange: record });
    this.#counters = { ...this.#counters, nextExchange: record.id + 1 };
    this.#exchanges.add(new Exchange(record));
    return record;
  }
}

const refused = <Error extends BrokerError>(error: Error): { readonly ok: false; readonly error: Error } => ({
  ok: false,
  error,
});
