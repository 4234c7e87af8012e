import { ByteWriter } from '../../lib/bytes.ts';
import type { ConsumerId, GroupId, Incarnation } from '../../lib/ids.ts';
import type { BatchRefusal } from '../../queue/effects.ts';
import type { Outcome } from '../../queue/outcomes.ts';
import { FrameKind } from '../frames.ts';
import type { TurnTask } from '../group/group-host.ts';
import type { PeerLink } from '../transport/transport.ts';
import {
  DELIVERY_HEAD_BYTES,
  encodeAnswers,
  encodeAttach,
  encodeAttached,
  encodeConsumerCancelled,
  encodeRefused,
  writeDelivery,
} from './shard-frames.ts';
import type { AttachRequest, ShardLeaderPort, ShardLink } from './shard-link.ts';

/** A shard's leader on another node, as long as one link to it lives. */
export class RemoteShardLeader implements ShardLeaderPort {
  readonly #link: PeerLink;
  readonly #group: GroupId;
  readonly #queuedBytesMax: number;

  constructor(link: PeerLink, group: GroupId, queuedBytesMax: number) {
    this.#link = link;
    this.#group = group;
    this.#queuedBytesMax = queuedBytesMax;
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  attach(request: AttachRequest): void {
    this.#link.send('clients', FrameKind.attach, this.#group, encodeAttach(request));
  }

  batch(bytes: Uint8Array): boolean {
    if (this.#link.queuedBytes('clients') > this.#queuedBytesMax) return false;
    this.#link.send('clients', FrameKind.batch, this.#group, bytes);
    return true;
  }
}

/** A node that attached to a shard led here, over one link. Deliveries of a turn are gathered into few frames. */
export class RemoteShardLink implements ShardLink, TurnTask {
  readonly #link: PeerLink;
  readonly #group: GroupId;
  readonly #frameBytesMax: number;
  readonly #queuedBytesMax: number;
  readonly #deliveries = new ByteWriter(4096);
  readonly #wantsFlush: (link: RemoteShardLink) => void;

  constructor(
    options: { readonly group: GroupId; readonly frameBytesMax: number; readonly queuedBytesMax: number },
    deps: { readonly link: PeerLink; readonly wantsFlush: (link: RemoteShardLink) => void },
  ) {
    this.#link = deps.link;
    this.#group = options.group;
    this.#frameBytesMax = options.frameBytesMax;
    this.#queuedBytesMax = options.queuedBytesMax;
    this.#wantsFlush = deps.wantsFlush;
  }

  /** Deliveries stay with the leader as references instead of as bytes in the lane's queue. */
  get isCongested(): boolean {
    return this.#link.queuedBytes('clients') > this.#queuedBytesMax;
  }

  deliver(
    consumer: ConsumerId,
    number: number,
    deliveryCount: number,
    offset: number,
    mayLeap: boolean,
    content: Uint8Array,
    more: readonly Uint8Array[],
  ): void {
    const bytes = DELIVERY_HEAD_BYTES + content.length;
    if (this.#deliveries.length > 0 && this.#deliveries.length + bytes > this.#frameBytesMax) this.flush();
    if (this.#deliveries.length === 0) this.#wantsFlush(this);
    writeDelivery(this.#deliveries, consumer, number, deliveryCount, offset, mayLeap, content, more.length > 0);
    if (more.length === 0) return;
    this.flush();
    more.forEach((part, i) => {
      const isLast = Uint8Array.of(i === more.length - 1 ? 1 : 0);
      this.#link.send('clients', FrameKind.deliveryPart, this.#group, isLast, [part]);
    });
  }

  /** Sends the gathered deliveries. Called at the end of a turn, and before whatever must not overtake them. */
  flush(): void {
    if (this.#deliveries.length === 0) return;
    this.#link.send('clients', FrameKind.deliveries, this.#group, this.#deliveries.view());
    this.#deliveries.reset();
  }

  process(): void {
    this.flush();
  }

  attached(started: Incarnation, attach: number, lastSequence: number, unknown: readonly ConsumerId[]): void {
    const payload = encodeAttached(started, attach, lastSequence, unknown);
    this.#link.send('clients', FrameKind.attached, this.#group, payload);
  }

  detached(): void {
    this.#deliveries.reset();
  }

  answered(
    throughSequence: number,
    outcomes: readonly { readonly sequence: number; readonly outcome: Outcome }[],
  ): void {
    if (outcomes.length > 0) this.flush();
    this.#link.send('clients', FrameKind.answers, this.#group, encodeAnswers(throughSequence, outcomes));
  }

  consumerCancelled(consumer: ConsumerId): void {
    this.flush();
    this.#link.send('clients', FrameKind.consumerCancelled, this.#group, encodeConsumerCancelled(consumer));
  }

  refused(refusal: BatchRefusal): void {
    this.#link.send('clients', FrameKind.refused, this.#group, encodeRefused(refusal));
  }
}
