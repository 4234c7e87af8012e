import type { BrokerError } from '../../broker/broker-error.ts';
import type { QueueRecord, TopologyChange } from '../../broker/topology-records.ts';
import { assert, unreachable } from '../../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { utf8Decode, utf8Encode } from '../../lib/bytes.ts';
import { type Incarnation, incarnation, type NodeId, nodeId } from '../../lib/ids.ts';
import type { RequestId } from './metadata-commands.ts';
import { readQueue, writeQueue } from './record-codec.ts';

export type MetadataReply =
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly error: BrokerError }
  | { readonly kind: 'queue-declared'; readonly queue: QueueRecord; readonly created: boolean }
  | { readonly kind: 'started'; readonly incarnation: Incarnation }
  | { readonly kind: 'joined'; readonly node: NodeId }
  /** The sender's incarnation is not the current one any more, for ever; nothing was done. */
  | { readonly kind: 'fenced' }
  /** An old repeat: the sender has said that it saw the reply. */
  | { readonly kind: 'forgotten' };

/** To whom a reply goes. `id` as in the request. */
export interface MetadataAnswer {
  readonly id: RequestId | undefined;
  readonly reply: MetadataReply;
}

/** What one entry did. Every replica gets the same; only the leader sends answers. */
export interface MetadataEffects {
  /** One per request of the entry, in its order. */
  readonly answers: readonly MetadataAnswer[];
  /** In order. Hosts of volatile queues create and end them by these. */
  readonly changes: readonly TopologyChange[];
  /** Incarnations of these nodes up to `through` are fenced from now on (R24). */
  readonly fenced: readonly FencedStarts[];
  readonly membersChanged: boolean;
  readonly shardsChanged: boolean;
  /** Users, vhosts, permissions or limits. */
  readonly accessChanged: boolean;
}

export interface FencedStarts {
  readonly node: NodeId;
  readonly through: Incarnation;
}

/** On disk and on the wire for ever. */
const ReplyKind = { done: 0, refused: 1, queueDeclared: 2, started: 3, joined: 4, fenced: 5, forgotten: 6 } as const;

export function writeReply(out: ByteWriter, reply: MetadataReply): void {
  switch (reply.kind) {
    case 'done':
      out.u8(ReplyKind.done);
      break;
    case 'refused':
      out.u8(ReplyKind.refused);
      out.block(utf8Encode(JSON.stringify(reply.error)));
      break;
    case 'queue-declared':
      out.u8(ReplyKind.queueDeclared);
      out.u8(reply.created ? 1 : 0);
      writeQueue(out, reply.queue);
      break;
    case 'started':
      out.u8(ReplyKind.started);
      out.u32(reply.incarnation);
      break;
    case 'joined':
      out.u8(ReplyKind.joined);
      out.u32(reply.node);
      break;
    case 'fenced':
      out.u8(ReplyKind.fenced);
      break;
    case 'forgotten':
      out.u8(ReplyKind.forgotten);
      break;
    default:
      unreachable(reply);
  }
}

export function readReply(reader: ByteReader): MetadataReply {
  const kind = reader.u8();
  switch (kind) {
    case ReplyKind.done:
      return { kind: 'done' };
    case ReplyKind.refused:
      return { kind: 'refused', error: JSON.parse(utf8Decode(reader.block())) as BrokerError };
    case ReplyKind.queueDeclared: {
      const created = reader.u8() === 1;
      return { kind: 'queue-declared', queue: readQueue(reader), created };
    }
    case ReplyKind.started:
      return { kind: 'started', incarnation: incarnation(reader.u32()) };
    case ReplyKind.joined:
      return { kind: 'joined', node: nodeId(reader.u32()) };
    case ReplyKind.fenced:
      return { kind: 'fenced' };
    default:
      assert(kind === ReplyKind.forgotten, () => `reply of unknown kind ${kind}`);
      return { kind: 'forgotten' };
  }
}
