import { ByteReader, ByteWriter, utf8Encode } from '../../../src/lib/bytes.ts';
import type { QueueId } from '../../../src/lib/ids.ts';
import { decodeMessageBlock, type MessageFields } from '../../../src/queue/message-block.ts';

/** One publish of one publisher's connection. A repeat after an unknown outcome is another message with another id. */
export interface Message {
  /** Unique in the run, ascending in the order of publishing. */
  readonly id: number;
  /** The publisher's connection: the order of its messages is kept. */
  readonly connection: number;
  readonly queues: readonly QueueId[];
  readonly bodyBytes: number;
  /** How long it may wait in a queue. */
  readonly ttlMs: number | undefined;
}

const EXCHANGE = utf8Encode('simulated');
const EMPTY = new Uint8Array(0);

/** The body says which message it is, in every byte. */
export function fieldsOf({ id, bodyBytes, ttlMs }: Message): MessageFields {
  const body = new ByteWriter(bodyBytes + 12);
  body.u48(id);
  body.u32(bodyBytes);
  for (let i = 0; i < bodyBytes; i++) body.u8((id + i) & 0xff);
  return { exchange: EXCHANGE, routingKey: utf8Encode(`message ${id}`), properties: EMPTY, body: [body.view()], ttlMs };
}

/** The id in a message block; undefined if the bytes are not those of a message as it was published. */
export function readMessage(block: Uint8Array): { readonly id: number; readonly bodyBytes: number } | undefined {
  const { body } = decodeMessageBlock(block);
  if (body.length < 10) return undefined;
  const reader = new ByteReader(body);
  const id = reader.u48();
  const bodyBytes = reader.u32();
  if (reader.remaining !== bodyBytes) return undefined;
  for (let i = 0; i < bodyBytes; i++) if (reader.u8() !== ((id + i) & 0xff)) return undefined;
  return { id, bodyBytes };
}
