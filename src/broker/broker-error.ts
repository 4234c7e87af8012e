import { unreachable } from '../lib/assert.ts';

/**
 * What can go wrong with a request, without any protocol's numbers. Adapters translate: AMQP into reply codes and
 * RabbitMQ's words, gRPC into status codes. `BrokerError` values are answers, never thrown.
 */
export type BrokerError =
  | { readonly code: 'access-refused'; readonly text: string }
  | { readonly code: 'no-vhost'; readonly vhost: string }
  | { readonly code: 'no-user'; readonly user: string }
  | { readonly code: 'no-exchange'; readonly vhost: string; readonly name: string }
  | { readonly code: 'no-queue'; readonly vhost: string; readonly name: string }
  /** A declaration that differs from what exists: `inequivalent arg 'durable' for queue 'q' in vhost '/': received ... but current is ...`. */
  | {
      readonly code: 'inequivalent';
      readonly kind: 'exchange' | 'queue';
      readonly vhost: string;
      readonly name: string;
      readonly argument: string;
      readonly received: string;
      readonly current: string;
    }
  /** An exclusive queue of another connection, or a queue with an exclusive consumer. */
  | { readonly code: 'locked'; readonly vhost: string; readonly name: string }
  | { readonly code: 'exclusive-consumer'; readonly vhost: string; readonly name: string }
  | { readonly code: 'in-use'; readonly kind: 'exchange' | 'queue'; readonly vhost: string; readonly name: string }
  | { readonly code: 'unknown-exchange-type'; readonly type: string }
  | { readonly code: 'not-empty'; readonly vhost: string; readonly name: string }
  /** What is to be new is there already. */
  | { readonly code: 'exists'; readonly text: string }
  /** A value that is wrong in itself; the text says what would be right. */
  | { readonly code: 'invalid'; readonly text: string }
  /** Known to the protocol, but not offered here (yet). */
  | { readonly code: 'not-implemented'; readonly text: string }
  | { readonly code: 'too-large'; readonly bytes: number; readonly bytesMax: number }
  /** The operation would need a majority (or a node) that is not there; it may or may not have happened. */
  | { readonly code: 'unavailable'; readonly text: string };

/** As the answer to a request. */
export const failed = (error: BrokerError): { readonly ok: false; readonly error: BrokerError } => ({
  ok: false,
  error,
});

/** In words, for protocols that have none of their own and for operators. */
export function brokerErrorText(error: BrokerError): string {
  switch (error.code) {
    case 'no-vhost':
      return `there is no virtual host '${error.vhost}'`;
    case 'no-user':
      return `there is no user '${error.user}'`;
    case 'no-exchange':
      return `there is no exchange ${named(error)}`;
    case 'no-queue':
      return `there is no queue ${named(error)}`;
    case 'inequivalent':
      return `${error.kind} ${named(error)} exists with ${error.argument} ${error.current}, not ${error.received}`;
    case 'locked':
      return `queue ${named(error)} belongs to another connection alone`;
    case 'exclusive-consumer':
      return `queue ${named(error)} has or would get an exclusive consumer`;
    case 'in-use':
      return `${error.kind} ${named(error)} is in use`;
    case 'unknown-exchange-type':
      return `there is no exchange type '${error.type}'`;
    case 'not-empty':
      return `queue ${named(error)} is not empty`;
    case 'too-large':
      return `message of ${error.bytes} bytes; at most ${error.bytesMax}`;
    case 'access-refused':
    case 'exists':
    case 'invalid':
    case 'not-implemented':
    case 'unavailable':
      return error.text;
    default:
      return unreachable(error);
  }
}

const named = ({ vhost, name }: { readonly vhost: string; readonly name: string }): string =>
  `'${name}' in virtual host '${vhost}'`;
