import { create, type DescMethod, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import type { Result } from '../../broker/broker.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import {
  AdminService,
  type ImportDefinitionsRequest,
  ImportDefinitionsResponseSchema,
  ImportResult_Outcome,
} from '../../gen/warren/v1/admin_pb.ts';
import { utf8Encode } from '../../lib/bytes.ts';
import type { ImportOutcome } from '../../management/definitions.ts';
import type { Management } from '../../management/management.ts';
import { changeAccess } from './admin-changes.ts';
import {
  bindingRow,
  channelRow,
  connectionRow,
  consumerRow,
  exchangeRow,
  permissionRow,
  queueRow,
  topicPermissionRow,
  userRow,
  vhostRow,
} from './admin-rows.ts';
import { isCallError } from './entrance.ts';
import { type CallError, callError, fromBrokerError, invalidArgument } from './status.ts';

type Methods = typeof AdminService.method;
type MethodName = keyof Methods;
type Input<Name extends MethodName> = MessageShape<Methods[Name]['input']>;
type Output<Name extends MethodName> = MessageInitShape<Methods[Name]['output']>;
type StreamName = {
  [Name in MethodName]: Methods[Name]['methodKind'] extends 'server_streaming' ? Name : never;
}[MethodName];
type CallName = Exclude<MethodName, StreamName | 'getStatus' | 'importDefinitions'>;

type Answer<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly error: BrokerError | CallError };

/** What a call came to. */
export type Ended = { readonly ok: true; readonly value: object } | { readonly ok: false; readonly error: CallError };
export type Run = (management: Management, request: never) => Promise<Ended>;
export type StreamRun = (management: Management, request: never) => AsyncIterable<object>;

export interface AdminCalls<Runs> {
  /** Beside `administrator`, these tags allow it. */
  readonly tags: readonly string[];
  readonly run: Runs;
}

const MONITORING = ['monitoring'];
const REASON_LENGTH_MAX = 200;

function call<Name extends CallName>(
  name: Name,
  run: (management: Management, request: Input<Name>) => Promise<Answer<Output<Name>>>,
): AdminCalls<Run> {
  const method: DescMethod = AdminService.method[name];
  return {
    tags: [],
    run: async (management, request) => {
      const answer = await run(management, request);
      if (answer.ok) return { ok: true, value: create(method.output, answer.value) };
      return { ok: false, error: isCallError(answer.error) ? answer.error : fromBrokerError(answer.error) };
    },
  };
}

function stream<Name extends StreamName>(
  name: Name,
  tags: readonly string[],
  run: (management: Management, request: Input<Name>) => AsyncIterable<Output<Name>>,
): AdminCalls<StreamRun> {
  const method: DescMethod = AdminService.method[name];
  return { tags, run: (management, request) => mapped(run(management, request), init => create(method.output, init)) };
}

async function* mapped<From, To>(from: AsyncIterable<From>, map: (item: From) => To): AsyncGenerator<To> {
  for await (const item of from) yield map(item);
}

const counted = (result: Result<{ readonly messageCount: number }>) =>
  result.ok ? { ok: true as const, value: { messageCount: BigInt(result.value.messageCount) } } : result;

/** What each call does. */
export const CALLS: { readonly [Name in CallName]: AdminCalls<Run> } = {
  changeAccess: call('changeAccess', async (management, request) => {
    const result = await changeAccess(management, request);
    return result.ok ? { ok: true, value: {} } : result;
  }),
  closeConnection: call('closeConnection', async (management, { id, reason }) => {
    const text = reason === '' ? 'closed by an operator' : reason.slice(0, REASON_LENGTH_MAX);
    const error = closeError(id, await management.closeConnection(id, text));
    return error === undefined ? { ok: true, value: {} } : { ok: false, error };
  }),
  purgeQueue: call('purgeQueue', async (management, { vhost, name }) =>
    counted(await management.purgeQueue(vhost, name)),
  ),
  deleteQueue: call('deleteQueue', async (management, { vhost, name, ifUnused, ifEmpty }) =>
    counted(await management.deleteQueue({ vhost, name, ifUnused, ifEmpty })),
  ),
};

/** What each list, and the export, consists of. */
export const STREAMS: { readonly [Name in StreamName]: AdminCalls<StreamRun> } = {
  listUsers: stream('listUsers', [], management =>
    mapped(management.accessRecords('user'), page => ({ users: page.map(userRow) })),
  ),
  listVhosts: stream('listVhosts', MONITORING, management =>
    mapped(management.accessRecords('vhost'), page => ({ vhosts: page.map(vhostRow) })),
  ),
  listPermissions: stream('listPermissions', [], management =>
    mapped(management.accessRecords('permission'), page => ({ permissions: page.map(permissionRow) })),
  ),
  listTopicPermissions: stream('listTopicPermissions', [], management =>
    mapped(management.accessRecords('topic-permission'), page => ({ permissions: page.map(topicPermissionRow) })),
  ),
  listConnections: stream('listConnections', MONITORING, (management, { vhost }) =>
    messagesOf(management.clients('connections', vhost), (rows, silentNodes) => ({
      connections: rows.map(row => connectionRow(row, node => management.nodeName(node))),
      silentNodes,
    })),
  ),
  listChannels: stream('listChannels', MONITORING, (management, { vhost }) =>
    messagesOf(management.clients('channels', vhost), (rows, silentNodes) => ({
      channels: rows.map(row => channelRow(row, node => management.nodeName(node))),
      silentNodes,
    })),
  ),
  listConsumers: stream('listConsumers', MONITORING, (management, { vhost }) =>
    messagesOf(management.consumers(vhost), (rows, silentNodes) => ({ consumers: rows.map(consumerRow), silentNodes })),
  ),
  listQueues: stream('listQueues', MONITORING, (management, { vhost }) =>
    mapped(management.queues(vhost), page => ({ queues: page.map(queueRow) })),
  ),
  listExchanges: stream('listExchanges', MONITORING, (management, { vhost }) =>
    mapped(management.exchanges(vhost), page => ({ exchanges: page.map(exchangeRow) })),
  ),
  listBindings: stream('listBindings', MONITORING, (management, { vhost }) =>
    mapped(management.bindings(vhost), page => ({ bindings: page.map(bindingRow) })),
  ),
  exportDefinitions: stream('exportDefinitions', [], (management, { vhost }) =>
    mapped(management.exportDefinitions(vhost), text => ({ json: utf8Encode(text) })),
  ),
};

async function* messagesOf<Row, Message>(
  pages: AsyncIterable<{ readonly rows: readonly Row[]; readonly silentNode: string | undefined }>,
  toMessage: (rows: readonly Row[], silentNodes: string[]) => Message,
): AsyncGenerator<Message> {
  for await (const { rows, silentNode } of pages) {
    if (rows.length > 0 || silentNode !== undefined)
      yield toMessage(rows, silentNode === undefined ? [] : [silentNode]);
  }
}

function closeError(id: string, outcome: Awaited<ReturnType<Management['closeConnection']>>): CallError | undefined {
  switch (outcome) {
    case 'closed':
      return undefined;
    case 'malformed':
      return invalidArgument(`'${id}' is no id of a connection; the list of connections shows them, such as 1.2.3`);
    case 'unknown':
      return callError(status.NOT_FOUND, 'NO_CONNECTION', `there is no connection ${id}`, { id });
    case 'unreachable':
      return callError(status.UNAVAILABLE, 'UNAVAILABLE', `the node of connection ${id} does not answer`, { id });
  }
}

const OUTCOMES: Readonly<Record<ImportOutcome, ImportResult_Outcome>> = {
  created: ImportResult_Outcome.CREATED,
  updated: ImportResult_Outcome.UPDATED,
  existed: ImportResult_Outcome.EXISTED,
  differs: ImportResult_Outcome.DIFFERS,
  unsupported: ImportResult_Outcome.UNSUPPORTED,
  ignored: ImportResult_Outcome.IGNORED,
  dangling: ImportResult_Outcome.DANGLING,
  failed: ImportResult_Outcome.FAILED,
};

/** One part of an import. */
export async function importPart(management: Management, { json, vhost }: ImportDefinitionsRequest): Promise<Ended> {
  const imported = await management.importDefinitions(json, vhost);
  if (!imported.ok) return { ok: false, error: fromBrokerError(imported.error) };
  const results = imported.value.map(({ item, outcome, detail }) => ({ item, outcome: OUTCOMES[outcome], detail }));
  return { ok: true, value: create(ImportDefinitionsResponseSchema, { results }) };
}
