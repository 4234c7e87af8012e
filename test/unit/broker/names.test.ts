import { describe, expect, it } from 'vitest';
import {
  checkNameLength,
  checkNotReserved,
  generatedQueueName,
  replyQueueName,
  withoutLineBreaks,
} from '../../../src/broker/names.ts';

describe('names', () => {
  it('gives a queue without a name 22 characters of URL-safe base64 behind amq.gen-', () => {
    const bytes = new Uint8Array(16).map((_, i) => 255 - i * 7);
    expect(generatedQueueName(bytes)).toBe(`amq.gen-${Buffer.from(bytes).toString('base64url')}`);
    expect(generatedQueueName(new Uint8Array(16))).toBe('amq.gen-AAAAAAAAAAAAAAAAAAAAAA');
  });

  it('gives a queue for replies two parts, the second one padded base64, as RabbitMQ does', () => {
    const [, owner, key] = /^amq\.rabbitmq\.reply-to\.([^.]+)\.([^.]+)$/.exec(
      replyQueueName('amq.gen-AAECAwQFBgcICQoLDA0ODw'),
    )!;
    expect(owner).toBe('warren');
    expect(Buffer.from(key!, 'base64url')).toEqual(Buffer.from(Array.from({ length: 16 }, (_, i) => i)));
    expect(key).toMatch(/==$/);
  });

  it('accepts names of up to 255 bytes of UTF-8', () => {
    expect(checkNameLength('queue name', 'q'.repeat(255))).toBeUndefined();
    expect(checkNameLength('queue name', 'é'.repeat(127))).toBeUndefined();
    expect(checkNameLength('queue name', 'é'.repeat(128))).toEqual({
      code: 'invalid',
      text: 'queue name of 256 bytes; at most 255',
    });
  });

  it('keeps the prefix amq. for itself', () => {
    expect(checkNotReserved('queue', 'amq')).toBeUndefined();
    expect(checkNotReserved('queue', 'amq.mine')).toEqual({
      code: 'access-refused',
      text: "queue name 'amq.mine' contains reserved prefix 'amq.*'",
    });
  });

  it('drops line breaks from names', () => {
    expect(withoutLineBreaks('or\r\nders\n')).toBe('orders');
  });
});
