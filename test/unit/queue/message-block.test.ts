import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteWriter } from '../../../src/lib/bytes.ts';
import {
  decodeMessageBlock,
  isMessageBlock,
  messageBlockBytes,
  writeMessageBlock,
} from '../../../src/queue/message-block.ts';
import { concat } from '../../support/shard-driver.ts';

const fieldsArb = fc.record({
  exchange: fc.uint8Array({ maxLength: 255 }),
  routingKey: fc.uint8Array({ maxLength: 255 }),
  properties: fc.uint8Array({ maxLength: 400 }),
  body: fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 4 }),
});

describe('a message block', () => {
  it('gives back the fields it was made of, the body in one piece', () => {
    fc.assert(
      fc.property(fieldsArb, fields => {
        const out = new ByteWriter();
        writeMessageBlock(out, fields);
        const block = out.finish();
        expect(block.length).toBe(messageBlockBytes(fields));
        expect(decodeMessageBlock(block)).toEqual({ ...fields, body: concat(fields.body) });
      }),
    );
  });

  it('is not accepted when its lengths reach beyond its end', () => {
    const out = new ByteWriter();
    writeMessageBlock(out, {
      exchange: new Uint8Array(3),
      routingKey: new Uint8Array(4),
      properties: new Uint8Array(5),
      body: [],
    });
    const block = out.finish();
    expect(isMessageBlock(block, 0, block.length)).toBe(true);
    for (let end = 0; end < block.length; end++) expect(isMessageBlock(block, 0, end)).toBe(false);
  });
});
