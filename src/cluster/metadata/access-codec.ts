import type { AccessCommand, PutUser } from '../../broker/access/access-commands.ts';
import {
  type AccessRecord,
  HASHINGS,
  type PasswordHash,
  type UserLimits,
  type VhostLimits,
} from '../../broker/access/access-records.ts';
import { assert, unreachable } from '../../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';

/** Commands about users, vhosts and permissions, and their records, in bytes. Numbers and orders are for ever. */
const Kind = {
  'put-vhost': 1,
  'delete-vhost': 2,
  'continue-vhost-removal': 3,
  'put-user': 4,
  'delete-user': 5,
  'set-permissions': 6,
  'clear-permissions': 7,
  'set-topic-permissions': 8,
  'clear-topic-permissions': 9,
  'set-vhost-limits': 10,
  'set-user-limits': 11,
} as const satisfies Record<AccessCommand['kind'], number>;

const KIND_NAMES = new Map(Object.entries(Kind).map(([name, kind]) => [kind as number, name as AccessCommand['kind']]));

const RecordKind = { user: 1, vhost: 2, permission: 3, 'topic-permission': 4 } as const;

/** Of a limit that is not set. */
const UNLIMITED = 2 ** 32 - 1;
const KEEP_PASSWORD = 0;
const NO_PASSWORD = 255;

export function writeAccessCommand(out: ByteWriter, command: AccessCommand): void {
  out.u8(Kind[command.kind]);
  switch (command.kind) {
    case 'put-vhost':
      writeStrings(out, command.vhost, command.description);
      writeList(out, command.tags);
      break;
    case 'delete-vhost':
    case 'continue-vhost-removal':
      out.string(command.vhost);
      break;
    case 'put-user':
      out.string(command.user);
      out.u8(command.mustBeNew ? 1 : 0);
      writePassword(out, command.password);
      writeOptional(out, command.tags, tags => writeList(out, tags));
      break;
    case 'delete-user':
      out.string(command.user);
      break;
    case 'set-permissions':
      writeStrings(out, command.user, command.vhost, command.configure, command.write, command.read);
      break;
    case 'clear-permissions':
      writeStrings(out, command.user, command.vhost);
      break;
    case 'set-topic-permissions':
      writeStrings(out, command.user, command.vhost, command.exchange, command.write, command.read);
      break;
    case 'clear-topic-permissions':
      writeStrings(out, command.user, command.vhost);
      writeOptional(out, command.exchange, exchange => out.string(exchange));
      break;
    case 'set-vhost-limits':
      out.string(command.vhost);
      writeVhostLimits(out, command.limits);
      break;
    case 'set-user-limits':
      out.string(command.user);
      writeUserLimits(out, command.limits);
      break;
    default:
      unreachable(command);
  }
}

export function readAccessCommand(reader: ByteReader): AccessCommand {
  const number = reader.u8();
  const kind = KIND_NAMES.get(number);
  assert(kind !== undefined, () => `access command of unknown kind ${number}`);
  switch (kind) {
    case 'put-vhost':
      return { kind, vhost: reader.string(), description: reader.string(), tags: readList(reader) };
    case 'delete-vhost':
    case 'continue-vhost-removal':
      return { kind, vhost: reader.string() };
    case 'put-user':
      return {
        kind,
        user: reader.string(),
        mustBeNew: reader.u8() === 1,
        password: readPassword(reader),
        tags: readOptional(reader, () => readList(reader)),
      };
    case 'delete-user':
      return { kind, user: reader.string() };
    case 'set-permissions':
      return { kind, ...readPermission(reader) };
    case 'clear-permissions':
      return { kind, user: reader.string(), vhost: reader.string() };
    case 'set-topic-permissions':
      return { kind, ...readTopicPermission(reader) };
    case 'clear-topic-permissions':
      return {
        kind,
        user: reader.string(),
        vhost: reader.string(),
        exchange: readOptional(reader, () => reader.string()),
      };
    case 'set-vhost-limits':
      return { kind, vhost: reader.string(), limits: readVhostLimits(reader) };
    case 'set-user-limits':
      return { kind, user: reader.string(), limits: readUserLimits(reader) };
    default:
      return unreachable(kind);
  }
}

export function writeAccessRecord(out: ByteWriter, record: AccessRecord): void {
  out.u8(RecordKind[record.kind]);
  switch (record.kind) {
    case 'user':
      out.string(record.user);
      writePassword(out, record.password ?? 'none');
      writeList(out, record.tags);
      writeUserLimits(out, record.limits);
      break;
    case 'vhost':
      writeStrings(out, record.vhost, record.description);
      writeList(out, record.tags);
      writeVhostLimits(out, record.limits);
      out.u8(record.isLeaving ? 1 : 0);
      break;
    case 'permission':
      writeStrings(out, record.user, record.vhost, record.configure, record.write, record.read);
      break;
    case 'topic-permission':
      writeStrings(out, record.user, record.vhost, record.exchange, record.write, record.read);
      break;
    default:
      unreachable(record);
  }
}

export function readAccessRecord(reader: ByteReader): AccessRecord {
  const kind = reader.u8();
  switch (kind) {
    case RecordKind.user: {
      const [user, password] = [reader.string(), readPassword(reader)];
      const [tags, limits] = [readList(reader), readUserLimits(reader)];
      return { kind: 'user', user, password: password === 'none' ? undefined : password, tags, limits };
    }
    case RecordKind.vhost: {
      const [vhost, description, tags] = [reader.string(), reader.string(), readList(reader)];
      return { kind: 'vhost', vhost, description, tags, limits: readVhostLimits(reader), isLeaving: reader.u8() === 1 };
    }
    case RecordKind.permission:
      return { kind: 'permission', ...readPermission(reader) };
    default:
      assert(kind === RecordKind['topic-permission'], () => `access record of unknown kind ${kind}`);
      return { kind: 'topic-permission', ...readTopicPermission(reader) };
  }
}

const readPermission = (reader: ByteReader) => ({
  user: reader.string(),
  vhost: reader.string(),
  configure: reader.string(),
  write: reader.string(),
  read: reader.string(),
});

const readTopicPermission = (reader: ByteReader) => ({
  user: reader.string(),
  vhost: reader.string(),
  exchange: reader.string(),
  write: reader.string(),
  read: reader.string(),
});

function writePassword(out: ByteWriter, password: PutUser['password']): void {
  if (password === undefined) out.u8(KEEP_PASSWORD);
  else if (password === 'none') out.u8(NO_PASSWORD);
  else {
    out.u8(1 + HASHINGS.indexOf(password.hashing));
    out.string(password.hash);
  }
}

function readPassword(reader: ByteReader): PasswordHash | 'none' | undefined {
  const form = reader.u8();
  if (form === KEEP_PASSWORD) return undefined;
  if (form === NO_PASSWORD) return 'none';
  const hashing = HASHINGS[form - 1];
  assert(hashing !== undefined, () => `password hash of unknown kind ${form}`);
  return { hashing, hash: reader.string() };
}

function writeVhostLimits(out: ByteWriter, { connectionsMax, queuesMax }: VhostLimits): void {
  out.u32(connectionsMax ?? UNLIMITED);
  out.u32(queuesMax ?? UNLIMITED);
}

function readVhostLimits(reader: ByteReader): VhostLimits {
  return { connectionsMax: limit(reader.u32()), queuesMax: limit(reader.u32()) };
}

function writeUserLimits(out: ByteWriter, { connectionsMax, channelsMax }: UserLimits): void {
  out.u32(connectionsMax ?? UNLIMITED);
  out.u32(channelsMax ?? UNLIMITED);
}

function readUserLimits(reader: ByteReader): UserLimits {
  return { connectionsMax: limit(reader.u32()), channelsMax: limit(reader.u32()) };
}

const limit = (value: number): number | undefined => (value === UNLIMITED ? undefined : value);

function writeStrings(out: ByteWriter, ...values: readonly string[]): void {
  for (const value of values) out.string(value);
}

function writeList(out: ByteWriter, values: readonly string[]): void {
  out.u8(values.length);
  writeStrings(out, ...values);
}

function readList(reader: ByteReader): string[] {
  return Array.from({ length: reader.u8() }, () => reader.string());
}

function writeOptional<Value>(out: ByteWriter, value: Value | undefined, write: (value: Value) => void): void {
  out.u8(value === undefined ? 0 : 1);
  if (value !== undefined) write(value);
}

function readOptional<Value>(reader: ByteReader, read: () => Value): Value | undefined {
  return reader.u8() === 0 ? undefined : read();
}
