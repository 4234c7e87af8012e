import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type {
  PermissionRecord,
  TopicPermissionRecord,
  UserRecord,
  VhostRecord,
} from '../../broker/access/access-records.ts';
import type { ChannelRow, ConnectionRow, ConsumerRow } from '../../broker/client-listing.ts';
import { readTable } from '../../broker/field-table-codec.ts';
import type { ExchangeRecord } from '../../broker/topology-records.ts';
import {
  BindingSchema,
  ChannelSchema,
  ConnectionSchema,
  ConsumerSchema,
  ExchangeSchema,
  PermissionSchema,
  QueueSchema,
  TopicPermissionSchema,
  UserSchema,
  VhostSchema,
} from '../../gen/warren/v1/admin_pb.ts';
import { ByteReader } from '../../lib/bytes.ts';
import { connectionId } from '../../management/connection-id.ts';
import type { QueueRow } from '../../management/management.ts';
import type { BindingRow } from '../../management/topology-rows.ts';
import { fromFieldTable } from './field-mapping.ts';

type NodeName = (node: ConnectionRow['owner']['node']) => string;

/** Protobuf has no undefined: what is not known is absent. */
type Given<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

function given<Fields extends object>(fields: Fields): Given<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Given<Fields>;
}

type LimitsInit = NonNullable<MessageInitShape<typeof UserSchema>['limits']>;

export function userRow({ user, tags, password, limits }: UserRecord) {
  const { connectionsMax, channelsMax } = limits;
  const known: LimitsInit = given({ maxConnections: connectionsMax, maxChannels: channelsMax });
  return create(UserSchema, { name: user, tags: [...tags], hasPassword: password !== undefined, limits: known });
}

export function vhostRow({ vhost, description, tags, limits, isLeaving }: VhostRecord) {
  const { connectionsMax, queuesMax } = limits;
  const known: LimitsInit = given({ maxConnections: connectionsMax, maxQueues: queuesMax });
  return create(VhostSchema, { name: vhost, description, tags: [...tags], limits: known, isLeaving });
}

export const permissionRow = ({ user, vhost, configure, write, read }: PermissionRecord) =>
  create(PermissionSchema, { user, vhost, configure, write, read });

export const topicPermissionRow = ({ user, vhost, exchange, write, read }: TopicPermissionRecord) =>
  create(TopicPermissionSchema, { user, vhost, exchange, write, read });

export function connectionRow(row: ConnectionRow, nodeName: NodeName) {
  const { owner, user, vhost, protocol, peerAddress, clientName, details, state, channels, connectedAtMs } = row;
  return create(ConnectionSchema, {
    id: connectionId(owner),
    node: nodeName(owner.node),
    user,
    vhost,
    protocol,
    peerAddress,
    ...given({
      clientName,
      product: details?.product,
      version: details?.version,
      platform: details?.platform,
      heartbeatSeconds: details?.heartbeatSeconds,
      channelMax: details?.channelMax,
      frameMax: details?.frameBytesMax,
    }),
    state,
    channels,
    connectedAtMs: BigInt(Math.trunc(connectedAtMs)),
  });
}

export function channelRow({ owner, channel, ...row }: ChannelRow, nodeName: NodeName) {
  return create(ChannelSchema, {
    connection: connectionId(owner),
    number: channel,
    node: nodeName(owner.node),
    ...row,
  });
}

export function consumerRow({ owner, autoAck, arguments: encoded, ...row }: ConsumerRow) {
  const { vhost, queue, tag, channel, exclusive, prefetch, active, unacked } = row;
  return create(ConsumerSchema, {
    ...{ vhost, queue, tag, channel, exclusive, prefetch, active, unacked },
    connection: connectionId(owner),
    ackRequired: !autoAck,
    arguments: fromFieldTable(readTable(new ByteReader(encoded))),
  });
}

export function queueRow({ record, counts, leader }: QueueRow) {
  const { vhost, name, durable, autoDelete, exclusiveOwner, home } = record;
  const type = record.arguments.get('x-queue-type');
  return create(QueueSchema, {
    vhost,
    name,
    type: type?.type === 'string' ? type.value : 'classic',
    durable,
    autoDelete,
    arguments: fromFieldTable(record.arguments),
    ...given({
      exclusiveOwner: exclusiveOwner && connectionId(exclusiveOwner),
      shard: home.kind === 'shard' ? home.group : undefined,
      leader,
      consumers: counts?.consumers,
      ready: counts && BigInt(counts.ready),
      unacked: counts && BigInt(counts.unacked),
      bytes: counts && BigInt(counts.bytes),
    }),
  });
}

export const exchangeRow = ({ vhost, name, type, durable, autoDelete, internal, arguments: table }: ExchangeRecord) =>
  create(ExchangeSchema, { vhost, name, type, durable, autoDelete, internal, arguments: fromFieldTable(table) });

export const bindingRow = (row: BindingRow) => {
  const { vhost, source, destination, destinationType, routingKey, arguments: table } = row;
  const ends = { source, destination, destinationType, routingKey };
  return create(BindingSchema, { vhost, ...ends, arguments: fromFieldTable(table) });
};
