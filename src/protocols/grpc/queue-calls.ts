import type { MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type {
  Broker,
  BrokerSession,
  ConnectionListener,
  QueueDeclare,
  Result,
  SessionListener,
} from '../../broker/broker.ts';
import { EMPTY_TABLE } from '../../broker/field-table.ts';
import type { BindQueueRequest, UnbindQueueRequest } from '../../gen/warren/v1/broker_pb.ts';
import { enter, type IncomingCall, isCallError } from './entrance.ts';
import { toFieldTable } from './field-mapping.ts';
import { METHODS } from './service-methods.ts';
import { type CallError, fromBrokerError } from './status.ts';

export type UnaryName = Exclude<keyof typeof METHODS, 'publish' | 'consume'>;
export type UnaryInput<Name extends UnaryName> = MessageShape<(typeof METHODS)[Name]['input']>;
export type UnaryOutput<Name extends UnaryName> = MessageShape<(typeof METHODS)[Name]['output']>;
type Answer<Name extends UnaryName> = Promise<Result<MessageInitShape<(typeof METHODS)[Name]['output']>>>;
type Run<Name extends UnaryName> = (session: BrokerSession, request: UnaryInput<Name>) => Answer<Name>;

const NO_EVENTS: SessionListener & ConnectionListener = {
  confirmed() {},
  rejected() {},
  deliver() {},
  consumerCancelled() {},
  held() {},
  resumed() {},
  closed() {},
  dismissed() {},
};

const PASSIVE: Omit<QueueDeclare, 'name'> = {
  passive: true,
  durable: false,
  exclusive: false,
  autoDelete: false,
  arguments: EMPTY_TABLE,
};

/** What each unary call asks of the broker. */
const RUNS: { readonly [Name in UnaryName]: Run<Name> } = {
  async declareQueue(session, { name, durable, autoDelete, arguments: fields }) {
    const table = toFieldTable(fields);
    if (!table.ok) return table;
    const declared = { name, passive: false, durable, exclusive: false, autoDelete, arguments: table.value };
    return counted(await session.declareQueue(declared));
  },
  async describeQueue(session, { name }) {
    // An empty name would stand for the queue that the session declared last, and there is none.
    if (name === '') return { ok: false, error: { code: 'invalid', text: 'the name of the queue is missing' } };
    return counted(await session.declareQueue({ name, ...PASSIVE }));
  },
  async deleteQueue(session, { name, ifUnused, ifEmpty }) {
    return removed(await session.deleteQueue({ name, ifUnused, ifEmpty }));
  },
  async purgeQueue(session, { name }) {
    return removed(await session.purgeQueue(name));
  },
  async declareExchange(session, { name, type, durable, autoDelete, internal, arguments: fields }) {
    const table = toFieldTable(fields);
    if (!table.ok) return table;
    const declared = { name, type, passive: false, durable, autoDelete, internal, arguments: table.value };
    return empty(await session.declareExchange(declared));
  },
  async deleteExchange(session, { name, ifUnused }) {
    return empty(await session.deleteExchange({ name, ifUnused }));
  },
  async bindQueue(session, request) {
    const binding = toBinding(request);
    return binding.ok ? empty(await session.bindQueue(binding.value)) : binding;
  },
  async unbindQueue(session, request) {
    const binding = toBinding(request);
    return binding.ok ? empty(await session.unbindQueue(binding.value)) : binding;
  },
};

export const UNARY_NAMES = Object.keys(RUNS) as UnaryName[];

/** Runs one unary call on a connection of its own. */
export async function answerUnary<Name extends UnaryName>(
  name: Name,
  broker: Broker,
  call: IncomingCall & { readonly request: UnaryInput<Name> },
): Promise<UnaryOutput<Name> | CallError> {
  const connection = await enter(broker, call, NO_EVENTS);
  if (isCallError(connection)) return connection;
  const session = connection.openSession(NO_EVENTS);
  const result = await RUNS[name](session, call.request);
  await connection.close();
  if (!result.ok) return fromBrokerError(result.error);
  const output: (typeof METHODS)[Name]['output'] = METHODS[name].output;
  return create(output, result.value as MessageInitShape<typeof output>);
}

function toBinding({ queue, exchange, routingKey, arguments: fields }: BindQueueRequest | UnbindQueueRequest) {
  const table = toFieldTable(fields);
  return table.ok ? { ok: true as const, value: { queue, exchange, routingKey, arguments: table.value } } : table;
}

type Counts = { readonly name: string; readonly messageCount: number; readonly consumerCount: number };

const counted = (result: Result<Counts>) =>
  result.ok
    ? { ok: true as const, value: { ...result.value, messageCount: BigInt(result.value.messageCount) } }
    : result;

const removed = (result: Result<{ readonly messageCount: number }>) =>
  result.ok ? { ok: true as const, value: { messageCount: BigInt(result.value.messageCount) } } : result;

const empty = (result: Result<void>) => (result.ok ? { ok: true as const, value: {} } : result);
