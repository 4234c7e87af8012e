import type { BindingRequest, ExchangeBindingRequest, ExchangeDeclare, QueueDeclare } from '../broker.ts';
import type { BrokerError } from '../broker-error.ts';
import { exchangeType } from '../exchange-type.ts';
import type { FieldTable } from '../field-table.ts';
import { DEFAULT_EXCHANGE, described, RESERVED_PREFIX, withoutLineBreaks } from '../names.ts';
import type { TopologyView } from '../topology.ts';
import type { AccessView } from './access-control.ts';
import type { PermissionRecord, Permissions, TopicPermissionRecord } from './access-records.ts';

/** The default exchange has no name of its own; permissions know it by this one. */
const DEFAULT_EXCHANGE_ALIAS = 'amq.default';
/** A name that the broker has yet to make; any stands for all. */
const GENERATED_SAMPLE = 'amq.gen-AAAAAAAAAAAAAAAAAAAAAA';
const ALTERNATE_EXCHANGE = 'alternate-exchange';
const DEAD_LETTER_EXCHANGE = 'x-dead-letter-exchange';
/** Answers that one connection remembers for each pattern; beyond it they are forgotten and found again. */
const REMEMBERED_MAX = 1_000;

type Operation = keyof Permissions;

interface Who {
  readonly user: string;
  readonly vhost: string;
}

/** One pattern and what it said of names. */
class RememberedPattern {
  readonly #text: string;
  readonly #access: AccessView;
  readonly #answers = new Map<string, boolean>();

  constructor(text: string, access: AccessView) {
    this.#text = text;
    this.#access = access;
  }

  allows(name: string): boolean {
    let answer = this.#answers.get(name);
    if (answer === undefined) {
      if (this.#answers.size >= REMEMBERED_MAX) this.#answers.clear();
      answer = this.#access.pattern(this.#text)?.matches(name) ?? false;
      this.#answers.set(name, answer);
    }
    return answer;
  }
}

/**
 * What the user of one connection may do, asked before every operation. Answers are remembered until the user's own
 * permissions change, and take effect with the next operation then. In each case the first refusal that RabbitMQ would
 * find: what it checks before permissions is left to the topology.
 */
export class SessionAccess {
  readonly #who: Who;
  readonly #access: AccessView;
  readonly #topology: TopologyView;
  #version = -1;
  #permission: PermissionRecord | undefined;
  #patterns: Readonly<Record<Operation, RememberedPattern>> | undefined;
  /** By exchange: what topic permissions say; `undefined` where there is none. */
  readonly #topics = new Map<string, TopicAccess | undefined>();
  /** The exchange of the last publish, if nothing but its name decides. */
  #lastExchange: string | undefined;

  constructor(who: Who, access: AccessView, topology: TopologyView) {
    this.#who = who;
    this.#access = access;
    this.#topology = topology;
  }

  /** Once per message: nothing but two comparisons as long as a session keeps to an exchange. */
  publish(exchange: string, routingKey: string): BrokerError | undefined {
    if (exchange === this.#lastExchange && this.#version === this.#access.version) return undefined;
    this.#lastExchange = undefined;
    const refused = this.#exchange('write', exchange);
    if (refused !== undefined) return refused;
    const topic = this.#topic(exchange);
    if (topic !== undefined) return this.#checkTopic(topic, 'write', exchange, routingKey);
    this.#lastExchange = exchange;
    return undefined;
  }

  declareExchange(request: ExchangeDeclare): BrokerError | undefined {
    const name = withoutLineBreaks(request.name);
    if (request.passive || name === DEFAULT_EXCHANGE || exchangeType(request.type) === undefined) return undefined;
    const refused = this.#exchange('configure', name);
    if (refused !== undefined || this.#topology.exchange(this.#who.vhost, name) !== undefined) return refused;
    const alternate = nameIn(request.arguments, ALTERNATE_EXCHANGE);
    if (alternate === undefined) return undefined;
    return this.#exchange('read', name) ?? this.#exchange('write', alternate);
  }

  deleteExchange(exchange: string): BrokerError | undefined {
    const name = withoutLineBreaks(exchange);
    if (name === DEFAULT_EXCHANGE || name.startsWith(RESERVED_PREFIX)) return undefined;
    return this.#exchange('configure', name);
  }

  declareQueue(request: QueueDeclare): BrokerError | undefined {
    if (request.passive) return undefined;
    const name = request.name === '' ? GENERATED_SAMPLE : withoutLineBreaks(request.name);
    if (request.name !== '' && name.startsWith(RESERVED_PREFIX)) return undefined;
    const refused = this.queue('configure', name);
    if (refused !== undefined || this.#topology.queue(this.#who.vhost, name) !== undefined) return refused;
    const deadLetter = nameIn(request.arguments, DEAD_LETTER_EXCHANGE);
    if (deadLetter === undefined) return undefined;
    return this.queue('read', name) ?? this.#exchange('write', deadLetter);
  }

  /** Delete: configure. Consume, get, purge: read. */
  queue(operation: Operation, queue: string): BrokerError | undefined {
    return this.#check(operation, 'queue', withoutLineBreaks(queue));
  }

  bindQueue({ queue, exchange, routingKey }: BindingRequest): BrokerError | undefined {
    return this.queue('write', queue) ?? this.#bindingSource(exchange, routingKey);
  }

  bindExchange({ destination, source, routingKey }: ExchangeBindingRequest): BrokerError | undefined {
    const name = withoutLineBreaks(destination);
    const refused = this.#exchange('write', name);
    if (refused !== undefined || name === DEFAULT_EXCHANGE) return refused;
    return this.#bindingSource(source, routingKey);
  }

  #bindingSource(exchange: string, routingKey: string): BrokerError | undefined {
    const name = withoutLineBreaks(exchange);
    if (name === DEFAULT_EXCHANGE) return undefined;
    const refused = this.#exchange('read', name);
    if (refused !== undefined) return refused;
    const topic = this.#topic(name);
    return topic === undefined ? undefined : this.#checkTopic(topic, 'read', name, routingKey);
  }

  #exchange(operation: Operation, name: string): BrokerError | undefined {
    return this.#check(operation, 'exchange', name === DEFAULT_EXCHANGE ? DEFAULT_EXCHANGE_ALIAS : name);
  }

  #check(operation: Operation, kind: 'exchange' | 'queue', name: string): BrokerError | undefined {
    this.#refresh();
    if (this.#patterns?.[operation].allows(name)) return undefined;
    const { user, vhost } = this.#who;
    return { code: 'access-refused', text: `access to ${described(kind, vhost, name)} refused for user '${user}'` };
  }

  #checkTopic(
    topic: TopicAccess,
    operation: 'write' | 'read',
    exchange: string,
    routingKey: string,
  ): BrokerError | undefined {
    const { user, vhost } = this.#who;
    if (this.#topology.exchange(vhost, exchange)?.record.type !== 'topic') return undefined;
    if (topic[operation].allows(routingKey)) return undefined;
    const what = `topic '${routingKey}' in ${described('exchange', vhost, exchange)}`;
    return { code: 'access-refused', text: `access to ${what} refused for user '${user}'` };
  }

  #topic(exchange: string): TopicAccess | undefined {
    if (this.#topics.has(exchange)) return this.#topics.get(exchange);
    if (this.#topics.size >= REMEMBERED_MAX) this.#topics.clear();
    const { user, vhost } = this.#who;
    const record = this.#access.topicPermission(user, vhost, exchange);
    const topic = record === undefined ? undefined : topicAccess(record, this.#access);
    this.#topics.set(exchange, topic);
    return topic;
  }

  #refresh(): void {
    if (this.#version === this.#access.version) return;
    this.#version = this.#access.version;
    this.#topics.clear();
    const { user, vhost } = this.#who;
    const permission = this.#access.permission(user, vhost);
    if (permission === this.#permission) return;
    this.#permission = permission;
    this.#patterns = permission && {
      configure: new RememberedPattern(permission.configure, this.#access),
      write: new RememberedPattern(permission.write, this.#access),
      read: new RememberedPattern(permission.read, this.#access),
    };
  }
}

interface TopicAccess {
  readonly write: RememberedPattern;
  readonly read: RememberedPattern;
}

/** `{username}` and `{vhost}` stand for themselves, not for patterns: a name with special characters opens nothing. */
function topicAccess(record: TopicPermissionRecord, access: AccessView): TopicAccess {
  const { user, vhost } = record;
  const remembered = (pattern: string): RememberedPattern => {
    const named = pattern.replaceAll('{username}', () => escaped(user)).replaceAll('{vhost}', () => escaped(vhost));
    return new RememberedPattern(named, access);
  };
  return { write: remembered(record.write), read: remembered(record.read) };
}

const escaped = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, character => `\\${character}`);

function nameIn(table: FieldTable, argument: string): string | undefined {
  const value = table.get(argument);
  return value?.type === 'string' ? value.value : undefined;
}
