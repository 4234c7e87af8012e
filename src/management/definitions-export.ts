import type { AccessView } from '../broker/access/access-control.ts';
import type {
  PermissionRecord,
  TopicPermissionRecord,
  UserRecord,
  VhostRecord,
} from '../broker/access/access-records.ts';
import { DEFAULT_EXCHANGE, RESERVED_PREFIX } from '../broker/names.ts';
import type { TopologyView } from '../broker/topology.ts';
import type { ExchangeRecord, QueueRecord } from '../broker/topology-records.ts';
import { accessRecords } from './access-rows.ts';
import { tableToJson } from './json-arguments.ts';
import { type BindingRow, bindingRows } from './topology-rows.ts';

/** The release of RabbitMQ whose documents these are like. */
const RABBITMQ_VERSION = '3.10.8';

export interface ExportSource {
  readonly access: AccessView;
  readonly topology: TopologyView;
  readonly clusterName: string;
  /** Of Warren. */
  readonly version: string;
}

/**
 * The pieces of a definitions document, short ones, as they are reached; what changes meanwhile is in it or not. Of one vhost: as
 * RabbitMQ writes those, without its name, and without users and permissions.
 */
export function* exportDefinitions(source: ExportSource, vhost: string | undefined): Generator<string> {
  const { access, topology } = source;
  const isWhole = vhost === undefined;
  yield heading(source, vhost);
  if (isWhole) {
    yield* list('users', entries(accessRecords(access, 'user'), userJson));
    yield* list('vhosts', entries(accessRecords(access, 'vhost'), vhostJson));
    yield* list('permissions', entries(accessRecords(access, 'permission'), permissionJson));
    yield* list('topic_permissions', entries(accessRecords(access, 'topic-permission'), permissionJson));
  }
  yield* list('parameters', limitParameters(access, vhost));
  if (isWhole) yield ',\n"global_parameters":[]';
  yield ',\n"policies":[]';
  const queues = topology.queues(vhost).filter(({ exclusiveOwner }) => exclusiveOwner === undefined);
  yield* list(
    'queues',
    map(queues, queue => queueJson(queue, isWhole)),
  );
  const exchanges = topology.exchanges(vhost).filter(({ name }) => !isPredeclared(name));
  yield* list(
    'exchanges',
    map(exchanges, exchange => exchangeJson(exchange, isWhole)),
  );
  yield* list(
    'bindings',
    map(lastingBindings(topology, vhost), binding => bindingJson(binding, isWhole)),
  );
  yield '\n}\n';
}

const isPredeclared = (exchange: string): boolean =>
  exchange === DEFAULT_EXCHANGE || exchange.startsWith(RESERVED_PREFIX);

function heading({ clusterName, version }: ExportSource, vhost: string | undefined): string {
  const about = {
    rabbit_version: RABBITMQ_VERSION,
    rabbitmq_version: RABBITMQ_VERSION,
    product_name: 'Warren',
    product_version: version,
    rabbitmq_definition_format: vhost === undefined ? 'cluster' : 'single_virtual_host',
    ...(vhost === undefined ? { original_cluster_name: clusterName } : { original_vhost_name: vhost }),
  };
  return `{\n${Object.entries(about)
    .map(([name, value]) => `"${name}":${JSON.stringify(value)}`)
    .join(',\n')}`;
}

/** Empty entries are only a pause. */
function* list(section: string, texts: Iterable<string>): Generator<string> {
  let isFirst = true;
  yield `,\n"${section}":[`;
  for (const entry of texts) {
    if (entry !== '') yield isFirst ? `\n${entry}` : `,\n${entry}`;
    else yield '';
    isFirst &&= entry === '';
  }
  yield ']';
}

/** The records of groups; behind each group an empty text, for a group without records takes time, too. */
function* entries<From>(groups: Iterable<readonly From[]>, toJson: (item: From) => string): Generator<string> {
  for (const group of groups) {
    yield* map(group, toJson);
    yield '';
  }
}

function* map<From>(items: Iterable<From>, toJson: (item: From) => string): Generator<string> {
  for (const item of items) yield toJson(item);
}

const permissionJson = ({ kind, ...permission }: PermissionRecord | TopicPermissionRecord): string =>
  JSON.stringify(permission);

function userJson({ user, password, tags, limits }: UserRecord): string {
  return JSON.stringify({
    name: user,
    password_hash: password?.hash ?? '',
    hashing_algorithm: password?.hashing ?? 'rabbit_password_hashing_sha256',
    tags,
    limits: { 'max-connections': limits.connectionsMax, 'max-channels': limits.channelsMax },
  });
}

function vhostJson(record: VhostRecord): string {
  const { vhost, description, tags } = record;
  const limits = Object.entries(limitsOf(record)).filter(([, limit]) => limit !== undefined);
  return JSON.stringify({ name: vhost, description, tags, limits, metadata: { description, tags } });
}

const limitsOf = ({ limits }: VhostRecord) => ({
  'max-connections': limits.connectionsMax,
  'max-queues': limits.queuesMax,
});

/** RabbitMQ takes limits of vhosts as parameters. */
function* limitParameters(access: AccessView, only: string | undefined): Generator<string> {
  for (const records of accessRecords(access, 'vhost')) {
    for (const record of records) {
      const { vhost } = record;
      const value = limitsOf(record);
      const hasLimits = Object.values(value).some(limit => limit !== undefined);
      if (!hasLimits || (only !== undefined && vhost !== only)) continue;
      const place = only === undefined ? { vhost } : {};
      yield JSON.stringify({ ...place, component: 'vhost-limits', name: 'limits', value });
    }
    yield '';
  }
}

/** The fields of an object, with arguments that keep all digits of their numbers. */
function entryJson(fields: object, table: QueueRecord['arguments']): string {
  return `${JSON.stringify(fields).slice(0, -1)},"arguments":${tableToJson(table)}}`;
}

function queueJson({ vhost, name, durable, autoDelete, ...queue }: QueueRecord, isWhole: boolean): string {
  const place = isWhole ? { vhost } : {};
  return entryJson({ name, ...place, durable, auto_delete: autoDelete }, queue.arguments);
}

function exchangeJson(exchange: ExchangeRecord, isWhole: boolean): string {
  const { vhost, name, type, durable, autoDelete, internal } = exchange;
  const place = isWhole ? { vhost } : {};
  return entryJson({ name, ...place, type, durable, auto_delete: autoDelete, internal }, exchange.arguments);
}

function bindingJson(binding: BindingRow, isWhole: boolean): string {
  const { vhost, source, destination, destinationType, routingKey } = binding;
  const place = isWhole ? { vhost } : {};
  const ends = { source, ...place, destination, destination_type: destinationType, routing_key: routingKey };
  return entryJson(ends, binding.arguments);
}

/** Exclusive queues end with their connections. */
function* lastingBindings(topology: TopologyView, vhost: string | undefined): Iterable<BindingRow> {
  for (const row of bindingRows(topology, vhost)) if (row.queue?.exclusiveOwner === undefined) yield row;
}
