import type { BrokerError } from '../broker-error.ts';
import type { AccessView } from './access-control.ts';

/** What limits count. */
export type LoadKind = 'vhost-connections' | 'user-connections' | 'user-channels';

/** One count, by what it counts. */
export interface LoadCount {
  readonly kind: LoadKind;
  readonly name: string;
  readonly count: number;
}

/** Connections and channels of this node, by vhost and user, and with them those of the others. */
export class NodeLoad {
  readonly #counts: Readonly<Record<LoadKind, Map<string, number>>> = {
    'vhost-connections': new Map(),
    'user-connections': new Map(),
    'user-channels': new Map(),
  };
  /** Counts that changed since they were taken last. */
  #changed = new Map<string, Omit<LoadCount, 'count'>>();
  readonly #othersCount: (kind: LoadKind, name: string) => number;

  /** `othersCount`: what the other nodes said last. */
  constructor(othersCount: (kind: LoadKind, name: string) => number) {
    this.#othersCount = othersCount;
  }

  add(kind: LoadKind, name: string, by: 1 | -1): void {
    const counts = this.#counts[kind];
    const count = (counts.get(name) ?? 0) + by;
    if (count === 0) counts.delete(name);
    else counts.set(name, count);
    this.#changed.set(`${kind}/${name}`, { kind, name });
  }

  /** In the cluster, as far as this node knows. */
  total(kind: LoadKind, name: string): number {
    return this.#count(kind, name) + this.#othersCount(kind, name);
  }

  #count(kind: LoadKind, name: string): number {
    return this.#counts[kind].get(name) ?? 0;
  }

  all(): LoadCount[] {
    const kinds = Object.keys(this.#counts) as LoadKind[];
    return kinds.flatMap(kind => [...this.#counts[kind]].map(([name, count]) => ({ kind, name, count })));
  }

  takeChanged(): LoadCount[] {
    if (this.#changed.size === 0) return [];
    const changed = this.#changed;
    this.#changed = new Map();
    return [...changed.values()].map(({ kind, name }) => ({ kind, name, count: this.#count(kind, name) }));
  }
}

/** Why one more connection is refused, in RabbitMQ's words. Limits count the whole cluster. */
export function checkConnectionLimits(
  { user, vhost }: { readonly user: string; readonly vhost: string },
  access: AccessView,
  load: NodeLoad,
): BrokerError | undefined {
  const ofVhost = access.vhost(vhost)?.limits.connectionsMax;
  if (ofVhost !== undefined && load.total('vhost-connections', vhost) >= ofVhost) {
    const text = `access to vhost '${vhost}' refused for user '${user}': connection limit (${ofVhost}) is reached`;
    return { code: 'access-refused', text };
  }
  const ofUser = access.user(user)?.limits.connectionsMax;
  if (ofUser === undefined || load.total('user-connections', user) < ofUser) return undefined;
  const text = `connection refused for user '${user}': user connection limit (${ofUser}) is reached`;
  return { code: 'access-refused', text };
}

export function checkChannelLimit(user: string, access: AccessView, load: NodeLoad): BrokerError | undefined {
  const channelsMax = access.user(user)?.limits.channelsMax;
  if (channelsMax === undefined || load.total('user-channels', user) < channelsMax) return undefined;
  const reached = `has reached the maximum allowed user limit of (${channelsMax})`;
  return { code: 'access-refused', text: `number of channels opened for user '${user}' ${reached}` };
}
