import { readTable, writeTable } from '../../broker/field-table-codec.ts';
import {
  type BindingRecord,
  type ConnectionOwner,
  destinationExchange,
  type ExchangeRecord,
  exchangeDestination,
  type QueueHome,
  type QueueRecord,
  queueDestination,
} from '../../broker/topology-records.ts';
import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { groupId, incarnation, nodeId, queueId } from '../../lib/ids.ts';

/** Records of group 0 in bytes: in pages, replies and commands. Bits and orders are for ever. */
const Flag = { durable: 1, autoDelete: 2, internal: 4, exclusive: 8, volatile: 16 } as const;

/** Of a binding's destination: the rest is an exchange's id. Queue ids do not come so far. */
const EXCHANGE_BIT = 2 ** 47;

export function writeQueue(out: ByteWriter, queue: QueueRecord): void {
  const { home, exclusiveOwner } = queue;
  out.u48(queue.id);
  out.string(queue.vhost);
  out.string(queue.name);
  out.u8(
    (queue.durable ? Flag.durable : 0) |
      (queue.autoDelete ? Flag.autoDelete : 0) |
      (exclusiveOwner ? Flag.exclusive : 0) |
      (home.kind === 'volatile' ? Flag.volatile : 0),
  );
  if (exclusiveOwner) writeOwner(out, exclusiveOwner);
  writeTable(out, queue.arguments);
  if (home.kind === 'volatile') {
    out.u32(home.node);
    out.u32(home.incarnation);
  } else out.u32(home.group);
}

export function readQueue(reader: ByteReader): QueueRecord {
  const id = queueId(reader.u48());
  const vhost = reader.string();
  const name = reader.string();
  const flags = reader.u8();
  const exclusiveOwner = (flags & Flag.exclusive) !== 0 ? readOwner(reader) : undefined;
  const queueArguments = readTable(reader);
  const home: QueueHome =
    (flags & Flag.volatile) !== 0
      ? { kind: 'volatile', node: nodeId(reader.u32()), incarnation: incarnation(reader.u32()) }
      : { kind: 'shard', group: groupId(reader.u32()) };
  return {
    id,
    vhost,
    name,
    durable: (flags & Flag.durable) !== 0,
    autoDelete: (flags & Flag.autoDelete) !== 0,
    exclusiveOwner,
    arguments: queueArguments,
    home,
  };
}

export function writeExchange(out: ByteWriter, exchange: ExchangeRecord): void {
  out.u48(exchange.id);
  out.string(exchange.vhost);
  out.string(exchange.name);
  out.string(exchange.type);
  out.u8(exchangeFlags(exchange));
  writeTable(out, exchange.arguments);
}

export function readExchange(reader: ByteReader): ExchangeRecord {
  const id = reader.u48();
  const vhost = reader.string();
  const name = reader.string();
  const type = reader.string();
  return { id, vhost, name, type, ...readExchangeFlags(reader.u8()), arguments: readTable(reader) };
}

type ExchangeFlags = Pick<ExchangeRecord, 'durable' | 'autoDelete' | 'internal'>;

export const exchangeFlags = ({ durable, autoDelete, internal }: ExchangeFlags): number =>
  (durable ? Flag.durable : 0) | (autoDelete ? Flag.autoDelete : 0) | (internal ? Flag.internal : 0);

export const readExchangeFlags = (flags: number): ExchangeFlags => ({
  durable: (flags & Flag.durable) !== 0,
  autoDelete: (flags & Flag.autoDelete) !== 0,
  internal: (flags & Flag.internal) !== 0,
});

export function writeBinding(out: ByteWriter, binding: BindingRecord): void {
  out.u48(binding.id);
  const exchange = destinationExchange(binding.destination);
  out.u48(binding.source);
  out.u48(exchange === undefined ? binding.destination : EXCHANGE_BIT + exchange);
  out.string(binding.routingKey);
  writeTable(out, binding.arguments);
}

export function readBinding(reader: ByteReader): BindingRecord {
  const id = reader.u48();
  const source = reader.u48();
  const end = reader.u48();
  const destination = end >= EXCHANGE_BIT ? exchangeDestination(end - EXCHANGE_BIT) : queueDestination(queueId(end));
  return { id, source, destination, routingKey: reader.string(), arguments: readTable(reader) };
}

export function writeOwner(out: ByteWriter, owner: ConnectionOwner): void {
  out.u32(owner.node);
  out.u32(owner.incarnation);
  out.u48(owner.connection);
}

export function readOwner(reader: ByteReader): ConnectionOwner {
  return { node: nodeId(reader.u32()), incarnation: incarnation(reader.u32()), connection: reader.u48() };
}
