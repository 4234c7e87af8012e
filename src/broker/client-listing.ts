import type { ConsumerId, QueueId } from '../lib/ids.ts';
import type { ConnectionDetails } from './broker.ts';
import type { ConnectionOwner } from './topology-records.ts';

/** Rows and estimated bytes of one page of a list: few enough to be made in a slice of the event loop (R10). */
const PAGE_ROWS_MAX = 200;
const PAGE_BYTES_MAX = 96 * 1024;
/** What a row takes beside its arguments. */
const ROW_BYTES = 400;

/** A client's connection, as operators see it. */
export interface ConnectionRow {
  readonly owner: ConnectionOwner;
  readonly user: string;
  readonly vhost: string;
  readonly protocol: string;
  readonly peerAddress: string;
  /** The client's own name for it. */
  readonly clientName?: string | undefined;
  readonly details?: ConnectionDetails | undefined;
  /** `blocked`: publishers wait for an alarm to end; `flow`: for the cluster to keep up. */
  readonly state: 'running' | 'blocked' | 'flow';
  readonly channels: number;
  /** Milliseconds since 1970. */
  readonly connectedAtMs: number;
}

export interface ChannelRow {
  readonly owner: ConnectionOwner;
  readonly channel: number;
  readonly user: string;
  readonly vhost: string;
  readonly consumers: number;
  /** Delivered and to be acknowledged. */
  readonly unacked: number;
  /** Published and to be confirmed. */
  readonly unconfirmed: number;
  /** Of each consumer that opens; 0 is unlimited. */
  readonly prefetch: number;
  /** Of the channel's consumers together; 0 is unlimited. */
  readonly globalPrefetch: number;
}

export interface ConsumerRow {
  readonly owner: ConnectionOwner;
  readonly channel: number;
  readonly vhost: string;
  readonly queue: string;
  /** The queue's own name for it, with node and incarnation of its owner. */
  readonly consumer: ConsumerId;
  /** Set if the queue serves one consumer at a time, so that its home knows whether this is the one. */
  readonly singleActiveOf?: QueueId | undefined;
  readonly tag: string;
  readonly autoAck: boolean;
  readonly exclusive: boolean;
  /** Unsettled messages at most; 0 is unlimited. */
  readonly prefetch: number;
  readonly unacked: number;
  /** Its queue knows it; and hands out messages to it, if it serves all its consumers. */
  readonly active: boolean;
  /** An encoded field table (`field-table-codec.ts`). */
  readonly arguments: Uint8Array;
}

export interface ClientRows {
  readonly connections: ConnectionRow;
  readonly channels: ChannelRow;
  readonly consumers: ConsumerRow;
}
export type ClientList = keyof ClientRows;

/** Behind which connection, channel and consumer a list goes on: their numbers in the order in which they came. */
export type ListPosition = readonly [connection: number, session: number, consumer: number];
export const LIST_START: ListPosition = [0, 0, 0];

export interface ClientPage<List extends ClientList> {
  readonly rows: readonly ClientRows[List][];
  /** Undefined: this was the last one. */
  readonly next: ListPosition | undefined;
}

/** What lists are made of. Each number ascends in the order of iteration. */
export interface ListedConnection {
  readonly owner: ConnectionOwner;
  row(): ConnectionRow;
  sessions(): Iterable<ListedSession>;
}

export interface ListedSession {
  readonly serial: number;
  row(): Omit<ChannelRow, 'owner' | 'user' | 'vhost'>;
  consumers(): Iterable<ListedConsumer>;
}

export interface ListedConsumer {
  readonly handle: number;
  row(): Omit<ConsumerRow, 'owner' | 'channel' | 'vhost'>;
}

/** One page of what is open now. Whoever comes or goes between two pages is in the list or not; nobody is in it twice. */
export function clientPage<List extends ClientList>(
  list: List,
  connections: Iterable<ListedConnection>,
  after: ListPosition,
): ClientPage<List> {
  const rows: ClientRows[ClientList][] = [];
  let bytes = 0;
  let last = after;
  for (const [position, row] of rowsBehind(list, connections, after)) {
    if (rows.length === PAGE_ROWS_MAX || bytes > PAGE_BYTES_MAX) {
      return { rows: rows as ClientRows[List][], next: last };
    }
    rows.push(row);
    bytes += ROW_BYTES + ('arguments' in row ? row.arguments.length : 0);
    last = position;
  }
  return { rows: rows as ClientRows[List][], next: undefined };
}

function* rowsBehind(
  list: ClientList,
  connections: Iterable<ListedConnection>,
  [connectionAfter, sessionAfter, consumerAfter]: ListPosition,
): Iterable<readonly [ListPosition, ClientRows[ClientList]]> {
  for (const connection of connections) {
    const { owner } = connection;
    const number = owner.connection;
    if (number < connectionAfter || (list === 'connections' && number === connectionAfter)) continue;
    const connectionRow = connection.row();
    if (list === 'connections') {
      yield [[number, 0, 0], connectionRow];
      continue;
    }
    const { user, vhost } = connectionRow;
    const isSame = number === connectionAfter;
    for (const session of connection.sessions()) {
      const { serial } = session;
      if (isSame && (serial < sessionAfter || (list === 'channels' && serial === sessionAfter))) continue;
      const channelRow = session.row();
      if (list === 'channels') {
        yield [[number, serial, 0], { owner, user, vhost, ...channelRow }];
        continue;
      }
      for (const consumer of session.consumers()) {
        if (isSame && serial === sessionAfter && consumer.handle <= consumerAfter) continue;
        const { channel } = channelRow;
        yield [[number, serial, consumer.handle], { owner, channel, vhost, ...consumer.row() }];
      }
    }
  }
}
