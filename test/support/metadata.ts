import type { BindRequest, DeclareExchange, DeclareQueue } from '../../src/broker/declarations.ts';
import { EMPTY_TABLE, type FieldTable, type FieldValue } from '../../src/broker/field-table.ts';
import type { Routable } from '../../src/broker/route-collector.ts';
import { Topology } from '../../src/broker/topology.ts';
import type { ConnectionOwner, QueueHome, QueueRecord, TopologyChange } from '../../src/broker/topology-records.ts';
import {
  encodeRequest,
  METADATA_HEAD_BYTES,
  writeMetadataHead,
} from '../../src/cluster/metadata/metadata-command-codec.ts';
import type { MetadataCommand, MetadataRequest } from '../../src/cluster/metadata/metadata-commands.ts';
import { bootstrap, registerStart } from '../../src/cluster/metadata/metadata-commands.ts';
import { MetadataMachine } from '../../src/cluster/metadata/metadata-machine.ts';
import type { MetadataEffects, MetadataReply } from '../../src/cluster/metadata/metadata-replies.ts';
import { initialShards } from '../../src/cluster/metadata/placement.ts';
import { groupId, incarnation, nodeId } from '../../src/lib/ids.ts';
import type { CheckpointCut, CheckpointScope, Page } from '../../src/raft/checkpoint.ts';

export const owner = (connection: number, node = 1, started = 1): ConnectionOwner => ({
  node: nodeId(node),
  incarnation: incarnation(started),
  connection,
});

export const table = (fields: Record<string, FieldValue>): FieldTable => new Map(Object.entries(fields));
export const text = (value: string): FieldValue => ({ type: 'string', value });
export const int = (value: number): FieldValue => ({ type: 'int32', value });

export const exchangeNamed = (name: string, type = 'direct', more: Partial<DeclareExchange> = {}): DeclareExchange => ({
  vhost: '/',
  name,
  type,
  durable: true,
  autoDelete: false,
  internal: false,
  arguments: EMPTY_TABLE,
  ...more,
});

export const queueNamed = (name: string, more: Partial<DeclareQueue> = {}): DeclareQueue => ({
  vhost: '/',
  name,
  serverNamed: false,
  durable: true,
  exclusive: false,
  autoDelete: false,
  arguments: EMPTY_TABLE,
  owner: owner(1),
  ...more,
});

export const binding = (
  source: string,
  queue: string,
  routingKey = '',
  more: Partial<BindRequest> = {},
): BindRequest => ({
  vhost: '/',
  source,
  destination: { kind: 'queue', name: queue },
  routingKey,
  arguments: EMPTY_TABLE,
  owner: owner(1),
  ...more,
});

/** From exchange to exchange. */
export const link = (source: string, name: string, routingKey = '', more: Partial<BindRequest> = {}): BindRequest =>
  binding(source, '', routingKey, { destination: { kind: 'exchange', name }, ...more });

/** A message as routers see it. */
export const routable = (routingKey: string, more: Partial<Routable> = {}): Routable => ({
  routingKey,
  moreRoutingKeys: [],
  headers: () => undefined,
  property: () => undefined,
  ...more,
});

/** A topology with vhost `/`, and the changes that it announced. */
export function emptyTopology(): { readonly topology: Topology; readonly changes: TopologyChange[] } {
  const changes: TopologyChange[] = [];
  const topology = new Topology({ beforeChange: change => changes.push(change) });
  topology.declareVhost('/');
  changes.length = 0;
  return { topology, changes };
}

const shardOne: QueueHome = { kind: 'shard', group: groupId(1) };

export function declareQueueIn(topology: Topology, name: string, more: Partial<DeclareQueue> = {}): QueueRecord {
  const result = topology.declareQueue(queueNamed(name, more), () => ({ ok: true, value: shardOne }));
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value.queue;
}

/** The payload of one entry. */
export function entryOf(...requests: MetadataRequest[]): Uint8Array {
  const batches = requests.map(encodeRequest);
  const payload = new Uint8Array(batches.reduce((bytes, batch) => bytes + batch.length, METADATA_HEAD_BYTES));
  writeMetadataHead(payload);
  let position = METADATA_HEAD_BYTES;
  for (const batch of batches) {
    payload.set(batch, position);
    position += batch.length;
  }
  return payload;
}

/** Applies entries one after the other. */
export class MetadataLog {
  machine: MetadataMachine;

  constructor(machine = new MetadataMachine()) {
    this.machine = machine;
  }

  apply(...requests: MetadataRequest[]): MetadataEffects {
    return this.machine.apply({ index: this.machine.applied + 1, term: 1 }, entryOf(...requests));
  }

  /** One command that asks for no recognition of repeats. */
  run(command: MetadataCommand): MetadataReply {
    return this.apply({ id: undefined, command }).answers[0]!.reply;
  }
}

/** Nodes 1 to n, started once each, with two shards per node. */
export function formedCluster(nodeCount = 3): MetadataLog {
  const log = new MetadataLog();
  const ids = Array.from({ length: nodeCount }, (_, i) => nodeId(i + 1));
  log.run(
    bootstrap({
      clusterId: 'burrow',
      members: ids.map(id => ({
        id,
        name: `warren-${id}`,
        directoryId: `directory-${id}`,
        address: `warren-${id}:25672`,
      })),
      shards: initialShards(ids, 2),
    }),
  );
  for (const id of ids) log.run(registerStart({ node: id, directoryId: `directory-${id}`, token: `first-${id}` }));
  return log;
}

/** The pages of a cut, and nothing open afterwards. */
export function pagesOf(machine: MetadataMachine, scope: CheckpointScope): Page[] {
  const cut = machine.cut(scope, { term: 1, index: machine.applied });
  const pages = restOf(cut);
  cut.completed();
  return pages;
}

/** What the cut has not given out yet. */
export function restOf(cut: CheckpointCut): Page[] {
  const pages: Page[] = [];
  for (let next = cut.nextPages(500); next.length > 0; next = cut.nextPages(500)) pages.push(...next);
  return pages;
}

/** Another machine, as a node has it that gets a snapshot of this one. */
export const restoredFrom = (machine: MetadataMachine): MetadataMachine =>
  new MetadataMachine({ pages: pagesOf(machine, 'all'), at: machine.applied });

/** Comparable: the state of a machine as its pages say it. */
export const stateOf = (machine: MetadataMachine): Record<string, string> => asRecord(pagesOf(machine, 'all'));

export function asRecord(pages: readonly Page[]): Record<string, string> {
  const entries = pages
    .filter(page => page.bytes !== undefined)
    .map(({ key, bytes }) => [`${key.space}/${key.kind}/${key.number}`, Array.from(bytes!).join(' ')] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
