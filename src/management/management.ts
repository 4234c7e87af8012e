import type { AccessRecord, UserLimits, VhostLimits } from '../broker/access/access-records.ts';
import type { AccessAdministration } from '../broker/access/administration.ts';
import type { BrokerSession, Result } from '../broker/broker.ts';
import { failed } from '../broker/broker-error.ts';
import type { ClientList, ClientRows, ConsumerRow } from '../broker/client-listing.ts';
import type { ClusterGateway } from '../broker/gateway.ts';
import type { ConnectionOwner, ExchangeRecord, NodeStart, QueueRecord } from '../broker/topology-records.ts';
import type { ConsumerId, NodeId, QueueId } from '../lib/ids.ts';
import { type AccessRecordOf, accessRecords } from './access-rows.ts';
import { parseConnectionId } from './connection-id.ts';
import type { ImportResult } from './definitions.ts';
import { exportDefinitions } from './definitions-export.ts';
import { DefinitionsImporter } from './definitions-import.ts';
import { parseDefinitions } from './definitions-parser.ts';
import { inPages, rowBytes } from './pages.ts';
import { type BindingRow, bindingRows, defaultBindingRows } from './topology-rows.ts';

/** Characters of one piece of an export: made in a few milliseconds (R10). */
const EXPORT_PIECE_LENGTH = 64 * 1024;
/** Groups of users, permissions and so on that are looked through in a slice of the event loop: 1,000 records each at most. */
const GROUPS_PER_TURN = 8;
/** Of one part of an import: taken apart in as many. */
const IMPORT_LENGTH_MAX = 1024 * 1024;

export interface QueueCounts {
  /** The node that answered for the queue. */
  readonly node: NodeId;
  readonly ready: number;
  readonly unacked: number;
  readonly consumers: number;
  readonly bytes: number;
}

/** What other nodes have to be asked for. */
export interface ClusterView {
  nodeName(node: NodeId): string | undefined;
  clients<List extends ClientList>(
    list: List,
  ): AsyncIterable<{ readonly rows: readonly ClientRows[List][]; readonly silentNode: string | undefined }>;
  queueCounts(queues: readonly QueueId[]): Promise<ReadonlyMap<QueueId, QueueCounts>>;
  /** Of queues that serve one consumer at a time: who it is. */
  singleActive(
    queues: readonly QueueId[],
  ): Promise<ReadonlyMap<QueueId, NodeStart & { readonly consumer: ConsumerId }>>;
  closeConnection(owner: ConnectionOwner, reason: string): Promise<'closed' | 'unknown' | 'unreachable'>;
}

export interface ManagementDependencies {
  readonly administration: AccessAdministration;
  readonly gateway: Pick<ClusterGateway, 'self' | 'access' | 'topology' | 'declareExchange' | 'declareQueue' | 'bind'>;
  readonly cluster: ClusterView;
  /** Asks for no permission: whoever calls has asked before. */
  readonly openSession: (vhost: string) => BrokerSession;
  /** Lets other work of the event loop have its turn. */
  readonly nextTurn: () => Promise<void>;
  readonly clusterName: string;
  /** Of Warren. */
  readonly version: string;
}

export interface QueueRow {
  readonly record: QueueRecord;
  /** Undefined while nobody answers for the queue. */
  readonly counts: QueueCounts | undefined;
  readonly leader: string | undefined;
}

export interface ClientPage<List extends ClientList> {
  readonly rows: readonly ClientRows[List][];
  readonly silentNode: string | undefined;
}

/** What operators see and do, for the command line, gRPC and HTTP: lists of the whole cluster in pages, and changes. */
export class Management {
  readonly #deps: ManagementDependencies;

  constructor(deps: ManagementDependencies) {
    this.#deps = deps;
  }

  get administration(): AccessAdministration {
    return this.#deps.administration;
  }

  nodeName(node: NodeId): string {
    return this.#deps.cluster.nodeName(node) ?? `node ${node}`;
  }

  // ---- Lists, in no particular order ----

  /** Users, vhosts, permissions or topic permissions. */
  async *accessRecords<Kind extends AccessRecord['kind']>(kind: Kind): AsyncGenerator<readonly AccessRecordOf<Kind>[]> {
    let groups = 0;
    for (const records of accessRecords(this.#deps.gateway.access, kind)) {
      yield* inPages(records, this.#deps.nextTurn);
      if (++groups % GROUPS_PER_TURN === 0) await this.#deps.nextTurn();
    }
  }

  async *clients<List extends ClientList>(list: List, vhost?: string): AsyncGenerator<ClientPage<List>> {
    for await (const { rows, silentNode } of this.#deps.cluster.clients(list)) {
      yield { rows: vhost === undefined ? rows : rows.filter(row => row.vhost === vhost), silentNode };
    }
  }

  /** Whether a consumer is the one that its queue serves is known to the queue alone. */
  async *consumers(vhost?: string): AsyncGenerator<ClientPage<'consumers'>> {
    for await (const { rows, silentNode } of this.clients('consumers', vhost)) {
      const queues = new Set(rows.flatMap(({ singleActiveOf }) => singleActiveOf ?? []));
      const active = queues.size === 0 ? undefined : await this.#deps.cluster.singleActive([...queues]);
      const isServed = ({ owner, consumer, singleActiveOf }: ConsumerRow): boolean => {
        if (singleActiveOf === undefined) return true;
        const one = active?.get(singleActiveOf);
        return one?.node === owner.node && one.incarnation === owner.incarnation && one.consumer === consumer;
      };
      yield { rows: rows.map(row => ({ ...row, active: row.active && isServed(row) })), silentNode };
    }
  }

  async *queues(vhost?: string): AsyncGenerator<readonly QueueRow[]> {
    const { gateway, cluster, nextTurn } = this.#deps;
    for await (const records of inPages(gateway.topology.queues(vhost), nextTurn, rowBytes)) {
      const counts = await cluster.queueCounts(records.map(({ id }) => id));
      yield records.map(record => {
        const found = counts.get(record.id);
        const home = record.home.kind === 'volatile' ? record.home.node : found?.node;
        return { record, counts: found, leader: home === undefined ? undefined : this.nodeName(home) };
      });
    }
  }

  exchanges(vhost?: string): AsyncIterable<readonly ExchangeRecord[]> {
    return inPages(this.#deps.gateway.topology.exchanges(vhost), this.#deps.nextTurn, rowBytes);
  }

  async *bindings(vhost?: string): AsyncGenerator<readonly BindingRow[]> {
    const { nextTurn } = this.#deps;
    const { topology } = this.#deps.gateway;
    yield* inPages(defaultBindingRows(topology, vhost), nextTurn, rowBytes);
    yield* inPages(bindingRows(topology, vhost), nextTurn, rowBytes);
  }

  // ---- Changes ----

  /** Of the limits given; the others stay as they are. Undefined takes one away. */
  async changeUserLimits(user: string, change: Partial<UserLimits>): Promise<Result<void>> {
    const record = this.administration.view.user(user);
    if (record === undefined) return failed({ code: 'no-user', user });
    return this.administration.setUserLimits(user, { ...record.limits, ...change });
  }

  async changeVhostLimits(vhost: string, change: Partial<VhostLimits>): Promise<Result<void>> {
    const record = this.administration.view.vhost(vhost);
    if (record === undefined) return failed({ code: 'no-vhost', vhost });
    return this.administration.setVhostLimits(vhost, { ...record.limits, ...change });
  }

  async putVhost(change: {
    readonly vhost: string;
    readonly mustBeNew: boolean;
    readonly description?: string | undefined;
    readonly tags?: readonly string[] | undefined;
  }): Promise<Result<void>> {
    const { vhost, mustBeNew } = change;
    const current = this.administration.view.vhost(vhost);
    if (current === undefined && !mustBeNew) return failed({ code: 'no-vhost', vhost });
    if (current !== undefined && mustBeNew) {
      return failed({ code: 'exists', text: `vhost '${vhost}' already exists` });
    }
    const description = change.description ?? current?.description ?? '';
    return this.administration.putVhost({ vhost, description, tags: change.tags ?? current?.tags ?? [] });
  }

  /** `unreachable`: its node does not answer. */
  async closeConnection(id: string, reason: string): Promise<'closed' | 'malformed' | 'unknown' | 'unreachable'> {
    const owner = parseConnectionId(id);
    return owner === undefined ? 'malformed' : this.#deps.cluster.closeConnection(owner, reason);
  }

  purgeQueue(vhost: string, queue: string): Promise<Result<{ readonly messageCount: number }>> {
    return this.#deps.openSession(vhost).purgeQueue(queue);
  }

  /** One that is not there is an error, unlike for clients. */
  async deleteQueue(request: {
    readonly vhost: string;
    readonly name: string;
    readonly ifUnused: boolean;
    readonly ifEmpty: boolean;
  }): Promise<Result<{ readonly messageCount: number }>> {
    const { vhost, name } = request;
    const { topology } = this.#deps.gateway;
    if (topology.hasVhost(vhost) && topology.queue(vhost, name) === undefined) {
      return failed({ code: 'no-queue', vhost, name });
    }
    return this.#deps.openSession(vhost).deleteQueue(request);
  }

  // ---- Definitions ----

  /** A document in pieces, of one vhost or of the cluster. */
  async *exportDefinitions(vhost: string | undefined): AsyncGenerator<string> {
    const { gateway, nextTurn, clusterName, version } = this.#deps;
    const { access, topology } = gateway;
    let text = '';
    let groups = 0;
    for (const piece of exportDefinitions({ access, topology, clusterName, version }, vhost)) {
      text += piece;
      if (piece === '') groups++;
      if (text.length < EXPORT_PIECE_LENGTH && groups < GROUPS_PER_TURN) continue;
      if (text !== '') yield text;
      text = '';
      groups = 0;
      await nextTurn();
    }
    yield text;
  }

  /** A document, or a part of it, as text. What is wrong in it is found before anything is changed. */
  async importDefinitions(text: string, vhost: string | undefined): Promise<Result<readonly ImportResult[]>> {
    if (text.length > IMPORT_LENGTH_MAX) {
      const told = `a part of definitions with ${text.length} characters; at most ${IMPORT_LENGTH_MAX}`;
      return failed({ code: 'invalid', text: told });
    }
    const document = parseJson(text);
    if (document === undefined) return failed({ code: 'invalid', text: 'the definitions are no JSON' });
    const parsed = parseDefinitions(document, { vhost });
    if (!parsed.ok) return failed({ code: 'invalid', text: parsed.problems.join('; ') });
    const { administration, gateway } = this.#deps;
    const importer = new DefinitionsImporter({ administration, gateway });
    return { ok: true, value: await importer.import(parsed.definitions) };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
