import { assert } from '../lib/assert.ts';
import { type QueueId, queueId } from '../lib/ids.ts';
import type { Declared } from './argument-equivalence.ts';
import type { Result } from './broker.ts';
import type { BrokerError } from './broker-error.ts';
import {
  type BindRequest,
  checkAccess,
  checkAlternateExchange,
  checkExchangeEquivalent,
  checkQueueEquivalent,
  type DeclareExchange,
  type DeclareQueue,
  isDurable,
} from './declarations.ts';
import { Exchange } from './exchange.ts';
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
import { checkQueueArguments } from './queue-arguments.ts';
import { QueueDirectory } from './queue-directory.ts';
import type {
  BindingRecord,
  ConnectionOwner,
  ExchangeRecord,
  QueueHome,
  QueueRecord,
  TopologyChange,
  TopologyCounters,
  TopologyObserver,
} from './topology-records.ts';

export type { BindRequest, DeclareExchange, DeclareQueue } from './declarations.ts';

/** Exists in each vhost from the start and cannot be deleted. */
const PREDECLARED: readonly (readonly [name: string, type: string])[] = [
  [DEFAULT_EXCHANGE, 'direct'],
  ['amq.direct', 'direct'],
  ['amq.fanout', 'fanout'],
  ['amq.headers', 'headers'],
  ['amq.match', 'headers'],
  ['amq.topic', 'topic'],
];

/** What everybody but the machine of group 0 may do with a topology. */
export type TopologyView = Omit<
  Topology,
  | 'declareVhost'
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
  readonly #vhosts = new Map<string, Map<string, Exchange>>();
  readonly #exchangesById = new Map<number, Exchange>();
  readonly #bindingsById = new Map<number, BindingRecord>();
  #queues = new QueueDirectory();
  #counters: TopologyCounters = { nextQueue: queueId(1), nextExchange: 1, nextBinding: 1 };

  constructor(observer: TopologyObserver) {
    this.#observer = observer;
  }

  // ---- Reading ----

  get counters(): TopologyCounters {
    return this.#counters;
  }

  /** Ascending by name. */
  vhosts(): string[] {
    return [...this.#vhosts.keys()].sort();
  }

  hasVhost(vhost: string): boolean {
    return this.#vhosts.has(vhost);
  }

  exchange(vhost: string, name: string): Exchange | undefined {
    return this.#vhosts.get(vhost)?.get(name);
  }

  exchangeById(id: number): ExchangeRecord | undefined {
    return this.#exchangesById.get(id)?.record;
  }

  /** Of one vhost, or all; in the order of their declaration. */
  exchanges(vhost?: string): ExchangeRecord[] {
    const all = [...this.#exchangesById.values()].map(exchange => exchange.record);
    return vhost === undefined ? all : all.filter(record => record.vhost === vhost);
  }

  queue(vhost: string, name: string): QueueRecord | undefined {
    return this.#queues.named(vhost, name)?.record;
  }

  queueById(id: QueueId): QueueRecord | undefined {
    return this.#queues.get(id)?.record;
  }

  /** Where the default exchange sends a message with this routing key; the same array as long as the queue lives. */
  defaultRoute(vhost: string, routingKey: string): readonly QueueRecord[] | undefined {
    return this.#queues.named(vhost, routingKey)?.route;
  }

  get queueCount(): number {
    return this.#queues.count;
  }

  /** In the order of their declaration. */
  queues(vhost?: string): QueueRecord[] {
    return this.#queues.list(vhost);
  }

  /** Exclusive and non-durable queues that live on one start of a node; of one connection, or all (R4). */
  queuesOf(start: Omit<ConnectionOwner, 'connection'>, connection?: number): QueueRecord[] {
    return this.#queues.hostedBy(start, connection);
  }

  bindingById(id: number): BindingRecord | undefined {
    return this.#bindingsById.get(id);
  }

  /** Without the default exchange's, which follow from the queues. */
  bindingsOfQueue(id: QueueId): BindingRecord[] {
    return [...(this.#queues.get(id)?.bindings ?? [])];
  }

  bindingsOfExchange(vhost: string, name: string): BindingRecord[] {
    return [...(this.exchange(vhost, name)?.bindings() ?? [])];
  }

  /** A passive declare. */
  checkExchange(vhost: string, name: string): Result<ExchangeRecord> {
    const exchangeName = withoutLineBreaks(name);
    if (exchangeName === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    const found = this.#findExchange(vhost, exchangeName);
    return found.ok ? { ok: true, value: found.value.record } : found;
  }

  /** A passive declare, and what every use of a queue by a client begins with. */
  checkQueue(vhost: string, name: string, owner: ConnectionOwner): Result<QueueRecord> {
    const queueName = withoutLineBreaks(name);
    if (!this.#vhosts.has(vhost)) return refused({ code: 'no-vhost', vhost });
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
    if (this.#vhosts.has(vhost)) return DONE;
    this.#observer.beforeChange({ kind: 'vhost-declared', vhost });
    this.#vhosts.set(vhost, new Map());
    for (const [name, type] of PREDECLARED) {
      const flags = { durable: true, autoDelete: false, internal: false, arguments: EMPTY_TABLE };
      this.#createExchange({ vhost, name, type, ...flags });
    }
    return DONE;
  }

  declareExchange(request: DeclareExchange): Result<ExchangeRecord> {
    const { vhost } = request;
    const name = withoutLineBreaks(request.name);
    const declared: Declared = { kind: 'exchange', vhost, name };
    const type = exchangeType(request.type);
    if (type === undefined) return refused({ code: 'invalid', text: `unknown exchange type '${request.type}'` });
    if (name === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    if (!this.#vhosts.has(vhost)) return refused({ code: 'no-vhost', vhost });
    const existing = this.exchange(vhost, name);
    if (existing !== undefined) {
      const difference = checkExchangeEquivalent(declared, request, existing.record);
      return difference ? refused(difference) : { ok: true, value: existing.record };
    }
    const error =
      checkNotReserved('exchange', name) ??
      checkNameLength('exchange name', name) ??
      checkAlternateExchange(declared, request.arguments);
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
    this.#removeExchange(exchange);
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
    if (!this.#vhosts.has(vhost)) return refused({ code: 'no-vhost', vhost });
    const reserved = request.serverNamed ? undefined : checkNotReserved('queue', name);
    if (reserved) return refused(reserved);
    const existing = this.queue(vhost, name);
    if (existing !== undefined) {
      const difference = checkQueueEquivalent(declared, request, existing);
      return difference ? refused(difference) : { ok: true, value: { queue: existing, created: false } };
    }
    const error = checkNameLength('queue name', name) ?? checkQueueArguments(declared, request.arguments);
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
    for (const binding of [...entry.bindings]) this.#unbind(binding);
    this.#observer.beforeChange({ kind: 'queue-removed', queue: entry.record });
    this.#queues.remove(id);
    return true;
  }

  /** Binding again with the same key and arguments changes nothing. */
  bind(request: BindRequest): Result<void> {
    const found = this.#bindingEnds(request);
    if (!found.ok) return found;
    const { exchange, queue } = found.value;
    const error =
      exchange.type.checkBinding(request.arguments) ??
      checkAccess(queue, request.owner) ??
      checkNameLength('routing key', request.routingKey);
    if (error) return refused(error);
    if (exchange.binding(queue.id, request.routingKey, request.arguments) !== undefined) return DONE;
    const binding: BindingRecord = {
      id: this.#counters.nextBinding,
      exchange: exchange.record.id,
      queue: queue.id,
      routingKey: request.routingKey,
      arguments: request.arguments,
    };
    this.#observer.beforeChange({ kind: 'bound', binding });
    this.#counters = { ...this.#counters, nextBinding: binding.id + 1 };
    this.#addBinding(exchange, binding);
    return DONE;
  }

  /** A binding, queue or exchange that is not there counts as unbound, as in RabbitMQ since 3.2. */
  unbind(request: BindRequest): Result<void> {
    const found = this.#bindingEnds(request);
    if (!found.ok) return found.error.code === 'no-queue' || found.error.code === 'no-exchange' ? DONE : found;
    const { exchange, queue } = found.value;
    const locked = checkAccess(queue, request.owner);
    if (locked) return refused(locked);
    const binding = exchange.binding(queue.id, request.routingKey, request.arguments);
    if (binding !== undefined) this.#unbind(binding);
    return DONE;
  }

  // ---- Restoring from a checkpoint or snapshot ----

  /** Forgets everything, so that another state can be restored. */
  clear(): void {
    this.#vhosts.clear();
    this.#exchangesById.clear();
    this.#bindingsById.clear();
    this.#queues = new QueueDirectory();
  }

  /** Each list ascending by id. */
  restore(state: {
    readonly vhosts: readonly string[];
    readonly exchanges: readonly ExchangeRecord[];
    readonly queues: readonly QueueRecord[];
    readonly bindings: readonly BindingRecord[];
    readonly counters: TopologyCounters;
  }): void {
    assert(this.#vhosts.size === 0, 'a topology is restored only into an empty one');
    this.#counters = state.counters;
    for (const vhost of state.vhosts) this.#vhosts.set(vhost, new Map());
    for (const record of state.exchanges) this.#addExchange(record);
    for (const record of state.queues) this.#queues.add(record);
    for (const binding of state.bindings) {
      const exchange = this.#exchangesById.get(binding.exchange);
      assert(exchange !== undefined, () => `binding ${binding.id} of missing exchange ${binding.exchange}`);
      this.#addBinding(exchange, binding);
    }
  }

  // ---- Inside ----

  #findExchange(vhost: string, name: string): Result<Exchange> {
    const exchanges = this.#vhosts.get(vhost);
    if (exchanges === undefined) return refused({ code: 'no-vhost', vhost });
    const exchange = exchanges.get(name);
    return exchange === undefined ? refused({ code: 'no-exchange', vhost, name }) : { ok: true, value: exchange };
  }

  #bindingEnds(request: BindRequest): Result<{ readonly exchange: Exchange; readonly queue: QueueRecord }> {
    const { vhost } = request;
    const exchangeName = withoutLineBreaks(request.exchange);
    const queueName = withoutLineBreaks(request.queue);
    if (exchangeName === DEFAULT_EXCHANGE) return refused(DEFAULT_EXCHANGE_REFUSAL);
    const exchange = this.#findExchange(vhost, exchangeName);
    if (!exchange.ok) return exchange;
    const queue = this.queue(vhost, queueName);
    if (queue === undefined) return refused({ code: 'no-queue', vhost, name: queueName });
    return { ok: true, value: { exchange: exchange.value, queue } };
  }

  #createExchange(properties: Omit<ExchangeRecord, 'id'>): ExchangeRecord {
    const record: ExchangeRecord = { id: this.#counters.nextExchange, ...properties };
    this.#observer.beforeChange({ kind: 'exchange-declared', exchange: record });
    this.#counters = { ...this.#counters, nextExchange: record.id + 1 };
    this.#addExchange(record);
    return record;
  }

  #addExchange(record: ExchangeRecord): void {
    const exchanges = this.#vhosts.get(record.vhost);
    assert(exchanges !== undefined, () => `exchange ${record.name} in missing vhost ${record.vhost}`);
    const exchange = new Exchange(record);
    exchanges.set(record.name, exchange);
    this.#exchangesById.set(record.id, exchange);
  }

  #removeExchange(exchange: Exchange): void {
    const { record } = exchange;
    for (const binding of [...exchange.bindings()]) this.#removeBinding(exchange, binding);
    const change: TopologyChange = { kind: 'exchange-removed', exchange: record };
    this.#observer.beforeChange(change);
    this.#vhosts.get(record.vhost)!.delete(record.name);
    this.#exchangesById.delete(record.id);
  }

  #addBinding(exchange: Exchange, binding: BindingRecord): void {
    const queue = this.#queues.get(binding.queue);
    assert(queue !== undefined, () => `binding ${binding.id} of missing queue ${binding.queue}`);
    exchange.add(binding);
    queue.bindings.add(binding);
    this.#bindingsById.set(binding.id, binding);
  }

  /** An auto-delete exchange goes with its last binding. */
  #unbind(binding: BindingRecord): void {
    const exchange = this.#exchangesById.get(binding.exchange)!;
    this.#removeBinding(exchange, binding);
    if (exchange.record.autoDelete && exchange.bindingCount === 0) this.#removeExchange(exchange);
  }

  #removeBinding(exchange: Exchange, binding: BindingRecord): void {
    this.#observer.beforeChange({ kind: 'unbound', binding });
    exchange.remove(binding);
    this.#queues.get(binding.queue)!.bindings.delete(binding);
    this.#bindingsById.delete(binding.id);
  }
}

const DEFAULT_EXCHANGE_REFUSAL: BrokerError = {
  code: 'access-refused',
  text: 'operation not permitted on the default exchange',
};

const refused = <Error extends BrokerError>(error: Error): { readonly ok: false; readonly error: Error } => ({
  ok: false,
  error,
});
