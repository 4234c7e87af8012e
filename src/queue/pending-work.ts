import { assert, unreachable } from '../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import { type Incarnation, incarnation, type NodeId, nodeId, type QueueId, queueId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, StatePage } from './checkpoint-pages.ts';
import type { Settlement } from './commands.ts';
import type { Consumer } from './consumers.ts';
import type { QueueState } from './queue-state.ts';
import type { Session } from './sessions.ts';

/** Work on what consumers hold. In one order, so that an acknowledgement is not overtaken by its consumer's release. */
export type ReturnWork =
  | { readonly kind: 'settle'; readonly consumer: Consumer; readonly how: Settlement; next: number; last: number }
  | { readonly kind: 'release'; readonly consumer: Consumer }
  | { readonly kind: 'fence'; readonly session: Session };

/** References of purged or deleted messages, already counted as gone, whose bodies are still to be released. */
export type DropWork = { readonly kind: 'purge' | 'delete'; readonly queue: QueueState };

/** As a page holds it. */
export type DecodedReturnWork =
  | { readonly kind: 'settle'; readonly serial: number; readonly how: Settlement; next: number; last: number }
  | { readonly kind: 'release'; readonly serial: number }
  | { readonly kind: 'fence'; readonly node: NodeId; readonly incarnation: Incarnation };

export interface DecodedPendingWork {
  readonly returns: readonly DecodedReturnWork[];
  readonly drops: readonly { readonly kind: DropWork['kind']; readonly queue: QueueId }[];
  readonly touched: readonly QueueId[];
}

const RETURN_KINDS = ['settle', 'release', 'fence'] as const satisfies readonly ReturnWork['kind'][];
const DROP_KINDS = ['purge', 'delete'] as const satisfies readonly DropWork['kind'][];

/** What was left over when an `apply` had done its share (R21). One page of the checkpoint. */
export class PendingWork extends StatePage {
  readonly pageKey: PageKey = { space: 0, kind: PageKind.pending, number: 0 };
  /** First in, first out. */
  readonly returns: ReturnWork[] = [];
  readonly drops: DropWork[] = [];
  /** Queues that may have ready messages and consumers with credit, in the order in which they will be looked at. */
  touched: QueueState[] = [];

  get isEmpty(): boolean {
    return this.returns.length === 0 && this.drops.length === 0 && this.touched.length === 0;
  }

  touch(queue: QueueState): void {
    if (queue.isTouched) return;
    queue.isTouched = true;
    this.touched.push(queue);
  }

  deletedQueues(): QueueState[] {
    return this.drops.filter(work => work.kind === 'delete').map(work => work.queue);
  }

  encode(out: ByteWriter): void {
    out.u32(this.returns.length);
    for (const work of this.returns) encodeReturn(out, work);
    out.u32(this.drops.length);
    for (const work of this.drops) {
      out.u8(DROP_KINDS.indexOf(work.kind));
      out.u48(work.queue.id);
    }
    const touched = this.touched.filter(queue => !queue.isDeleted);
    out.u32(touched.length);
    for (const queue of touched) out.u48(queue.id);
  }
}

function encodeReturn(out: ByteWriter, work: ReturnWork): void {
  out.u8(RETURN_KINDS.indexOf(work.kind));
  switch (work.kind) {
    case 'settle':
      out.u48(work.consumer.serial);
      out.u8(work.how);
      out.u48(work.next);
      out.u48(work.last);
      return;
    case 'release':
      out.u48(work.consumer.serial);
      return;
    case 'fence':
      out.u32(work.session.node);
      out.u32(work.session.incarnation);
      return;
    default:
      unreachable(work);
  }
}

export function decodePendingWork(from: ByteReader): DecodedPendingWork {
  const returns = Array.from({ length: from.u32() }, () => decodeReturn(from));
  const drops = Array.from({ length: from.u32() }, () => {
    const kind = DROP_KINDS[from.u8()];
    assert(kind !== undefined, 'kind of pending work is unknown');
    return { kind, queue: queueId(from.u48()) };
  });
  const touched = Array.from({ length: from.u32() }, () => queueId(from.u48()));
  return { returns, drops, touched };
}

function decodeReturn(from: ByteReader): DecodedReturnWork {
  const kind = RETURN_KINDS[from.u8()];
  assert(kind !== undefined, 'kind of pending work is unknown');
  switch (kind) {
    case 'settle':
      return { kind, serial: from.u48(), how: from.u8() as Settlement, next: from.u48(), last: from.u48() };
    case 'release':
      return { kind, serial: from.u48() };
    case 'fence':
      return { kind, node: nodeId(from.u32()), incarnation: incarnation(from.u32()) };
    default:
      return unreachable(kind);
  }
}
