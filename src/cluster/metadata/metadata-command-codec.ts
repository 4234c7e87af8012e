import { readTable, writeTable } from '../../broker/field-table-codec.ts';
import { assert, unreachable } from '../../lib/assert.ts';
import { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { groupId, incarnation, nodeId, queueId } from '../../lib/ids.ts';
import { readAccessCommand, writeAccessCommand } from './access-codec.ts';
import type { MetadataCommand, MetadataRequest, RequestId } from './metadata-commands.ts';
import { exchangeFlags, readExchangeFlags, readOwner, writeOwner } from './record-codec.ts';
import { readShard, writeShard } from './shard-map.ts';

/**
 * The payload of an entry of group 0: u8 format version, then requests until the end. A request: u32 length of what
 * follows, u8 whether an id follows, the id (u32 node, u32 incarnation, u48 number, u48 seen-through), u8 kind, the
 * command's fields. All values big-endian.
 */
export const METADATA_FORMAT = 1;
export const METADATA_HEAD_BYTES = 1;

export function writeMetadataHead(payload: Uint8Array): void {
  payload[0] = METADATA_FORMAT;
}

/** On disk and on the wire for ever. */
const Kind = {
  bootstrap: 1,
  'register-start': 2,
  'expire-incarnation': 3,
  join: 4,
  'update-address': 5,
  'set-shard-replicas': 6,
  'change-access': 7,
  'declare-exchange': 8,
  'delete-exchange': 9,
  'declare-queue': 10,
  bind: 11,
  unbind: 12,
  'remove-queue': 13,
  'connection-closed': 14,
  // 15 and 16: see ExchangeKind.
} as const satisfies Record<MetadataCommand['kind'], number>;

/** The same commands for a binding that leads to an exchange. */
const ExchangeKind = { bind: 15, unbind: 16 } as const;

const KIND_NAMES = new Map(
  [...Object.entries(Kind), ...Object.entries(ExchangeKind)].map(([name, kind]) => [
    kind as number,
    name as MetadataCommand['kind'],
  ]),
);

function kindOf(command: MetadataCommand): number {
  const leadsToExchange =
    (command.kind === 'bind' || command.kind === 'unbind') && command.destination.kind === 'exchange';
  return leadsToExchange ? ExchangeKind[command.kind] : Kind[command.kind];
}

const QueueFlag = { durable: 1, exclusive: 2, autoDelete: 4, serverNamed: 8 } as const;

/** One batch for the entry's payload. The command passed `checkCommand`. */
export function encodeRequest(request: MetadataRequest): Uint8Array {
  const out = new ByteWriter();
  out.u32(0);
  out.u8(request.id ? 1 : 0);
  if (request.id) {
    out.u32(request.id.node);
    out.u32(request.id.incarnation);
    out.u48(request.id.number);
    out.u48(request.id.seenThrough);
  }
  out.u8(kindOf(request.command));
  writeFields(out, request.command);
  out.patchU32(0, out.length - 4);
  return out.finish();
}

/** Throws `TruncatedError` or `InvariantError` for bytes that no node wrote. */
export function decodePayload(payload: Uint8Array): MetadataRequest[] {
  const reader = new ByteReader(payload);
  const format = reader.u8();
  assert(format === METADATA_FORMAT, () => `metadata entry of format ${format}`);
  const requests: MetadataRequest[] = [];
  while (reader.remaining > 0) requests.push(readRequest(new ByteReader(reader.block())));
  return requests;
}

function readRequest(reader: ByteReader): MetadataRequest {
  const id: RequestId | undefined =
    reader.u8() === 0
      ? undefined
      : {
          node: nodeId(reader.u32()),
          incarnation: incarnation(reader.u32()),
          number: reader.u48(),
          seenThrough: reader.u48(),
        };
  const kind = reader.u8();
  const name = KIND_NAMES.get(kind);
  assert(name !== undefined, () => `metadata command of unknown kind ${kind}`);
  const leadsToExchange = kind === ExchangeKind.bind || kind === ExchangeKind.unbind;
  return { id, command: readFields(reader, name, leadsToExchange) };
}

function writeFields(out: ByteWriter, command: MetadataCommand): void {
  switch (command.kind) {
    case 'change-access':
      writeAccessCommand(out, command.change);
      break;
    case 'declare-exchange':
      out.string(command.vhost);
      out.string(command.name);
      out.string(command.type);
      out.u8(exchangeFlags(command));
      writeTable(out, command.arguments);
      break;
    case 'delete-exchange':
      out.string(command.vhost);
      out.string(command.name);
      out.u8(command.ifUnused ? 1 : 0);
      break;
    case 'declare-queue':
      out.string(command.vhost);
      out.string(command.name);
      out.u8(
        (command.durable ? QueueFlag.durable : 0) |
          (command.exclusive ? QueueFlag.exclusive : 0) |
          (command.autoDelete ? QueueFlag.autoDelete : 0) |
          (command.serverNamed ? QueueFlag.serverNamed : 0),
      );
      writeTable(out, command.arguments);
      writeOwner(out, command.owner);
      out.u32(command.preferredShard ?? 0);
      break;
    case 'bind':
    case 'unbind':
      out.string(command.vhost);
      out.string(command.source);
      out.string(command.destination.name);
      out.string(command.routingKey);
      writeTable(out, command.arguments);
      writeOwner(out, command.owner);
      break;
    case 'remove-queue':
      out.u48(command.queue);
      break;
    case 'connection-closed':
      writeOwner(out, command);
      break;
    default:
      writeClusterFields(out, command);
  }
}

type ClusterCommand = Extract<
  MetadataCommand,
  {
    kind: 'bootstrap' | 'register-start' | 'expire-incarnation' | 'join' | 'update-address' | 'set-shard-replicas';
  }
>;

function writeClusterFields(out: ByteWriter, command: ClusterCommand): void {
  switch (command.kind) {
    case 'bootstrap':
      out.string(command.clusterId);
      out.u32(command.members.length);
      for (const { id, name, directoryId, address } of command.members) {
        out.u32(id);
        out.string(name);
        out.string(directoryId);
        out.string(address);
      }
      out.u32(command.shards.length);
      for (const shard of command.shards) writeShard(out, shard);
      break;
    case 'register-start':
      out.u32(command.node);
      out.string(command.directoryId);
      out.string(command.token);
      break;
    case 'expire-incarnation':
      out.u32(command.node);
      out.u32(command.incarnation);
      break;
    case 'join':
      out.string(command.name);
      out.string(command.directoryId);
      out.string(command.address);
      break;
    case 'update-address':
      out.u32(command.node);
      out.string(command.address);
      break;
    case 'set-shard-replicas':
      writeShard(out, command);
      break;
    default:
      unreachable(command);
  }
}

function readFields(reader: ByteReader, kind: MetadataCommand['kind'], leadsToExchange: boolean): MetadataCommand {
  switch (kind) {
    case 'change-access':
      return { kind, change: readAccessCommand(reader) };
    case 'declare-exchange': {
      const [vhost, name, type] = [reader.string(), reader.string(), reader.string()];
      return { kind, vhost, name, type, ...readExchangeFlags(reader.u8()), arguments: readTable(reader) };
    }
    case 'delete-exchange':
      return { kind, vhost: reader.string(), name: reader.string(), ifUnused: reader.u8() === 1 };
    case 'declare-queue': {
      const [vhost, name, flags] = [reader.string(), reader.string(), reader.u8()];
      const [queueArguments, owner, preferred] = [readTable(reader), readOwner(reader), reader.u32()];
      return {
        kind,
        vhost,
        name,
        durable: (flags & QueueFlag.durable) !== 0,
        exclusive: (flags & QueueFlag.exclusive) !== 0,
        autoDelete: (flags & QueueFlag.autoDelete) !== 0,
        serverNamed: (flags & QueueFlag.serverNamed) !== 0,
        arguments: queueArguments,
        owner,
        preferredShard: preferred === 0 ? undefined : groupId(preferred),
      };
    }
    case 'bind':
    case 'unbind':
      return {
        kind,
        vhost: reader.string(),
        source: reader.string(),
        destination: { kind: leadsToExchange ? 'exchange' : 'queue', name: reader.string() },
        routingKey: reader.string(),
        arguments: readTable(reader),
        owner: readOwner(reader),
      };
    case 'remove-queue':
      return { kind, queue: queueId(reader.u48()) };
    case 'connection-closed':
      return { kind, ...readOwner(reader) };
    default:
      return readClusterFields(reader, kind);
  }
}

function readClusterFields(reader: ByteReader, kind: ClusterCommand['kind']): ClusterCommand {
  switch (kind) {
    case 'bootstrap': {
      const clusterId = reader.string();
      const members = Array.from({ length: reader.u32() }, () => ({
        id: nodeId(reader.u32()),
        name: reader.string(),
        directoryId: reader.string(),
        address: reader.string(),
      }));
      const shards = Array.from({ length: reader.u32() }, () => readShard(reader));
      return { kind, clusterId, members, shards };
    }
    case 'register-start':
      return { kind, node: nodeId(reader.u32()), directoryId: reader.string(), token: reader.string() };
    case 'expire-incarnation':
      return { kind, node: nodeId(reader.u32()), incarnation: incarnation(reader.u32()) };
    case 'join':
      return { kind, name: reader.string(), directoryId: reader.string(), address: reader.string() };
    case 'update-address':
      return { kind, node: nodeId(reader.u32()), address: reader.string() };
    case 'set-shard-replicas':
      return { kind, ...readShard(reader) };
    default:
      return unreachable(kind);
  }
}
