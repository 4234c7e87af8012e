import { ByteWriter } from '../../lib/bytes.ts';
import { PAYLOAD_HEADER_BYTES, writePayloadHeader } from '../../queue/entry-codec.ts';

const head = new ByteWriter(PAYLOAD_HEADER_BYTES);

/** Writes what stands before the batches of a shard's entry. */
export function writePayloadHead(payload: Uint8Array, timeMs: number): void {
  head.reset();
  writePayloadHeader(head, timeMs);
  payload.set(head.view());
}
