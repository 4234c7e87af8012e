import type { ByteReader, ByteWriter } from '../lib/bytes.ts';
import type { LogIndex, QueueId } from '../lib/ids.ts';
import type { PageKey } from '../raft/checkpoint.ts';
import { PageKind, PageTracker, StatePage } from './checkpoint-pages.ts';
import { Deadlines } from './deadlines.ts';
import { ShardEffects } from './effects.ts';
import { LargeMessages } from './large-messages.ts';
import { MACHINE_VERSION } from './limits.ts';
import { PendingWork } from './pending-work.ts';
import type { QueueState } from './queue-state.ts';
import { ChunkPool } from './reference-chunks.ts';
import { type HashMark, RunningHash } from './running-hash.ts';
import { SessionTable } from './sessions.ts';
import { Tombstones } from './tombstones.ts';

/**
 * Messages by what became of them, counted per reference since the shard's first entry. Always:
 * enqueued = ready + checked out + settled + purged + deleted + discarded + expired.
 */
export interface MessageCounters {
  enqueued: number;
  ready: number;
  checkedOut: number;
  settled: number;
  purged: number;
  /** Gone with their queue. */
  deleted: number;
  discarded: number;
  /** Waited for as long as their queue or their publisher allowed; or a stream keeps no more. */
  expired: number;
  /** Ranges of settlements that named nothing that the consumer held. */
  ignoredSettlements: number;
}

const COUNTER_NAMES = [
  'enqueued',
  'ready',
  'checkedOut',
  'settled',
  'purged',
  'deleted',
  'discarded',
  'expired',
  'ignoredSettlements',
] as const satisfies readonly (keyof MessageCounters)[];

/**
 * The state of one shard. Only files of this folder change it, each page after `tracker.touch(page)`. The state itself
 * is the page of the shard's own numbers.
 */
export class ShardState extends StatePage {
  readonly pageKey: PageKey = { space: 0, kind: PageKind.shard, number: 0 };

  applied: LogIndex = 0;
  /** Shard time never goes back (R28). */
  timeMs = 0;
  /** Behaviour version, raised by command (R22). */
  version = MACHINE_VERSION;
  nextSerial = 1;
  hash = new RunningHash();
  readonly counters: MessageCounters = {
    enqueued: 0,
    ready: 0,
    checkedOut: 0,
    settled: 0,
    purged: 0,
    deleted: 0,
    discarded: 0,
    expired: 0,
    ignoredSettlements: 0,
  };

  readonly queues = new Map<QueueId, QueueState>();
  readonly sessions = new SessionTable();
  readonly tombstones = new Tombstones();
  readonly large = new LargeMessages();
  readonly pending = new PendingWork();

  readonly tracker = new PageTracker();
  readonly pool = new ChunkPool();
  readonly unsettledColumns: Float64Array[] = [];
  readonly deadlines = new Deadlines();

  /** Of the `apply` under way. */
  effects = new ShardEffects();
  settlementsLeft = 0;
  dropsLeft = 0;
  deliveriesLeft = 0;
  expiriesLeft = 0;
  dueQueuesLeft = 0;

  constructor() {
    super();
    for (const page of [this, this.sessions, this.tombstones, this.pending]) this.tracker.touch(page);
  }

  /** Every page of the state, in no particular order. */
  *pages(): IterableIterator<StatePage> {
    yield this;
    yield this.sessions;
    yield this.tombstones;
    yield this.pending;
    yield* this.large.pages();
    for (const queue of this.queues.values()) {
      yield queue;
      if (queue.chunks) yield* queue.chunks.values();
      if (queue.consumers) for (const consumer of queue.consumers.values()) yield* consumer.unsettled.pages();
    }
    for (const queue of this.pending.deletedQueues()) if (queue.chunks) yield* queue.chunks.values();
  }

  encode(out: ByteWriter): void {
    out.u48(this.applied);
    out.f64(this.timeMs);
    out.u32(this.version);
    out.u48(this.nextSerial);
    out.u48(this.large.nextId);
    for (const name of COUNTER_NAMES) out.f64(this.counters[name]);
    out.u32(this.hash.value);
    out.u8(this.hash.marks.length);
    for (const mark of this.hash.marks) {
      out.u48(mark.index);
      out.u32(mark.hash);
    }
  }

  decode(from: ByteReader): void {
    this.applied = from.u48();
    this.timeMs = from.f64();
    this.version = from.u32();
    this.nextSerial = from.u48();
    this.large.nextId = from.u48();
    for (const name of COUNTER_NAMES) this.counters[name] = from.f64();
    const value = from.u32();
    const marks: HashMark[] = [];
    for (let count = from.u8(); count > 0; count--) marks.push({ index: from.u48(), hash: from.u32() });
    this.hash = new RunningHash(value, marks);
  }
}
