import { create } from '@bufbuild/protobuf';
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Broker } from '../../broker/broker.ts';
import {
  AdminService,
  type GetStatusResponse,
  GetStatusResponseSchema,
  type ImportDefinitionsRequest,
  type ImportDefinitionsResponse,
} from '../../gen/warren/v1/admin_pb.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Management } from '../../management/management.ts';
import { type AdminCalls, CALLS, importPart, type Run, STREAMS, type StreamRun } from './admin-calls.ts';
import { readCredentials } from './credentials.ts';
import { type IncomingCall, isCallError } from './entrance.ts';
import { grpcMethod } from './service-methods.ts';
import { type CallError, callError, fromBrokerError, toServiceError } from './status.ts';

/** What `warren status` shows; numbers are safe integers. */
export interface StatusSource {
  /** Undefined: the node has no place in a cluster yet. */
  status(): Promise<StatusReport | undefined>;
}

export interface StatusReport {
  readonly cluster: { readonly id: string; readonly name: string };
  readonly nodes: readonly {
    readonly name: string;
    readonly id: number;
    readonly pid: number | undefined;
    readonly up: boolean;
    readonly address: string;
    readonly diskAlarm: boolean;
    readonly memoryAlarm: boolean;
    readonly connections: number | undefined;
  }[];
  readonly shards: readonly {
    readonly id: number;
    readonly leader: string | undefined;
    readonly replicas: readonly string[];
    readonly term: number;
    readonly commit: number;
    readonly lag: number | undefined;
  }[];
  readonly queueCount: number;
  readonly messages: { readonly ready: number; readonly unacked: number } | undefined;
}

export const adminServiceDefinition: ServiceDefinition = Object.fromEntries(
  Object.entries(AdminService.method).map(([name, method]) => [name, grpcMethod(method)]),
);

export interface AdminServiceDependencies {
  readonly broker: Broker;
  readonly status: StatusSource;
  /** Undefined while the node has no place in the cluster. */
  readonly management: () => Management | undefined;
  readonly logger: Logger;
}

type ImportCall = handleBidiStreamingCall<ImportDefinitionsRequest, ImportDefinitionsResponse>;
type Callback = (error: object | null, response?: object) => void;

export function adminServiceImplementation(deps: AdminServiceDependencies): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {
    getStatus: (call: IncomingCall, callback: Callback) => {
      const entered = authenticate(deps.broker, call);
      // A node without a place in the cluster knows no users, and tells everybody the little it knows.
      if (isCallError(entered) && entered.code !== status.UNAVAILABLE) {
        callback(toServiceError(entered));
        return;
      }
      deps.status.status().then(
        report => {
          if (report !== undefined) callback(null, responseOf(report));
          else callback({ code: status.UNAVAILABLE, details: 'this node waits for its cluster to be formed' });
        },
        (error: Error) => callback({ code: status.INTERNAL, details: error.message }),
      );
    },
  };
  for (const [name, { tags, run }] of Object.entries(CALLS) as [string, AdminCalls<Run>][]) {
    const handle: handleUnaryCall<never, object> = (call, callback) => {
      const management = enterManagement(deps, call, tags);
      if (isCallError(management)) {
        callback(toServiceError(management));
        return;
      }
      run(management, call.request).then(
        ended => {
          if (ended.ok) callback(null, ended.value);
          else callback(toServiceError(ended.error));
        },
        (err: Error) => {
          deps.logger.error({ err, call: name }, 'a call of an operator failed');
          callback({ code: status.INTERNAL, details: err.message });
        },
      );
    };
    implementation[name] = handle as UntypedHandleCall;
  }
  for (const [name, { tags, run }] of Object.entries(STREAMS) as [string, AdminCalls<StreamRun>][]) {
    const handle: handleServerStreamingCall<never, object> = call => {
      const management = enterManagement(deps, call, tags);
      if (isCallError(management)) call.emit('error', toServiceError(management));
      else {
        writeAll(call, run(management, call.request)).catch((err: Error) => {
          deps.logger.error({ err, call: name }, 'a call of an operator failed');
          call.emit('error', { code: status.INTERNAL, details: err.message });
        });
      }
    };
    implementation[name] = handle as UntypedHandleCall;
  }
  const importDefinitions: ImportCall = call => {
    const management = enterManagement(deps, call, []);
    if (isCallError(management)) call.emit('error', toServiceError(management));
    else {
      importAll(call, management).catch((err: Error) => {
        deps.logger.error({ err }, 'an import failed');
        call.emit('error', { code: status.INTERNAL, details: err.message });
      });
    }
  };
  implementation.importDefinitions = importDefinitions;
  return implementation;
}

function authenticate(broker: Broker, call: IncomingCall): { readonly user: string } | CallError {
  const credentials = readCredentials(call.metadata);
  if (isCallError(credentials)) return credentials;
  const { user, password } = credentials;
  const refused = broker.authenticate(user, password, call.getPeer());
  if (refused === undefined) return { user };
  if (refused.code !== 'access-refused') return fromBrokerError(refused);
  return callError(status.UNAUTHENTICATED, 'ACCESS_REFUSED', 'wrong user or password');
}

function enterManagement(
  deps: AdminServiceDependencies,
  call: IncomingCall,
  tags: readonly string[],
): Management | CallError {
  const management = deps.management();
  if (management === undefined) {
    return callError(status.UNAVAILABLE, 'UNAVAILABLE', 'this node has no place in the cluster at the moment');
  }
  const entered = authenticate(deps.broker, call);
  if (isCallError(entered) || management.administration.hasTag(entered.user, ...tags)) {
    return isCallError(entered) ? entered : management;
  }
  const wanted = ['administrator', ...tags].join(' or ');
  return callError(
    status.PERMISSION_DENIED,
    'ACCESS_REFUSED',
    `user '${entered.user}' may not do this: it needs the tag ${wanted}`,
  );
}

/** One part after the other: the next one is read when this one is done. Who may is asked once, for users may change. */
async function importAll(call: Parameters<ImportCall>[0], management: Management): Promise<void> {
  // An iterator that ends destroys its stream, and nothing would be left to end the call with.
  for await (const request of call.iterator({ destroyOnReturn: false })) {
    const ended = await importPart(management, request as ImportDefinitionsRequest);
    if (!ended.ok) {
      call.emit('error', toServiceError(ended.error));
      return;
    }
    call.write(ended.value as ImportDefinitionsResponse);
  }
  call.end();
}

/** Writes no faster than the client reads, and stops when it leaves. */
async function writeAll(call: ServerWritableStream<never, object>, messages: AsyncIterable<object>): Promise<void> {
  let hasLeft = false;
  let goOn = (): void => {};
  call.on('drain', () => goOn());
  for (const event of ['cancelled', 'close', 'error']) {
    call.on(event, () => {
      hasLeft = true;
      goOn();
    });
  }
  for await (const message of messages) {
    if (hasLeft) return;
    if (call.write(message) || hasLeft) continue;
    await new Promise<void>(resolve => {
      goOn = resolve;
    });
  }
  call.end();
}

function responseOf({ cluster, nodes, shards, queueCount, messages }: StatusReport): GetStatusResponse {
  return create(GetStatusResponseSchema, {
    clusterId: cluster.id,
    clusterName: cluster.name,
    nodes: nodes.map(({ pid, connections, ...node }) => ({
      ...node,
      ...(pid === undefined ? {} : { pid }),
      ...(connections === undefined ? {} : { connections }),
    })),
    shards: shards.map(({ leader, lag, term, commit, replicas, id }) => ({
      id,
      replicas: [...replicas],
      term: BigInt(term),
      commit: BigInt(commit),
      ...(leader === undefined ? {} : { leader }),
      ...(lag === undefined ? {} : { lag: BigInt(lag) }),
    })),
    queueCount,
    ...(messages === undefined ? {} : { ready: BigInt(messages.ready), unacked: BigInt(messages.unacked) }),
  });
}
