import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/broker/broker.ts';
import { ByteWriter, bytesEqual, utf8Encode } from '../../../src/lib/bytes.ts';
import { ContentAssembler } from '../../../src/protocols/amqp/content-assembler.ts';
import { ContentMemory } from '../../../src/protocols/amqp/content-memory.ts';
import { type Frame, FrameParser } from '../../../src/protocols/amqp/frame-parser.ts';
import { deliverHead } from '../../../src/protocols/amqp/frame-writer.ts';
import { decodeProperties, encodeProperties } from '../../../src/protocols/amqp/properties.ts';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { cut, propertiesArb, shortstrArb } from '../../support/amqp-arbitraries.ts';
import { frameBytes, joined, newWriter, readAll, takeBytes } from '../../support/amqp-client.ts';

const FRAME_BYTES_MAX = 4096;
const frameArb = fc.record({
  type: fc.constantFrom(1, 2, 3, 8),
  channel: fc.integer({ min: 0, max: 65_535 }),
  payload: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ minLength: 300, maxLength: 700 })),
});

/** Frames found in chunks; every chunk is overwritten once it is retained. `refuse` says which frames are first unread. */
function parse(chunks: readonly Uint8Array[], refuse: (count: number) => boolean = () => false) {
  const parser = new FrameParser(FRAME_BYTES_MAX);
  const frames: { type: number; channel: number; payload: Uint8Array }[] = [];
  let asked = 0;
  for (const given of [...chunks, new Uint8Array(0), new Uint8Array(0)]) {
    const chunk = given.slice();
    parser.push(chunk);
    const views: { frame: Frame; payload: Uint8Array }[] = [];
    for (let frame = parser.next(); frame !== undefined; frame = parser.next()) {
      if (refuse(asked++)) {
        parser.unread();
        break;
      }
      const payload = frame.bytes.subarray(frame.start, frame.end);
      views.push({ frame: { ...frame }, payload });
    }
    // All views of a chunk stay valid until it is retained.
    for (const { frame, payload } of views)
      frames.push({ type: frame.type, channel: frame.channel, payload: payload.slice() });
    parser.retain();
    chunk.fill(0xee);
  }
  return { frames, error: parser.error };
}

describe('the frame parser', () => {
  it('finds the same frames however the bytes are cut, and whenever the reader stops', () => {
    fc.assert(
      fc.property(
        fc.array(frameArb, { maxLength: 12 }),
        fc.array(fc.nat()),
        fc.array(fc.boolean()),
        (frames, places, stops) => {
          const bytes = joined(
            new Uint8Array(PROTOCOL_HEADER),
            ...frames.map(({ type, channel, payload }) => frameBytes(type, channel, payload)),
          );
          const chunks = cut(bytes, places);
          const padded = [...chunks, ...stops.map(() => new Uint8Array(0))];
          const found = parse(padded, count => count > 0 && stops[count - 1] === true);
          expect(found.error).toBeUndefined();
          expect(found.frames.slice(1)).toEqual(frames);
          expect([...found.frames[0]!.payload]).toEqual(PROTOCOL_HEADER);
        },
      ),
    );
  });

  it('gives the frames before a wrong byte and then the error, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frameArb, { maxLength: 5 }), fc.array(fc.nat()), (frames, places) => {
        const good = frames.map(({ type, channel, payload }) => frameBytes(type, channel, payload));
        const bytes = joined(new Uint8Array(PROTOCOL_HEADER), ...good, new Uint8Array([9, 1, 2, 3]));
        const found = parse(cut(bytes, places));
        expect(found.frames.slice(1)).toEqual(frames);
        expect(found.error).toMatchObject({ reply: 'frame-error', text: 'unknown frame type 9' });
      }),
    );
  });

  it('holds no more than one frame of an incomplete stream', () => {
    const parser = new FrameParser(FRAME_BYTES_MAX);
    const bytes = joined(new Uint8Array(PROTOCOL_HEADER), frameBytes(3, 1, new Uint8Array(4000)));
    for (const byte of bytes.subarray(0, bytes.length - 1)) {
      parser.push(new Uint8Array([byte]));
      while (parser.next() !== undefined);
      parser.retain();
      expect(parser.heldBytes).toBeLessThanOrEqual(FRAME_BYTES_MAX);
    }
    parser.push(bytes.slice(-1));
    expect(parser.next()).toMatchObject({ type: 3, channel: 1 });
    parser.retain();
    expect(parser.heldBytes).toBe(0);
  });
});

/** A message block, with its body cut into `content` and `more`. */
function block(exchange: string, routingKey: string, properties: Uint8Array, body: readonly Uint8Array[]): Delivery {
  const writer = new ByteWriter();
  for (const text of [exchange, routingKey]) {
    const bytes = utf8Encode(text);
    writer.u8(bytes.length);
    writer.bytes(bytes);
  }
  writer.block(properties);
  writer.bytes(body[0]!);
  const content = writer.finish();
  return {
    consumer: 1,
    number: 1,
    redelivered: false,
    deliveryCount: 0,
    offset: -1,
    isOfQuorumQueue: false,
    content,
    more: body.slice(1),
  };
}

describe('the frame writer', () => {
  it('writes deliveries that a client reads as they were published, split by frame-max', () => {
    const bodyArb = fc.array(fc.uint8Array({ maxLength: 9000 }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(shortstrArb, shortstrArb, propertiesArb, bodyArb, (exchange, routingKey, properties, body) => {
        const writer = newWriter(FRAME_BYTES_MAX);
        const encoded = encodeProperties(properties);
        const delivery = block(exchange, routingKey, encoded, body);
        fc.pre(encoded.length < FRAME_BYTES_MAX - 100);
        writer.deliver(deliverHead(7, 'tag'), 2 ** 40 + 1, delivery);
        writer.getOk(8, 3, delivery, 4);
        const [delivered, gotten] = readAll(takeBytes(writer), FRAME_BYTES_MAX);
        const content = { properties: encoded, body: joined(...body) };
        const target = { redelivered: false, exchange, routingKey };
        const deliver = { name: 'basic.deliver', consumerTag: 'tag', deliveryTag: 2n ** 40n + 1n, ...target };
        expect(delivered).toEqual({ channel: 7, method: deliver, ...content });
        const getOk = { name: 'basic.get-ok', deliveryTag: 3n, ...target, messageCount: 4 };
        expect(gotten).toEqual({ channel: 8, method: getOk, ...content });
      }),
      { numRuns: 50 },
    );
  });

  it('tells how often a message of a quorum queue failed in a header, of other queues never', () => {
    const writer = newWriter(FRAME_BYTES_MAX);
    const plain = block('', 'q', encodeProperties({}), [new Uint8Array(1)]);
    for (const isOfQuorumQueue of [false, true]) {
      for (const deliveryCount of [0, 2]) {
        writer.deliver(deliverHead(1, 'tag'), 1, { ...plain, isOfQuorumQueue, deliveryCount });
        writer.getOk(1, 1, { ...plain, isOfQuorumQueue, deliveryCount }, 0);
      }
    }
    const counts = readAll(takeBytes(writer), FRAME_BYTES_MAX).map(({ properties }) =>
      decodeProperties(properties!)?.headers?.get('x-delivery-count'),
    );
    // Each time delivered, then got.
    const [none, two] = [0n, 2n].map(value => ({ type: 'int64', value }));
    expect(counts).toEqual([...Array(5).fill(undefined), none, two, two]);
  });

  it('tells the offset of a message of a stream in a header, of other queues never', () => {
    const writer = newWriter(FRAME_BYTES_MAX);
    const plain = block('', 'q', encodeProperties({ appId: 'a' }), [new Uint8Array(5_000), new Uint8Array(7)]);
    for (const offset of [-1, 0, 2 ** 40]) writer.deliver(deliverHead(1, 'tag'), 1, { ...plain, offset });
    const read = readAll(takeBytes(writer), FRAME_BYTES_MAX);
    expect(read.map(({ body }) => body?.length)).toEqual([5_007, 5_007, 5_007]);
    const headers = (value: bigint) => new Map([['x-stream-offset', { type: 'int64', value }]]);
    expect(read.map(({ properties }) => decodeProperties(properties!))).toEqual([
      { appId: 'a' },
      { appId: 'a', headers: headers(0n) },
      { appId: 'a', headers: headers(2n ** 40n) },
    ]);
  });

  it('keeps long bursts in order over several pieces of memory', () => {
    const writer = newWriter();
    const delivery = block('', 'q', encodeProperties({}), [new Uint8Array(20_000)]);
    for (let tag = 1; tag <= 20; tag++) writer.deliver(deliverHead(1, 'c'), tag, delivery);
    const { length } = writer;
    const bytes = takeBytes(writer);
    expect(bytes.length).toBe(length);
    const tags = readAll(bytes).map(
      ({ method }) => typeof method === 'object' && 'deliveryTag' in method && method.deliveryTag,
    );
    expect(tags).toEqual(Array.from({ length: 20 }, (_, i) => BigInt(i + 1)));
    expect(writer.length).toBe(0);
  });

  it('counts what no credit bounds', () => {
    const writer = newWriter();
    writer.deliver(deliverHead(1, 'c'), 1, block('', 'q', encodeProperties({}), [new Uint8Array(10)]));
    expect(writer.replyBytes).toBe(0);
    writer.ack(1, 1, false);
    expect(writer.replyBytes).toBe(21);
    takeBytes(writer);
    expect(writer.replyBytes).toBe(0);
  });
});

const header = (bodyBytes: number, classId = 60): Frame => {
  const bytes = frameBytes(2, 1, [0, classId, 0, 0, 0, 0, 0, 0, 0, 0, bodyBytes >> 8, bodyBytes & 255, 0, 0]);
  return { type: 2, channel: 1, bytes, start: 7, end: bytes.length - 1 };
};
const body = (length: number): Frame => ({ type: 3, channel: 1, bytes: new Uint8Array(length), start: 0, end: length });
const UNEXPECTED = 'unexpected-frame';

describe('the content assembler', () => {
  it.each([
    ['a header without a method', [], header(1), UNEXPECTED],
    ['a body without a method', [], body(1), UNEXPECTED],
    ['a body without a header', ['begin'], body(1), UNEXPECTED],
    ['a header of another class', ['begin'], header(1, 61), UNEXPECTED],
    ['a header that is cut off', ['begin'], { ...header(1), end: 12 }, 'frame-error'],
    ['a second header', ['begin', header(1)], header(1), UNEXPECTED],
    ['more body than announced', ['begin', header(1)], body(2), 'frame-error'],
    ['a body above the limit', ['begin'], header(1001), 'precondition-failed'],
  ] as const)('refuses %s', (_what, before, frame, reply) => {
    const assembler = new ContentAssembler(1000, new ContentMemory());
    for (const step of before) {
      if (step === 'begin') assembler.begin();
      else assembler.feed(step);
    }
    expect(assembler.feed(frame)).toMatchObject({ reply });
  });

  it.each([
    ['header', []],
    ['body', [header(1)]],
  ] as const)('refuses a method where a %s must come', (_what, frames) => {
    const assembler = new ContentAssembler(1000, new ContentMemory());
    assembler.begin();
    for (const frame of frames) assembler.feed(frame);
    expect(assembler.refuseMethod()).toMatchObject({ reply: UNEXPECTED });
    expect(assembler.begin()).toMatchObject({ reply: UNEXPECTED });
  });

  it('gathers a body of any frames over any chunks', () => {
    const bodyArb = fc.nat(60_000).map(length => Uint8Array.from({ length }, (_, i) => (i * 31) & 255));
    fc.assert(
      fc.property(
        bodyArb,
        fc.array(fc.nat(), { maxLength: 20 }),
        fc.array(fc.boolean()),
        (content, places, detaches) => {
          const assembler = new ContentAssembler(100_000, new ContentMemory());
          assembler.begin();
          let state = assembler.feed(header(content.length));
          const chunks = cut(content, places).map(piece => piece.slice());
          for (const [i, bytes] of chunks.entries()) {
            if (state === 'complete') break;
            state = assembler.feed({ type: 3, channel: 1, bytes, start: 0, end: bytes.length });
            if (detaches[i] !== true) continue;
            assembler.detach();
            for (const used of chunks.slice(0, i + 1)) used.fill(0xee);
          }
          expect(state).toBe('complete');
          expect(assembler.bodyBytes).toBe(content.length);
          expect(bytesEqual(joined(...assembler.parts), content)).toBe(true);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not let tiny frames cost more than their bytes', () => {
    const assembler = new ContentAssembler(100_000, new ContentMemory());
    assembler.begin();
    assembler.feed(header(50_000));
    for (let i = 0; i < 10_000; i++) {
      assembler.feed(body(1));
      assembler.detach();
    }
    expect(assembler.parts).toHaveLength(1);
  });
});
