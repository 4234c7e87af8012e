import { expect } from 'vitest';
import type { FieldTable, FieldValue } from '../../src/broker/field-table.ts';
import { utf8Decode, utf8Encode } from '../../src/lib/bytes.ts';
import { type AmqpError, replyText } from '../../src/protocols/amqp/amqp-error.ts';
import { type ConnectionHost, ConnectionMachine } from '../../src/protocols/amqp/connection-machine.ts';
import { ContentMemory } from '../../src/protocols/amqp/content-memory.ts';
import { FrameParser } from '../../src/protocols/amqp/frame-parser.ts';
import type { FrameWriter } from '../../src/protocols/amqp/frame-writer.ts';
import { type AmqpLimits, DEFAULT_LIMITS } from '../../src/protocols/amqp/limits.ts';
import type { Method } from '../../src/protocols/amqp/methods.ts';
import { type BasicProperties, decodeProperties, encodeProperties } from '../../src/protocols/amqp/properties.ts';
import { METHODS, type MethodName, PROTOCOL_HEADER } from '../../src/protocols/amqp/spec.ts';
import { contentBytes, joined, methodBytes, newWriter, type Received, readAll, takeBytes } from './amqp-client.ts';
import { MemoryBroker } from './memory-broker.ts';

/** The shell of a connection without socket and timers: what it would do is collected. */
export class TestConnection implements ConnectionHost {
  readonly broker: MemoryBroker;
  readonly machine: ConnectionMachine;
  readonly writer: FrameWriter;
  readonly #parser: FrameParser;
  readonly events: string[] = [];
  readonly serverContent = new ContentMemory();
  #names = 0;
  #pending = 0;

  constructor(limits: Partial<AmqpLimits> = {}, broker = new MemoryBroker()) {
    this.broker = broker;
    this.writer = newWriter();
    const all = { ...DEFAULT_LIMITS, ...limits };
    this.#parser = new FrameParser(all.frameBytesMax);
    this.machine = new ConnectionMachine(
      { broker, limits: all, peerAddress: 'test:1', writer: this.writer, serverContent: this.serverContent },
      this,
    );
  }

  /** As a connection does with a chunk. Also called without bytes, to go on after a hold. */
  push(bytes: Uint8Array = new Uint8Array(0)): void {
    const chunk = bytes.slice();
    this.#parser.push(chunk);
    while (this.machine.mayRead) {
      const frame = this.#parser.next();
      if (frame === undefined) {
        if (this.#parser.error !== undefined) this.machine.parserFailed(this.#parser.error);
        break;
      }
      if (!this.machine.feed(frame)) {
        this.#parser.unread();
        break;
      }
    }
    this.machine.endOfInput();
    this.#parser.retain();
    // Nothing may refer to the chunk any more (R20): whoever does reads this instead.
    chunk.fill(0xee);
  }

  /** Lets the broker answer, then takes the output. */
  async turn(): Promise<Uint8Array> {
    for (let i = 0; i < 8; i++) await Promise.resolve();
    this.push();
    for (let i = 0; i < 8 && this.#pending > 0; i++) await Promise.resolve();
    this.machine.beforeFlush();
    const connection = this.machine.brokerConnection;
    const output = takeBytes(this.writer);
    if (connection !== undefined) connection.flushed(connection.deliveredMark());
    return output;
  }

  wait<Value>(answer: Promise<Value>, then: (value: Value) => void): void {
    this.#pending++;
    void answer.then(value => {
      this.#pending--;
      then(value);
    });
  }

  wake(): void {}
  inputMayGoOn(): void {}
  opened(): void {}

  tuned({ heartbeatSeconds, frameBytesMax }: { heartbeatSeconds: number; frameBytesMax: number }): void {
    this.#parser.frameBytesMax = frameBytesMax;
    this.events.push(`tuned heartbeat=${heartbeatSeconds} frameMax=${frameBytesMax}`);
  }

  closing(): void {
    this.events.push('closing');
  }

  left(): void {
    this.events.push('left');
  }

  end(): void {
    this.events.push('end');
  }

  report(error: AmqpError): void {
    this.events.push(`report ${replyText(error)}`);
  }

  generateName(): string {
    return String(++this.#names).padStart(22, '0');
  }
}

export const HANDSHAKE: readonly Method[] = [
  {
    name: 'connection.start-ok',
    clientProperties: new Map<string, FieldValue>([
      [
        'capabilities',
        {
          type: 'table',
          value: new Map<string, FieldValue>(
            ['connection.blocked', 'consumer_cancel_notify', 'authentication_failure_close'].map(name => [
              name,
              { type: 'boolean', value: true },
            ]),
          ),
        },
      ],
    ]),
    mechanism: 'PLAIN',
    response: utf8Encode('\0guest\0guest'),
    locale: 'en_US',
  },
  { name: 'connection.tune-ok', channelMax: 2047, frameMax: 131_072, heartbeat: 60 },
  { name: 'connection.open', virtualHost: '/' },
];

/** A connection whose handshake is done, with channel 1 open. */
export async function openConnection(limits: Partial<AmqpLimits> = {}, broker?: MemoryBroker): Promise<TestConnection> {
  const connection = new TestConnection(limits, broker);
  connection.push(new Uint8Array(PROTOCOL_HEADER));
  for (const method of HANDSHAKE) {
    connection.push(methodBytes(0, method));
    await connection.turn();
  }
  connection.push(methodBytes(1, { name: 'channel.open' }));
  await connection.turn();
  connection.events.length = 0;
  return connection;
}

/**
 * Replays a transcript and compares it with what really happens.
 *
 * `> 1 queue.declare queue=q` is a frame of the client; lines that follow each other are one chunk. `> 1 basic.publish
 * routingKey=q body=hello` carries content. `! hold`, `! resume`, `! delay`, `! release` tell the broker. `< ...` is what the
 * client reads, `* ...` what the connection asks of its shell, `= ...` what the broker is told of settlements. Fields with
 * default values (false, 0, empty) are left out.
 */
export async function expectTranscript(connection: TestConnection, transcript: string): Promise<void> {
  const lines = transcript
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '');
  const real: string[] = [];
  let chunk: Uint8Array[] = [];
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!;
    if (!/^[>!]/.test(line)) continue;
    real.push(line);
    if (line.startsWith('>')) chunk.push(clientFrames(line.slice(2)));
    else command(connection.broker, line.slice(2));
    if (line.startsWith('>') && lines[i + 1]?.startsWith('>')) continue;
    if (chunk.length > 0) connection.push(joined(...chunk));
    chunk = [];
    const received = readAll(await connection.turn());
    real.push(...received.map(rendered));
    real.push(...connection.broker.calls.splice(0).map(call => `= ${call}`));
    real.push(...connection.events.splice(0).map(event => `* ${event}`));
  }
  expect(real.join('\n')).toBe(lines.join('\n'));
}

function command(broker: MemoryBroker, text: string): void {
  if (text === 'hold alarm') broker.hold({ kind: 'alarm', text: 'low on disk' });
  else if (text === 'hold') broker.hold({ kind: 'backlog' });
  else if (text === 'resume') broker.resume();
  else if (text === 'delay') broker.delayAnswers();
  else if (text === 'release') broker.releaseAnswers();
  else throw new Error(`unknown command ${text}`);
}

function clientFrames(text: string): Uint8Array {
  const [channel, name, ...pairs] = text.split(' ');
  const given = new Map(pairs.map(pair => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  const method: Record<string, unknown> = { name };
  for (const [field, type] of Object.entries<string>(METHODS[name as MethodName][2])) {
    const value = given.get(field);
    if (type === 'bit') method[field] = value === 'true';
    else if (type === 'shortstr') method[field] = value ?? '';
    else if (type === 'longstr') method[field] = utf8Encode((value ?? '').replaceAll('|', '\0'));
    else if (type === 'table') method[field] = new Map();
    else method[field] = type === 'longlong' ? BigInt(value ?? 0) : Number(value ?? 0);
  }
  const body = given.get('body');
  if (body === undefined) return methodBytes(Number(channel), method as unknown as Method);
  const properties = encodeProperties(givenProperties(given));
  return contentBytes(Number(channel), method as unknown as Method, properties, utf8Encode(body));
}

/** `CC=a,b` and `BCC=c` are headers with lists of texts, `CC:text=a` one with a text. */
function givenProperties(given: ReadonlyMap<string, string>): BasicProperties {
  const headers = new Map<string, FieldValue>();
  for (const name of ['CC', 'BCC']) {
    const list = given.get(name);
    const texts = list === '' ? [] : list?.split(',');
    if (texts) headers.set(name, { type: 'array', value: texts.map(value => ({ type: 'string', value })) });
    const text = given.get(`${name}:text`);
    if (text !== undefined) headers.set(name, { type: 'string', value: text });
  }
  const replyTo = given.get('replyTo');
  const expiration = given.get('expiration');
  return {
    ...(headers.size > 0 && { headers }),
    ...(replyTo !== undefined && { replyTo }),
    ...(expiration !== undefined && { expiration }),
  };
}

function rendered({ channel, method, properties, body }: Received): string {
  if (typeof method === 'string') return `< ${channel} ${method}`;
  const words = [`< ${channel} ${method.name}`];
  for (const [field, value] of Object.entries(method) as [string, unknown][]) {
    if (field === 'name' || value === '' || value === 0 || value === 0n || value === false) continue;
    const text = value instanceof Map ? `{${[...(value as FieldTable).keys()].join(',')}}` : value;
    words.push(`${field}=${text instanceof Uint8Array ? utf8Decode(text) : text}`);
  }
  const { headers, replyTo, expiration } = decodeProperties(properties ?? encodeProperties({}))!;
  if (headers !== undefined) words.push(`headers={${[...headers.keys()].join(',')}}`);
  if (replyTo !== undefined) words.push(`replyTo=${replyTo}`);
  if (expiration !== undefined) words.push(`expiration=${expiration}`);
  if (body !== undefined) words.push(`body=${utf8Decode(body)}`);
  return words.join(' ');
}
