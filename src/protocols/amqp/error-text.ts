import type { BrokerError } from '../../broker/broker-error.ts';
import { unreachable } from '../../lib/assert.ts';
import { type AmqpError, amqpError } from './amqp-error.ts';

/** A broker's refusal in RabbitMQ's reply code and words, which clients match on. */
export function toAmqpError(error: BrokerError): AmqpError {
  switch (error.code) {
    case 'access-refused':
      return amqpError('access-refused', error.text);
    case 'no-vhost':
      return amqpError('not-allowed', `vhost ${error.vhost} not found`);
    case 'no-user':
      return amqpError('not-found', `no user '${error.user}'`);
    case 'no-exchange':
      return amqpError('not-found', `no exchange ${named(error)}`);
    case 'no-queue':
      return amqpError('not-found', `no queue ${named(error)}`);
    case 'inequivalent': {
      const what = `inequivalent arg '${error.argument}' for ${error.kind} ${named(error)}`;
      return amqpError('precondition-failed', `${what}: received ${error.received} but current is ${error.current}`);
    }
    case 'locked':
      return amqpError(
        'resource-locked',
        `cannot obtain exclusive access to locked queue ${named(error)}. It could be originally declared on another ` +
          'connection or the exclusive property value does not match that of the original declaration.',
      );
    case 'exclusive-consumer':
      return amqpError('access-refused', `queue ${named(error)} in exclusive use`);
    case 'in-use':
      return amqpError('precondition-failed', `${error.kind} ${named(error)} in use`);
    case 'unknown-exchange-type':
      return amqpError('command-invalid', `unknown exchange type '${error.type}'`);
    case 'not-empty':
      return amqpError('precondition-failed', `queue ${named(error)} not empty`);
    case 'exists':
    case 'invalid':
      return amqpError('precondition-failed', error.text);
    case 'not-implemented':
      return amqpError('not-implemented', error.text);
    case 'too-large':
      return amqpError(
        'precondition-failed',
        `message size ${error.bytes} is larger than configured max size ${error.bytesMax}`,
      );
    case 'unavailable':
      // RabbitMQ's answer to a quorum queue without a majority: the channel ends, the connection stays.
      return amqpError('not-found', `failed to perform operation due to timeout: ${error.text}`);
    default:
      return unreachable(error);
  }
}

const named = (error: { readonly vhost: string; readonly name: string }): string =>
  `'${error.name}' in vhost '${error.vhost}'`;
