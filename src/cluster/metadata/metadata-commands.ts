import { type AccessCommand, checkAccessCommand } from '../../broker/access/access-commands.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import type { BindRequest, DeclareExchange, DeclareQueue } from '../../broker/declarations.ts';
import { checkTable } from '../../broker/field-table-codec.ts';
import { checkNameLength } from '../../broker/names.ts';
import type { ConnectionOwner, NodeStart } from '../../broker/topology-records.ts';
import type { GroupId, NodeId, QueueId } from '../../lib/ids.ts';
import type { Participant } from './member-list.ts';
import type { ShardRecord } from './shard-map.ts';

/** Requests of one node that may be unanswered at the same time: so many replies are kept for repeats. */
export const REQUEST_WINDOW = 256;

/**
 * Makes a repeat recognisable: numbers ascend by one within an incarnation of the sender. Replies up to `seenThrough` were
 * received and are forgotten; `number` lies above it by at most `REQUEST_WINDOW`.
 */
export interface RequestId extends NodeStart {
  readonly number: number;
  readonly seenThrough: number;
}

/** One request to group 0. Without id: a command that does no harm when it is repeated. */
export interface MetadataRequest {
  readonly id: RequestId | undefined;
  readonly command: MetadataCommand;
}

/** Forms the cluster, once (R9). */
export interface Bootstrap {
  readonly kind: 'bootstrap';
  readonly clusterId: string;
  readonly members: readonly (Participant & { readonly id: NodeId })[];
  readonly shards: readonly ShardRecord[];
}

/** A member started. `token` is random per start and tells a repeat from another start: a fenced node takes a new one. */
export interface RegisterStart {
  readonly kind: 'register-start';
  readonly node: NodeId;
  readonly directoryId: string;
  readonly token: string;
}

/** The node's lease ran out (R24): by the leader of group 0. */
export interface ExpireIncarnation extends NodeStart {
  readonly kind: 'expire-incarnation';
}

/** A participant asks for a node id. The name of another participant is taken over, and that one retired (R9). */
export interface Join extends Participant {
  readonly kind: 'join';
}

export interface UpdateAddress {
  readonly kind: 'update-address';
  readonly node: NodeId;
  readonly address: string;
}

export interface SetShardReplicas extends ShardRecord {
  readonly kind: 'set-shard-replicas';
}

/** Users, vhosts, permissions and limits. */
export interface ChangeAccess {
  readonly kind: 'change-access';
  readonly change: AccessCommand;
}

export interface DeclareExchangeCommand extends DeclareExchange {
  readonly kind: 'declare-exchange';
}

export interface DeleteExchange {
  readonly kind: 'delete-exchange';
  readonly vhost: string;
  readonly name: string;
  readonly ifUnused: boolean;
}

export interface DeclareQueueCommand extends DeclareQueue {
  readonly kind: 'declare-queue';
  /** A shard led by the declaring node (R5); undefined if it leads none. */
  readonly preferredShard: GroupId | undefined;
}

export interface Bind extends BindRequest {
  readonly kind: 'bind' | 'unbind';
}

/** Its shard, or its host, decided that the queue is gone (R3). Does nothing for a queue that is not there. */
export interface RemoveQueue {
  readonly kind: 'remove-queue';
  readonly queue: QueueId;
}

/** Ends the connection's exclusive queues. Sent when all earlier requests of the connection are answered. */
export interface ConnectionClosed extends ConnectionOwner {
  readonly kind: 'connection-closed';
}

export type MetadataCommand =
  | Bootstrap
  | RegisterStart
  | ExpireIncarnation
  | Join
  | UpdateAddress
  | SetShardReplicas
  | ChangeAccess
  | DeclareExchangeCommand
  | DeleteExchange
  | DeclareQueueCommand
  | Bind
  | RemoveQueue
  | ConnectionClosed;

type Fields<Command extends MetadataCommand> = Omit<Command, 'kind'>;

export const bootstrap = (fields: Fields<Bootstrap>): Bootstrap => ({ kind: 'bootstrap', ...fields });
export const registerStart = (fields: Fields<RegisterStart>): RegisterStart => ({ kind: 'register-start', ...fields });
export const expireIncarnation = (fields: NodeStart): ExpireIncarnation => ({ kind: 'expire-incarnation', ...fields });
export const join = (fields: Participant): Join => ({ kind: 'join', ...fields });
export const updateAddress = (fields: Fields<UpdateAddress>): UpdateAddress => ({ kind: 'update-address', ...fields });
export const setShardReplicas = (fields: ShardRecord): SetShardReplicas => ({ kind: 'set-shard-replicas', ...fields });
export const changeAccess = (change: AccessCommand): ChangeAccess => ({ kind: 'change-access', change });
export const declareExchange = (fields: DeclareExchange): DeclareExchangeCommand => ({
  kind: 'declare-exchange',
  ...fields,
});
export const deleteExchange = (fields: Fields<DeleteExchange>): DeleteExchange => ({
  kind: 'delete-exchange',
  ...fields,
});
export const declareQueue = (fields: Fields<DeclareQueueCommand>): DeclareQueueCommand => ({
  kind: 'declare-queue',
  ...fields,
});
export const bind = (fields: BindRequest): Bind => ({ kind: 'bind', ...fields });
export const unbind = (fields: BindRequest): Bind => ({ kind: 'unbind', ...fields });
export const removeQueue = (queue: QueueId): RemoveQueue => ({ kind: 'remove-queue', queue });
export const connectionClosed = (owner: ConnectionOwner): ConnectionClosed => ({ kind: 'connection-closed', ...owner });

/**
 * What makes a client's request too large to be replicated. To be asked before a command is encoded; everything else that
 * can be wrong with it is decided by `apply`.
 */
export function checkCommand(command: MetadataCommand): BrokerError | undefined {
  switch (command.kind) {
    case 'change-access':
      return checkAccessCommand(command.change);
    case 'declare-exchange':
      return (
        checkNameLength('exchange name', command.name) ??
        checkNameLength('exchange type', command.type) ??
        checkTable(command.arguments)
      );
    case 'delete-exchange':
      return checkNameLength('exchange name', command.name);
    case 'declare-queue':
      return checkNameLength('queue name', command.name) ?? checkTable(command.arguments);
    case 'bind':
    case 'unbind':
      return (
        checkNameLength('exchange name', command.source) ??
        checkNameLength(`${command.destination.kind} name`, command.destination.name) ??
        checkNameLength('routing key', command.routingKey) ??
        checkTable(command.arguments)
      );
    default:
      return undefined;
  }
}
