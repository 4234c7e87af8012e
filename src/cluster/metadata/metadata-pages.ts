import type { AccessControl } from '../../broker/access/access-control.ts';
import type { Topology } from '../../broker/topology.ts';
import type { BindingRecord, ExchangeRecord, QueueRecord, TopologyChange } from '../../broker/topology-records.ts';
import { assert } from '../../lib/assert.ts';
import { ByteReader, type ByteWriter } from '../../lib/bytes.ts';
import { type NodeId, nodeId, queueId } from '../../lib/ids.ts';
import { PageTracker, StatePage } from '../../queue/checkpoint-pages.ts';
import type { CheckpointCut, CheckpointScope, Page, PageKey } from '../../raft/checkpoint.ts';
import type { EntryId } from '../../raft/messages.ts';
import { readAccessRecord, writeAccessRecord } from './access-codec.ts';
import type { MemberList } from './member-list.ts';
import { readBinding, readExchange, readQueue, writeBinding, writeExchange, writeQueue } from './record-codec.ts';
import type { RequestSessions } from './request-sessions.ts';
import type { ShardMap } from './shard-map.ts';

/** What a page of group 0's state holds. On disk for ever. */
export const MetadataPageKind = {
  cluster: 1,
  members: 2,
  shards: 3,
  vhosts: 4,
  exchanges: 5,
  queues: 6,
  bindings: 7,
  /** What one node asked for; the page's number is the node's id. */
  session: 8,
  /** Users, vhosts and permissions whose keys fall into one group; the page's number is the group's. */
  access: 9,
} as const;
type Kind = (typeof MetadataPageKind)[keyof typeof MetadataPageKind];

/** Exchanges, queues or bindings of one page, by id: a declare changes one page of its kind. */
export const RECORDS_PER_PAGE = 64;
/** Of the whole state; raised when behaviour changes (R22). */
export const METADATA_VERSION = 1;

export interface MetadataState {
  /** Empty: the cluster was not formed yet. */
  clusterId: string;
  readonly members: MemberList;
  readonly shards: ShardMap;
  readonly topology: Topology;
  readonly access: AccessControl;
  readonly sessions: RequestSessions;
}

class EncodedPage extends StatePage {
  readonly pageKey: PageKey;
  readonly #encode: (out: ByteWriter) => void;

  constructor(kind: Kind, number: number, encode: (out: ByteWriter) => void) {
    super();
    this.pageKey = { space: 0, kind, number };
    this.#encode = encode;
  }

  encode(out: ByteWriter): void {
    this.#encode(out);
  }
}

/** A page of records that still exist, and how many do. */
interface RecordPage {
  readonly page: StatePage;
  count: number;
}

type RecordKind = 'exchanges' | 'queues' | 'bindings';

/**
 * Cuts the state of group 0 into pages and remembers which of them changed (R14). Whoever changes the state tells first.
 * A page of records exists from the first id that was given in it until all its ids were given and all its records are gone.
 */
export class MetadataPages {
  readonly #state: MetadataState;
  readonly #tracker = new PageTracker();
  readonly #single: ReadonlyMap<Kind, StatePage>;
  readonly #sessions = new Map<NodeId, StatePage>();
  readonly #access = new Map<number, StatePage>();
  readonly #records: Readonly<Record<RecordKind, Map<number, RecordPage>>> = {
    exchanges: new Map(),
    queues: new Map(),
    bindings: new Map(),
  };

  constructor(state: MetadataState) {
    this.#state = state;
    const single = (kind: Kind, encode: (out: ByteWriter) => void): [Kind, StatePage] => [
      kind,
      new EncodedPage(kind, 0, encode),
    ];
    this.#single = new Map([
      single(MetadataPageKind.cluster, out => this.#encodeCluster(out)),
      single(MetadataPageKind.members, out => state.members.encode(out)),
      single(MetadataPageKind.shards, out => state.shards.encode(out)),
      single(MetadataPageKind.vhosts, out => encodeVhosts(out, state.topology)),
    ]);
  }

  /** The state begins empty, and no checkpoint knows it yet: instead of `restore`. */
  begin(): void {
    for (const page of this.#single.values()) this.#tracker.touch(page);
  }

  cut(scope: CheckpointScope, at: EntryId): CheckpointCut {
    return this.#tracker.open(scope, at, () => this.#all());
  }

  /** The cluster's id, the members or the shard map are about to change. */
  beforeClusterChange(kind: 'cluster' | 'members' | 'shards'): void {
    this.#tracker.touch(this.#single.get(MetadataPageKind[kind])!);
  }

  beforeSessionChange(node: NodeId): void {
    this.#tracker.touch(this.#sessionPage(node));
  }

  beforeAccessChange(bucket: number): void {
    this.#tracker.touch(this.#accessPage(bucket));
  }

  beforeTopologyChange(change: TopologyChange): void {
    switch (change.kind) {
      case 'vhost-declared':
      case 'vhost-removed':
        this.#tracker.touch(this.#single.get(MetadataPageKind.vhosts)!);
        break;
      case 'exchange-declared':
        this.#beforeAdded('exchanges', change.exchange.id);
        break;
      case 'exchange-removed':
        this.#beforeRemoved('exchanges', change.exchange.id, this.#state.topology.counters.nextExchange);
        break;
      case 'queue-declared':
        this.#beforeAdded('queues', change.queue.id);
        break;
      case 'queue-removed':
        this.#beforeRemoved('queues', change.queue.id, this.#state.topology.counters.nextQueue);
        break;
      case 'bound':
        this.#beforeAdded('bindings', change.binding.id);
        break;
      case 'unbound':
        this.#beforeRemoved('bindings', change.binding.id, this.#state.topology.counters.nextBinding);
        break;
    }
  }

  /** Fills the empty state. The pages are those of one checkpoint, in any order. */
  restore(pages: readonly Page[]): void {
    const { topology, members, shards, sessions } = this.#state;
    const readers = new Map<number, ByteReader>();
    const records: { exchanges: ExchangeRecord[]; queues: QueueRecord[]; bindings: BindingRecord[] } = {
      exchanges: [],
      queues: [],
      bindings: [],
    };
    const present = pages.filter(page => page.bytes !== undefined);
    for (const { key, bytes } of present.sort((a, b) => a.key.number - b.key.number)) {
      const reader = new ByteReader(bytes!);
      if (key.kind === MetadataPageKind.exchanges) this.#readRecords(key, reader, records.exchanges, readExchange);
      else if (key.kind === MetadataPageKind.queues) this.#readRecords(key, reader, records.queues, readQueue);
      else if (key.kind === MetadataPageKind.bindings) this.#readRecords(key, reader, records.bindings, readBinding);
      else if (key.kind === MetadataPageKind.access) this.#readAccess(key, reader);
      else if (key.kind === MetadataPageKind.session) sessions.restore(this.#restoredSession(key), reader);
      else readers.set(key.kind, reader);
    }
    const single = (kind: Kind): ByteReader => {
      const reader = readers.get(kind);
      assert(reader !== undefined, () => `a checkpoint of group 0 without its page of kind ${kind}`);
      this.#tracker.restored(this.#single.get(kind)!);
      return reader;
    };
    members.restore(single(MetadataPageKind.members));
    shards.restore(single(MetadataPageKind.shards));
    const vhosts = single(MetadataPageKind.vhosts);
    const counters = this.#readCluster(single(MetadataPageKind.cluster));
    const vhostNames = Array.from({ length: vhosts.u32() }, () => vhosts.string());
    topology.restore({ vhosts: vhostNames, ...records, counters });
  }

  #encodeCluster(out: ByteWriter): void {
    const { nextExchange, nextQueue, nextBinding } = this.#state.topology.counters;
    out.u16(METADATA_VERSION);
    out.string(this.#state.clusterId);
    out.u48(nextQueue);
    out.u48(nextExchange);
    out.u48(nextBinding);
  }

  #readCluster(reader: ByteReader): Topology['counters'] {
    const version = reader.u16();
    assert(version === METADATA_VERSION, () => `state of group 0 of version ${version}`);
    this.#state.clusterId = reader.string();
    return { nextQueue: queueId(reader.u48()), nextExchange: reader.u48(), nextBinding: reader.u48() };
  }

  *#all(): Iterable<StatePage> {
    yield* this.#single.values();
    yield* this.#sessions.values();
    yield* this.#access.values();
    for (const pages of Object.values(this.#records)) for (const { page } of pages.values()) yield page;
  }

  #beforeAdded(kind: RecordKind, id: number): void {
    // The counters stand on the page of the cluster.
    this.beforeClusterChange('cluster');
    const record = this.#recordPage(kind, Math.floor(id / RECORDS_PER_PAGE));
    this.#tracker.touch(record.page);
    record.count++;
  }

  #beforeRemoved(kind: RecordKind, id: number, nextId: number): void {
    const number = Math.floor(id / RECORDS_PER_PAGE);
    const record = this.#recordPage(kind, number);
    this.#tracker.touch(record.page);
    record.count--;
    if (record.count > 0 || nextId < (number + 1) * RECORDS_PER_PAGE) return;
    this.#tracker.remove(record.page);
    this.#records[kind].delete(number);
  }

  #recordPage(kind: RecordKind, number: number): RecordPage {
    let record = this.#records[kind].get(number);
    if (record === undefined) {
      assert(number < 2 ** 32, () => `too many ${kind} were declared`);
      const encode = (out: ByteWriter) => this.#encodeRecords(kind, number, out);
      record = { page: new EncodedPage(MetadataPageKind[kind], number, encode), count: 0 };
      this.#records[kind].set(number, record);
    }
    return record;
  }

  #encodeRecords(kind: RecordKind, number: number, out: ByteWriter): void {
    const { topology } = this.#state;
    for (let id = number * RECORDS_PER_PAGE; id < (number + 1) * RECORDS_PER_PAGE; id++) {
      if (kind === 'exchanges') writeIfThere(out, topology.exchangeById(id), writeExchange);
      else if (kind === 'queues') writeIfThere(out, topology.queueById(queueId(id)), writeQueue);
      else writeIfThere(out, topology.bindingById(id), writeBinding);
    }
  }

  #readRecords<T>(key: PageKey, reader: ByteReader, into: T[], read: (reader: ByteReader) => T): void {
    const kind = KIND_NAMES[key.kind as keyof typeof KIND_NAMES];
    const record = this.#recordPage(kind, key.number);
    this.#tracker.restored(record.page);
    while (reader.remaining > 0) {
      into.push(read(reader));
      record.count++;
    }
  }

  #restoredSession(key: PageKey): NodeId {
    const node = nodeId(key.number);
    this.#tracker.restored(this.#sessionPage(node));
    return node;
  }

  #readAccess(key: PageKey, reader: ByteReader): void {
    this.#tracker.restored(this.#accessPage(key.number));
    while (reader.remaining > 0) this.#state.access.restore(readAccessRecord(reader));
  }

  #accessPage(bucket: number): StatePage {
    let page = this.#access.get(bucket);
    if (page === undefined) {
      page = new EncodedPage(MetadataPageKind.access, bucket, out => {
        for (const record of this.#state.access.inBucket(bucket)) writeAccessRecord(out, record);
      });
      this.#access.set(bucket, page);
    }
    return page;
  }

  #sessionPage(node: NodeId): StatePage {
    let page = this.#sessions.get(node);
    if (page === undefined) {
      page = new EncodedPage(MetadataPageKind.session, node, out => this.#state.sessions.encode(out, node));
      this.#sessions.set(node, page);
    }
    return page;
  }
}

const KIND_NAMES = {
  [MetadataPageKind.exchanges]: 'exchanges',
  [MetadataPageKind.queues]: 'queues',
  [MetadataPageKind.bindings]: 'bindings',
} as const satisfies Record<number, RecordKind>;

function encodeVhosts(out: ByteWriter, topology: Topology): void {
  const vhosts = topology.vhosts();
  out.u32(vhosts.length);
  for (const vhost of vhosts) out.string(vhost);
}

function writeIfThere<T>(out: ByteWriter, record: T | undefined, write: (out: ByteWriter, record: T) => void): void {
  if (record !== undefined) write(out, record);
}
