import { ByteReader } from '../../lib/bytes.ts';
import { type QueueId, queueId } from '../../lib/ids.ts';
import { CommandKind, EnqueueFlag } from '../../queue/commands.ts';
import { BATCH_HEADER_BYTES } from '../../queue/entry-codec.ts';

/** Positions in an encoded batch of this node, from 0, of the publishes to several queues that name one of `queues`. */
export function publishesToAny(batch: Uint8Array, queues: ReadonlySet<QueueId>): number[] {
  const reader = new ByteReader(batch);
  reader.skip(BATCH_HEADER_BYTES);
  const found: number[] = [];
  for (let position = 0; reader.remaining > 0; position++) {
    const end = reader.u32() + reader.position;
    if (reader.u8() === CommandKind.enqueue) {
      const flags = reader.u8();
      if ((flags & EnqueueFlag.assembled) !== 0) reader.u32();
      if ((flags & EnqueueFlag.expires) !== 0) reader.u48();
      let isNamed = false;
      const count = reader.u16();
      for (let i = 0; i < count; i++) isNamed = queues.has(queueId(reader.u48())) || isNamed;
      if (isNamed && count > 1) found.push(position);
    }
    reader.skip(end - reader.position);
  }
  return found;
}
