import { utf8Encode } from '../../lib/bytes.ts';
import { readFields } from './field-table-wire.ts';
import { AmqpReader } from './primitives.ts';
import { decodeText } from './text.ts';

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** How a client proves who it is. One response and no challenges: the spec's others are not in use. */
export interface Mechanism {
  readonly name: string;
  /** Undefined: the response names nobody. */
  read(response: Uint8Array): Credentials | undefined;
}

/** RFC 4616: [authorization id] NUL user NUL password. */
const PLAIN: Mechanism = {
  name: 'PLAIN',
  read(response) {
    const first = response.indexOf(0);
    const second = response.indexOf(0, first + 1);
    if (first < 0 || second < 0) return undefined;
    return {
      user: decodeText(response, first + 1, second),
      password: decodeText(response, second + 1, response.length),
    };
  },
};

/** A field table without its length: LOGIN and PASSWORD. */
const AMQPLAIN: Mechanism = {
  name: 'AMQPLAIN',
  read(response) {
    const reader = new AmqpReader();
    reader.reset(response, 0, response.length);
    const fields = readFields(reader, response.length);
    const login = fields.get('LOGIN');
    const password = fields.get('PASSWORD');
    if (reader.failed || login?.type !== 'string' || password?.type !== 'string') return undefined;
    return { user: login.value, password: password.value };
  },
};

const MECHANISMS: readonly Mechanism[] = [PLAIN, AMQPLAIN];

export const MECHANISM_NAMES = utf8Encode(MECHANISMS.map(({ name }) => name).join(' '));

export const mechanismNamed = (name: string): Mechanism | undefined =>
  MECHANISMS.find(mechanism => mechanism.name === name);
