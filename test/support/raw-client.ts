import { connect, type Socket } from 'node:net';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import { utf8Decode, utf8Encode } from '../../src/lib/bytes.ts';
import { isAmqpError } from '../../src/protocols/amqp/amqp-error.ts';
import { FrameParser } from '../../src/protocols/amqp/frame-parser.ts';
import { decodeMethod, type Method } from '../../src/protocols/amqp/methods.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from '../../src/protocols/amqp/properties.ts';
import { METHODS, type MethodName, PROTOCOL_HEADER } from '../../src/protocols/amqp/spec.ts';
import { contentBytes, joined, methodBytes } from './amqp-client.ts';

const FRAME_BYTES_MAX = 131_072;
/** What a broker makes up itself. */
const MADE_UP = /(amq\.(?:ctag|gen)-|amq\.rabbitmq\.reply-to\.)[\w+/=.-]+/;

const flag: FieldValue = { type: 'boolean', value: true };
const CAPABILITIES = ['consumer_cancel_notify', 'authentication_failure_close', 'basic.nack'];
const HELLO: readonly Method[] = [
  {
    name: 'connection.start-ok',
    clientProperties: new Map([['capabilities', { type: 'table', value: new Map(CAPABILITIES.map(c => [c, flag])) }]]),
    mechanism: 'PLAIN',
    response: utf8Encode('\0guest\0guest'),
    locale: 'en_US',
  },
  { name: 'connection.tune-ok', channelMax: 2047, frameMax: FRAME_BYTES_MAX, heartbeat: 0 },
  { name: 'connection.open', virtualHost: '/' },
];

/** The whole handshake at once, and channel 1: for who does not wait for answers. */
export const HELLO_BYTES = joined(
  new Uint8Array(PROTOCOL_HEADER),
  ...HELLO.map(method => methodBytes(0, method)),
  methodBytes(1, { name: 'channel.open' }),
);

/** A connection that sends exactly the methods it is told to, and shows as lines of text what comes back. */
export class RawClient {
  readonly #socket: Socket;
  readonly #parser = new FrameParser(FRAME_BYTES_MAX);
  /** What came and was not taken. */
  readonly lines: string[] = [];
  /** The last made-up name that came, whole. */
  madeUp = '';
  #onLine: () => void = () => {};

  private constructor(port: number) {
    this.#socket = connect(port, '127.0.0.1');
    this.#parser.push(new Uint8Array(PROTOCOL_HEADER));
    this.#parser.next();
    this.#parser.retain();
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk: Uint8Array) => this.#read(new Uint8Array(chunk)));
    this.#socket.on('close', () => this.#add('(closed)'));
  }

  /** With channel 1 open. */
  static async open(port: number): Promise<RawClient> {
    const client = new RawClient(port);
    client.send(new Uint8Array(PROTOCOL_HEADER));
    await client.until('connection.start ');
    client.send(methodBytes(0, HELLO[0]!));
    await client.until('connection.tune ');
    client.send(methodBytes(0, HELLO[1]!));
    client.send(methodBytes(0, HELLO[2]!));
    await client.until('connection.open-ok');
    await client.openChannel(1);
    return client;
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  async openChannel(channel: number): Promise<void> {
    this.send(methodBytes(channel, { name: 'channel.open' }));
    await this.until('channel.open-ok');
  }

  /** Takes lines until one holds these words. */
  async until(words: string): Promise<void> {
    for (let line = await this.next(); !line.includes(words); line = await this.next()) {
      if (line === '(closed)') throw new Error(`connection closed before ${words}`);
    }
  }

  async next(): Promise<string> {
    while (this.lines.length === 0) await this.more();
    return this.lines.shift()!;
  }

  /** Resolves when a line comes. */
  more(): Promise<void> {
    return new Promise(resolve => {
      this.#onLine = resolve;
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  #read(chunk: Uint8Array): void {
    this.#parser.push(chunk);
    for (let frame = this.#parser.next(); frame !== undefined; frame = this.#parser.next()) {
      const { type, channel, bytes, start, end } = frame;
      if (type === 1) {
        const method = decodeMethod(bytes, start, end);
        this.#add(isAmqpError(method) ? method.text : `${channel} ${shownMethod(method)}`);
      } else if (type === 2) {
        this.#add(`  ${shownFields(decodeProperties(bytes.slice(start + 12, end)) ?? {})}`.trimEnd());
      } else if (type === 3) this.#add(`  ${JSON.stringify(utf8Decode(bytes.subarray(start, end)))}`);
    }
    this.#parser.retain();
  }

  #add(line: string): void {
    this.madeUp = MADE_UP.exec(line)?.[0] ?? this.madeUp;
    this.lines.push(line.replace(MADE_UP, '$1...'));
    this.#onLine();
  }
}

const shownMethod = ({ name, ...fields }: Method): string => `${name} ${shownFields(fields)}`.trimEnd();

/** Fields with default values are left out. */
function shownFields(fields: object): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== '' && value !== 0 && value !== 0n && value !== false)
    .map(([field, value]) => `${field}=${shown(value)}`)
    .join(' ');
}

function shown(value: unknown): string {
  if (value instanceof Uint8Array) return JSON.stringify(utf8Decode(value));
  if (value instanceof Map) return `{${[...value].map(([key, field]) => `${key}:${shown(field)}`).join(',')}}`;
  if (Array.isArray(value)) return `[${value.map(shown).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const field = value as { readonly type: string; readonly value?: unknown };
  return `${field.type}(${field.value === undefined ? '' : shown(field.value)})`;
}

/** `1 queue.declare queue=q arguments=x-match:S:all;n:I:3`; with `body=`, content and properties. Letters are those of field tables. */
export function spoken(line: string): Uint8Array {
  const [channel, name, ...pairs] = line.split(' ');
  const given = new Map(pairs.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  const method: Record<string, unknown> = { name };
  for (const [field, type] of Object.entries<string>(METHODS[name as MethodName][2])) {
    const value = given.get(field);
    if (type === 'bit') method[field] = value === 'true';
    else if (type === 'shortstr') method[field] = value ?? '';
    else if (type === 'longstr') method[field] = utf8Encode(value ?? '');
    else if (type === 'table') method[field] = tableOf(value ?? '');
    else method[field] = type === 'longlong' ? BigInt(value ?? 0) : Number(value ?? 0);
  }
  const body = given.get('body');
  const frames = method as unknown as Method;
  if (body === undefined) return methodBytes(Number(channel), frames);
  return contentBytes(Number(channel), frames, encodeProperties(propertiesOf(given)), utf8Encode(body));
}

function propertiesOf(given: ReadonlyMap<string, string>): BasicProperties {
  const properties: BasicProperties = {};
  const headers = given.get('headers');
  if (headers !== undefined) properties.headers = tableOf(headers);
  for (const name of ['replyTo', 'correlationId', 'expiration', 'messageId', 'userId'] as const) {
    const value = given.get(name);
    if (value !== undefined) properties[name] = value;
  }
  return properties;
}

function tableOf(text: string): FieldTable {
  if (text === '') return new Map();
  return new Map(
    text.split(';').map(field => {
      const [key, letter, ...rest] = field.split(':');
      return [key!, fieldOf(letter!, rest.join(':'))];
    }),
  );
}

/** An array's items are joined by `+`, each with its letter in front. */
function fieldOf(letter: string, text: string): FieldValue {
  switch (letter) {
    case 't':
      return { type: 'boolean', value: text === 'true' };
    case 'I':
      return { type: 'int32', value: Number(text) };
    case 'l':
      return { type: 'int64', value: BigInt(text) };
    case 'd':
      return { type: 'double', value: Number(text) };
    case 'T':
      return { type: 'timestamp', value: BigInt(text) };
    case 'V':
      return { type: 'void' };
    case 'A':
      return { type: 'array', value: text === '' ? [] : text.split('+').map(item => fieldOf(item[0]!, item.slice(1))) };
    default:
      return { type: 'string', value: text };
  }
}
