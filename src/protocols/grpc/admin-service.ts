import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import type { Broker } from '../../broker/broker.ts';
import {
  AdminService,
  GetStatusRequestSchema,
  type GetStatusResponse,
  GetStatusResponseSchema,
} from '../../gen/warren/v1/admin_pb.ts';

import { readCredentials } from './credentials.ts';
import { type IncomingCall, isCallError } from './entrance.ts';

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
  readonly queues: readonly {
    readonly vhost: string;
    readonly name: string;
    readonly durable: boolean;
    readonly shard: number | undefined;
    readonly leader: string | undefined;
    readonly ready: number | undefined;
    readonly unacked: number | undefined;
    readonly consumers: number | undefined;
  }[];
}

export const adminServiceDefinition: ServiceDefinition = {
  getStatus: {
    path: `/${AdminService.typeName}/${AdminService.method.getStatus.name}`,
    requestStream: false,
    responseStream: false,
    requestSerialize: request => Buffer.from(toBinary(GetStatusRequestSchema, request)),
    requestDeserialize: bytes => fromBinary(GetStatusRequestSchema, bytes),
    responseSerialize: response => Buffer.from(toBinary(GetStatusResponseSchema, response)),
    responseDeserialize: bytes => fromBinary(GetStatusResponseSchema, bytes),
  },
};

export function adminServiceImplementation(source: StatusSource, broker: Broker): UntypedServiceImplementation {
  return {
    getStatus: (call: IncomingCall, callback: (error: object | null, response?: GetStatusResponse) => void) => {
      const credentials = readCredentials(call.metadata);
      if (isCallError(credentials)) {
        callback({ code: credentials.code, details: credentials.text });
        return;
      }
      if (broker.authenticate(credentials.user, credentials.password, call.getPeer())?.code === 'access-refused') {
        callback({ code: status.UNAUTHENTICATED, details: 'wrong user or password' });
        return;
      }
      source.status().then(
        report => {
          if (report !== undefined) callback(null, responseOf(report));
          else callback({ code: status.UNAVAILABLE, details: 'this node waits for its cluster to be formed' });
        },
        (error: Error) => callback({ code: status.INTERNAL, details: error.message }),
      );
    },
  };
}

function responseOf({ cluster, nodes, shards, queues }: StatusReport): GetStatusResponse {
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
    queues: queues.map(({ shard, leader, ready, unacked, consumers, vhost, name, durable }) => ({
      vhost,
      name,
      durable,
      ...(shard === undefined ? {} : { shard }),
      ...(leader === undefined ? {} : { leader }),
      ...(ready === undefined ? {} : { ready: BigInt(ready) }),
      ...(unacked === undefined ? {} : { unacked: BigInt(unacked) }),
      ...(consumers === undefined ? {} : { consumers }),
    })),
  });
}
