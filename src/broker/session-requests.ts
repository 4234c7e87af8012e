import type { BindingRequest, ExchangeBindingRequest, QueueDeclare, QueueDeclared, Result } from './broker.ts';
import type { BindRequest } from './declarations.ts';
import { EMPTY_TABLE } from './field-table.ts';
import { REPLY_QUEUE, REPLY_QUEUE_PREFIX } from './names.ts';
import type { TopologyView } from './topology.ts';
import type { ConnectionOwner } from './topology-records.ts';

/** Where a session is. */
export interface SessionPlace {
  readonly vhost: string;
  readonly owner: ConnectionOwner;
}

export function queueBinding({ vhost, owner }: SessionPlace, request: BindingRequest): BindRequest {
  const { queue: name, exchange: source, routingKey } = request;
  const destination = { kind: 'queue', name } as const;
  return { vhost, source, destination, routingKey, arguments: request.arguments, owner };
}

export function exchangeBinding({ vhost, owner }: SessionPlace, request: ExchangeBindingRequest): BindRequest {
  const { destination: name, source, routingKey } = request;
  const destination = { kind: 'exchange', name } as const;
  return { vhost, source, destination, routingKey, arguments: request.arguments, owner };
}

/** A queue for replies to one channel ends with that channel's consumer. */
export const replyQueue = (name: string): QueueDeclare => ({
  name,
  passive: false,
  durable: false,
  exclusive: true,
  autoDelete: true,
  arguments: EMPTY_TABLE,
});

/** Queues for replies are known to `publish` and to a declaration, which tells whether somebody waits; to nothing else. */
export const isReplyQueue = (name: string): boolean => name.startsWith(REPLY_QUEUE);

export function checkReplyQueue(topology: TopologyView, vhost: string, name: string): Result<QueueDeclared> {
  const exists =
    name === REPLY_QUEUE || (name.startsWith(REPLY_QUEUE_PREFIX) && topology.queue(vhost, name) !== undefined);
  if (exists) return { ok: true, value: { name, messageCount: 0, consumerCount: 1 } };
  return { ok: false, error: { code: 'no-queue', vhost, name } };
}
