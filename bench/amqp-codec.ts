import type {
  Broker,
  BrokerConnection,
  BrokerSession,
  Delivery,
  Publish,
  PublishResult,
  SessionListener,
} from '../src/broker/broker.ts';
import { ByteWriter, utf8Encode } from '../src/lib/bytes.ts';
import { type ConnectionHost, ConnectionMachine } from '../src/protocols/amqp/connection-machine.ts';
import { ContentMemory } from '../src/protocols/amqp/content-memory.ts';
import { FrameParser } from '../src/protocols/amqp/frame-parser.ts';
import { FrameWriter } from '../src/protocols/amqp/frame-writer.ts';
import { DEFAULT_LIMITS } from '../src/protocols/amqp/limits.ts';
import type { Method } from '../src/protocols/amqp/methods.ts';
import { OutputPool } from '../src/protocols/amqp/output-pool.ts';
import { encodeProperties } from '../src/protocols/amqp/properties.ts';

/**
 * The adapter's cost per message without sockets: publishes parsed up to `session.publish`, deliveries and confirms written,
 * acknowledgements read. Prints a table and, as the last line, JSON.
 *
 * `npm run bench:amqp-codec`; arguments are body sizes in bytes.
 */
const MESSAGES = 400_000;
const CHUNK_BYTES = 65_536;

class NullSession {
  sequence = 0;
  bytes = 0;
  settled = 0;
  listener: SessionListener | undefined;

  publish(publish: Publish): PublishResult {
    this.sequence = publish.sequence;
    for (let i = 0; i < publish.body.length; i++) this.bytes += publish.body[i]!.length;
    return 'routed';
  }

  settle(_consumer: number, first: number, last: number): void {
    this.settled += last - first + 1;
  }

  consume(): Promise<unknown> {
    return Promise.resolve({ ok: true, value: undefined });
  }
}

const session = new NullSession();
const connection = {
  mayPublish: true,
  mayOpenSession: () => undefined,
  openSession: (listener: SessionListener) => {
    session.listener = listener;
    return session as unknown as BrokerSession;
  },
} as unknown as BrokerConnection;
const broker = {
  identity: { clusterName: 'bench', nodeName: 'bench', version: '0' },
  authenticate: () => undefined,
  connect: () => Promise.resolve({ ok: true, value: connection }),
} as unknown as Broker;

const host: ConnectionHost = {
  wait: (answer, then) => void answer.then(then),
  wake: () => {},
  inputMayGoOn: () => {},
  tuned: () => {},
  opened: () => {},
  closing: () => {},
  left: () => {},
  end: () => {},
  report: error => {
    throw new Error(error.text);
  },
  generateName: () => 'n'.repeat(22),
};

const pool = new OutputPool();
const parser = new FrameParser(DEFAULT_LIMITS.frameBytesMax);
const output = new FrameWriter(DEFAULT_LIMITS.frameBytesMax, pool, () => {});
const machine = new ConnectionMachine(
  { broker, limits: DEFAULT_LIMITS, peerAddress: 'bench', writer: output, serverContent: new ContentMemory() },
  host,
);

function feed(chunk: Uint8Array): void {
  parser.push(chunk);
  for (let frame = parser.next(); frame !== undefined; frame = parser.next()) machine.feed(frame);
  machine.endOfInput();
  parser.retain();
}

function flush(): void {
  machine.beforeFlush();
  for (const piece of output.take()) pool.give(piece.bytes);
}

function joined(writer: FrameWriter): Uint8Array {
  return new Uint8Array(Buffer.concat(writer.take().map(({ bytes, length }) => bytes.subarray(0, length))));
}

async function handshake(): Promise<void> {
  const client = new FrameWriter(DEFAULT_LIMITS.frameBytesMax, new OutputPool(), () => {});
  const send = async (channel: number, method: Method): Promise<void> => {
    client.method(channel, method);
    feed(joined(client));
    await Promise.resolve();
    await Promise.resolve();
    flush();
  };
  client.protocolHeader();
  const response = utf8Encode('\0guest\0guest');
  await send(0, { name: 'connection.start-ok', clientProperties: new Map(), mechanism: 'PLAIN', response, locale: '' });
  await send(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: 0, heartbeat: 0 });
  await send(0, { name: 'connection.open', virtualHost: '/' });
  await send(1, { name: 'channel.open' });
  await send(1, { name: 'confirm.select', noWait: false });
  const consume = { queue: 'q', consumerTag: 'ctag-1', noLocal: false, noAck: false, exclusive: false, noWait: true };
  await send(1, { name: 'basic.consume', ...consume, arguments: new Map() });
}

/** Whole messages, as a stream cut into socket-sized chunks. */
function publishChunks(bodyBytes: number): { readonly chunks: Uint8Array[]; readonly messages: number } {
  const client = new FrameWriter(DEFAULT_LIMITS.frameBytesMax, new OutputPool(), () => {});
  const properties = encodeProperties({ deliveryMode: 2, contentType: 'application/octet-stream' });
  const body = new Uint8Array(bodyBytes).fill(120);
  const messages = Math.max(64, Math.floor((32 * CHUNK_BYTES) / (bodyBytes + 80)));
  const method = { name: 'basic.publish', exchange: 'amq.direct', routingKey: 'orders.created' } as const;
  for (let i = 0; i < messages; i++) {
    client.content(1, { ...method, mandatory: false, immediate: false }, properties, [body], bodyBytes);
  }
  const bytes = joined(client);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  return { chunks, messages };
}

function delivery(bodyBytes: number): { -readonly [Key in keyof Delivery]: Delivery[Key] } {
  const writer = new ByteWriter(bodyBytes + 100);
  for (const text of ['amq.direct', 'orders.created']) {
    const bytes = utf8Encode(text);
    writer.u8(bytes.length);
    writer.bytes(bytes);
  }
  writer.block(encodeProperties({ deliveryMode: 2, contentType: 'application/octet-stream' }));
  writer.bytes(new Uint8Array(bodyBytes));
  return {
    consumer: 1,
    number: 0,
    redelivered: false,
    deliveryCount: 0,
    offset: -1,
    isOfQuorumQueue: false,
    content: writer.finish(),
    more: [],
  };
}

function measure(messages: number, run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 5; round++) {
    const start = process.hrtime.bigint();
    run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / messages);
  }
  return Math.round(best);
}

function benchPublish(bodyBytes: number): number {
  const { chunks, messages } = publishChunks(bodyBytes);
  const rounds = Math.ceil(MESSAGES / Math.max(1, bodyBytes / 1000) / messages);
  return measure(rounds * messages, () => {
    for (let round = 0; round < rounds; round++) {
      for (const chunk of chunks) {
        const before = session.sequence;
        feed(chunk);
        if (session.sequence > before) session.listener!.confirmed(before + 1, session.sequence);
        flush();
      }
    }
  });
}

/** Deliveries written and, in a second number, their single acknowledgements read. */
function benchDeliver(bodyBytes: number): { readonly deliver: number; readonly ack: number } {
  const one = delivery(bodyBytes);
  const count = Math.ceil(MESSAGES / Math.max(1, bodyBytes / 1000));
  const batch = 200;
  const client = new FrameWriter(DEFAULT_LIMITS.frameBytesMax, new OutputPool(), () => {});
  let deliverNs = 0n;
  let ackNs = 0n;
  for (let sent = 0; sent < count; sent += batch) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < batch; i++) {
      one.number = ++numbers;
      session.listener!.deliver(one);
    }
    flush();
    deliverNs += process.hrtime.bigint() - start;
    for (let i = numbers - batch + 1; i <= numbers; i++) client.ack(1, i, false);
    const chunk = joined(client);
    const between = process.hrtime.bigint();
    feed(chunk);
    ackNs += process.hrtime.bigint() - between;
  }
  return { deliver: Math.round(Number(deliverNs) / count), ack: Math.round(Number(ackNs) / count) };
}

let numbers = 0;
const sizes = process.argv.slice(2).map(Number);
await handshake();
const results: Record<string, Record<string, number>> = {};
for (const bodyBytes of sizes.length > 0 ? sizes : [100, 1024, 16_384]) {
  benchPublish(bodyBytes);
  benchDeliver(bodyBytes);
  results[bodyBytes] = { publishNs: benchPublish(bodyBytes), ...benchDeliver(bodyBytes) };
}
console.table(results);
console.log(JSON.stringify({ bench: 'amqp-codec', unit: 'ns/message', results }));
