import type { AccessAdministration } from '../broker/access/administration.ts';
import type { Result } from '../broker/broker.ts';
import { type BrokerError, brokerErrorText } from '../broker/broker-error.ts';
import { checkExchangeEquivalent, checkQueueEquivalent } from '../broker/declarations.ts';
import type { ClusterGateway } from '../broker/gateway.ts';
import { type Definition, type DefinitionOf, type ImportOutcome, type ImportResult, itemName } from './definitions.ts';

/** Changes of group 0 under way at a time: several fit into one of its entries. */
const UNDER_WAY_MAX = 32;
/** Queues belong to no connection; connections count from 1. */
const NO_CONNECTION = 0;

export interface ImportDependencies {
  readonly administration: AccessAdministration;
  readonly gateway: Pick<ClusterGateway, 'self' | 'topology' | 'declareExchange' | 'declareQueue' | 'bind'>;
}

type Ended = Omit<ImportResult, 'item'>;

const ended = (outcome: ImportOutcome, detail = ''): Ended => ({ outcome, detail });
const CREATED = ended('created');
const EXISTED = ended('existed');

/**
 * Makes what definitions ask for, in their order: one kind after the other, and of one kind several at a time. What is there
 * already, just so, costs nothing; queues and exchanges that differ stay as they are.
 */
export class DefinitionsImporter {
  readonly #deps: ImportDependencies;

  constructor(deps: ImportDependencies) {
    this.#deps = deps;
  }

  async import(definitions: readonly Definition[]): Promise<ImportResult[]> {
    const results: ImportResult[] = [];
    for (let at = 0; at < definitions.length; ) {
      const { kind } = definitions[at]!;
      let end = at;
      while (end < definitions.length && end - at < UNDER_WAY_MAX && definitions[end]!.kind === kind) end++;
      const some = definitions.slice(at, end);
      const outcomes = await Promise.all(some.map(definition => this.#importOne(definition)));
      outcomes.forEach((outcome, i) => {
        results.push({ item: itemName(some[i]!), ...outcome });
      });
      at = end;
    }
    return results;
  }

  #importOne(definition: Definition): Promise<Ended> {
    switch (definition.kind) {
      case 'vhost':
        return this.#vhost(definition);
      case 'vhost-limits':
        return this.#vhostLimits(definition);
      case 'user':
        return this.#user(definition);
      case 'permission':
        return this.#permission(definition);
      case 'topic-permission':
        return this.#topicPermission(definition);
      case 'exchange':
        return this.#exchange(definition);
      case 'queue':
        return this.#queue(definition);
      case 'binding':
        return this.#binding(definition);
      case 'unsupported':
      case 'ignored':
        return Promise.resolve(ended(definition.kind, definition.why));
    }
  }

  async #vhost({ vhost, description, tags }: DefinitionOf<'vhost'>): Promise<Ended> {
    const { administration } = this.#deps;
    const current = administration.view.vhost(vhost);
    if (current !== undefined && current.description === description && isSame(current.tags, tags)) return EXISTED;
    return changed(current, await administration.putVhost({ vhost, description, tags }));
  }

  async #vhostLimits({ vhost, limits }: DefinitionOf<'vhost-limits'>): Promise<Ended> {
    const { administration } = this.#deps;
    const current = administration.view.vhost(vhost)?.limits;
    if (isSame(current, limits)) return EXISTED;
    const hasNone = current?.connectionsMax === undefined && current?.queuesMax === undefined;
    return changed(hasNone ? undefined : current, await administration.setVhostLimits(vhost, limits));
  }

  async #user({ user, password, tags, limits }: DefinitionOf<'user'>): Promise<Ended> {
    const { administration } = this.#deps;
    const current = administration.view.user(user);
    const hash = password === 'none' ? undefined : password;
    const isPut = current !== undefined && isSame(current.password, hash) && isSame(current.tags, tags);
    const isLimited = limits === undefined || (current !== undefined && isSame(current.limits, limits));
    if (isPut && isLimited) return EXISTED;
    if (!isPut) {
      const result = await administration.putUser({ user, password, tags });
      if (!result.ok) return failed(result.error);
    }
    const hasLimits = limits?.connectionsMax !== undefined || limits?.channelsMax !== undefined;
    if (limits === undefined || isLimited || (current === undefined && !hasLimits)) return changed(current, DONE);
    return changed(current, await administration.setUserLimits(user, limits));
  }

  async #permission({ kind, ...permission }: DefinitionOf<'permission'>): Promise<Ended> {
    const { administration } = this.#deps;
    const current = administration.view.permission(permission.user, permission.vhost);
    if (current !== undefined && isSame(current, { kind, ...permission })) return EXISTED;
    return changed(current, await administration.setPermissions(permission));
  }

  async #topicPermission({ kind, ...permission }: DefinitionOf<'topic-permission'>): Promise<Ended> {
    const { administration } = this.#deps;
    const { user, vhost, exchange } = permission;
    const current = administration.view.topicPermission(user, vhost, exchange);
    if (current !== undefined && isSame(current, { kind, ...permission })) return EXISTED;
    return changed(current, await administration.setTopicPermissions(permission));
  }

  async #exchange({ kind, ...exchange }: DefinitionOf<'exchange'>): Promise<Ended> {
    const { gateway } = this.#deps;
    const { vhost, name } = exchange;
    const current = gateway.topology.exchange(vhost, name)?.record;
    if (current === undefined) return changed(undefined, await gateway.declareExchange(exchange));
    const difference = checkExchangeEquivalent({ kind, vhost, name }, exchange, current);
    return difference === undefined ? EXISTED : failed(difference);
  }

  async #queue({ kind, ...queue }: DefinitionOf<'queue'>): Promise<Ended> {
    const { gateway } = this.#deps;
    const { vhost, name } = queue;
    const owner = { ...gateway.self, connection: NO_CONNECTION };
    const request = { ...queue, exclusive: false, serverNamed: true, owner };
    const current = gateway.topology.queue(vhost, name);
    if (current !== undefined) {
      const difference = checkQueueEquivalent({ kind, vhost, name }, request, current);
      return difference === undefined ? EXISTED : failed(difference);
    }
    const declared = await gateway.declareQueue(request);
    return declared.ok ? (declared.value.created ? CREATED : EXISTED) : failed(declared.error);
  }

  async #binding({ kind, ...binding }: DefinitionOf<'binding'>): Promise<Ended> {
    const { gateway } = this.#deps;
    if (gateway.topology.isBound(binding)) return EXISTED;
    const owner = { ...gateway.self, connection: NO_CONNECTION };
    return changed(undefined, await gateway.bind({ ...binding, owner }));
  }
}

const DONE: Result<void> = { ok: true, value: undefined };

function changed(before: object | undefined, result: Result<void>): Ended {
  if (!result.ok) return failed(result.error);
  return before === undefined ? CREATED : ended('updated');
}

function failed(error: BrokerError): Ended {
  const text = brokerErrorText(error);
  switch (error.code) {
    case 'inequivalent':
    case 'locked':
      return ended('differs', text);
    case 'not-implemented':
      return ended('unsupported', text);
    case 'no-vhost':
    case 'no-user':
    case 'no-exchange':
    case 'no-queue':
      return ended('dangling', text);
    default:
      return ended('failed', text);
  }
}

/** Of records, lists and texts: fields in any order, and an absent one is like an undefined one. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every(name => isSame(a[name as keyof typeof a], b[name as keyof typeof b]));
}
