import type { BrokerIdentity } from '../../broker/broker.ts';
import type { FieldTable, FieldValue } from '../../broker/field-table.ts';
import { utf8Encode } from '../../lib/bytes.ts';
import { type AmqpError, amqpError, isAmqpError } from './amqp-error.ts';
import type { AmqpLimits } from './limits.ts';
import { type Credentials, MECHANISM_NAMES, mechanismNamed } from './mechanisms.ts';
import type { MethodOf } from './methods.ts';
import { FRAME_MIN_BYTES } from './spec.ts';

/** The release of RabbitMQ whose behaviour towards clients this adapter follows; clients look at it. */
const PRODUCT_VERSION = '3.10.8';
const LOCALES = 'en_US';
/** Of what a client says about itself is kept. */
const CLIENT_TEXT_LENGTH_MAX = 255;
const CAPABILITIES = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
] as const;

/** What the client said about itself in connection.start-ok. */
export interface ClientFacts {
  readonly name: string | undefined;
  readonly product: string | undefined;
  readonly version: string | undefined;
  readonly platform: string | undefined;
  readonly wantsBlocked: boolean;
  readonly wantsCancelNotify: boolean;
  readonly wantsAuthenticationClose: boolean;
}

export interface Tuning {
  readonly channelMax: number;
  readonly frameBytesMax: number;
  readonly heartbeatSeconds: number;
}

const text = (value: string): FieldValue => ({ type: 'string', value });
const yes: FieldValue = { type: 'boolean', value: true };

export function connectionStart(identity: BrokerIdentity): MethodOf<'connection.start'> {
  const capabilities: FieldTable = new Map(CAPABILITIES.map(name => [name, yes]));
  return {
    name: 'connection.start',
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: new Map<string, FieldValue>([
      ['capabilities', { type: 'table', value: capabilities }],
      ['cluster_name', text(identity.clusterName)],
      ['node', text(identity.nodeName)],
      ['platform', text('Node.js')],
      ['product', text('RabbitMQ')],
      ['version', text(PRODUCT_VERSION)],
      ['warren_version', text(identity.version)],
    ]),
    mechanisms: MECHANISM_NAMES,
    locales: utf8Encode(LOCALES),
  };
}

export function clientFacts(properties: FieldTable): ClientFacts {
  const capabilities = properties.get('capabilities');
  const has = (name: string): boolean => {
    const value = capabilities?.type === 'table' ? capabilities.value.get(name) : undefined;
    return value?.type === 'boolean' && value.value;
  };
  const told = (property: string): string | undefined => {
    const value = properties.get(property);
    return value?.type === 'string' ? value.value.slice(0, CLIENT_TEXT_LENGTH_MAX) : undefined;
  };
  return {
    name: told('connection_name'),
    product: told('product'),
    version: told('version'),
    platform: told('platform'),
    wantsBlocked: has('connection.blocked'),
    wantsCancelNotify: has('consumer_cancel_notify'),
    wantsAuthenticationClose: has('authentication_failure_close'),
  };
}

/** Undefined: the response names nobody. */
export function readCredentials(name: string, response: Uint8Array): Credentials | undefined | AmqpError {
  const mechanism = mechanismNamed(name);
  if (mechanism === undefined) return amqpError('command-invalid', `unknown authentication mechanism '${name}'`);
  return mechanism.read(response);
}

export const refusedLogin = (mechanism: string): AmqpError =>
  amqpError(
    'access-refused',
    `Login was refused using authentication mechanism ${mechanism}. For details see the broker logfile.`,
  );

/** The client's choice within the limits; 0 means no wish of its own. A wish outside is refused, as RabbitMQ does. */
export function negotiate(limits: AmqpLimits, tuneOk: MethodOf<'connection.tune-ok'>): Tuning | AmqpError {
  const channelMax = choose('channel_max', tuneOk.channelMax, 1, limits.channelMax);
  if (typeof channelMax !== 'number') return channelMax;
  const frameBytesMax = choose('frame_max', tuneOk.frameMax, FRAME_MIN_BYTES, limits.frameBytesMax);
  if (typeof frameBytesMax !== 'number') return frameBytesMax;
  return { channelMax, frameBytesMax, heartbeatSeconds: tuneOk.heartbeat };
}

function choose(field: string, wanted: number, min: number, max: number): number | AmqpError {
  if (wanted === 0) return max;
  if (wanted >= min && wanted <= max) return wanted;
  const limit =
    wanted < min ? `lower than the minimum allowed value (${min})` : `higher than the maximum allowed value (${max})`;
  return amqpError('not-allowed', `negotiated ${field} = ${wanted} is ${limit}`);
}

export const isRefusal = (value: object | undefined): value is AmqpError => value !== undefined && isAmqpError(value);
