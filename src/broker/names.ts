import { assert } from '../lib/assert.ts';
import { utf8Encode } from '../lib/bytes.ts';
import type { BrokerError } from './broker-error.ts';

/** What an AMQP short string holds: names of exchanges and queues, routing keys, vhosts. */
export const NAME_BYTES_MAX = 255;
export const RESERVED_PREFIX = 'amq.';
export const DEFAULT_VHOST = '/';
export const DEFAULT_EXCHANGE = '';
/** Stands for the channel's own replies (RabbitMQ, "Direct Reply-to"); with a dot and a token behind it for those of one channel. */
export const REPLY_QUEUE = 'amq.rabbitmq.reply-to';
export const REPLY_QUEUE_PREFIX = `${REPLY_QUEUE}.`;

const GENERATED_PREFIX = 'amq.gen-';
const GENERATED_BYTES = 16;
const BASE64_URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** `what` begins the refusal's text: `queue name of 300 bytes; at most 255`. */
export function checkNameLength(what: string, name: string): BrokerError | undefined {
  // A UTF-16 unit takes at most three bytes, so short names need not be encoded to be measured.
  if (name.length * 3 <= NAME_BYTES_MAX) return undefined;
  const bytes = utf8Encode(name).length;
  if (bytes <= NAME_BYTES_MAX) return undefined;
  return { code: 'invalid', text: `${what} of ${bytes} bytes; at most ${NAME_BYTES_MAX}` };
}

/** RabbitMQ's words for a client that creates something under `amq.`. */
export function checkNotReserved(kind: 'exchange' | 'queue', name: string): BrokerError | undefined {
  if (!name.startsWith(RESERVED_PREFIX)) return undefined;
  return { code: 'access-refused', text: `${kind} name '${name}' contains reserved prefix 'amq.*'` };
}

/** RabbitMQ drops carriage returns and line feeds from names that are declared, bound or deleted. */
export function withoutLineBreaks(name: string): string {
  return name.includes('\n') || name.includes('\r') ? name.replace(/[\r\n]/g, '') : name;
}

/** `amq.gen-` and 22 characters of URL-safe base64, out of 16 random bytes. */
export function generatedQueueName(random: Uint8Array): string {
  assert(random.length === GENERATED_BYTES, () => `${random.length} random bytes; ${GENERATED_BYTES} wanted`);
  let name = GENERATED_PREFIX;
  for (let at = 0; at < GENERATED_BYTES; at += 3) {
    const bits = (random[at]! << 16) | ((random[at + 1] ?? 0) << 8) | (random[at + 2] ?? 0);
    const characters = at + 3 <= GENERATED_BYTES ? 4 : 2;
    for (let i = 0; i < characters; i++) name += BASE64_URL[(bits >> (18 - 6 * i)) & 63];
  }
  return name;
}

/** A queue for the replies to one channel, out of a generated name. Of RabbitMQ's shape: an owner, a dot, padded base64. */
export const replyQueueName = (generated: string): string =>
  `${REPLY_QUEUE_PREFIX}warren.${generated.slice(GENERATED_PREFIX.length)}==`;

/** How RabbitMQ names a thing in its texts: `queue 'q' in vhost '/'`. */
export const described = (kind: 'exchange' | 'queue', vhost: string, name: string): string =>
  `${kind} '${name}' in vhost '${vhost}'`;
