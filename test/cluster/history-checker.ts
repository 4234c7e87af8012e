import type { History, HistoryEvent } from './history.ts';

/**
 * Judges a history by what DESIGN section 1 promises to clients. It knows nothing of the broker's insides: whatever it
 * reports, a user could have seen.
 *
 * It expects one queue, one consumer at a time, and that the queue was drained at the end.
 */
export type ViolationKind =
  /** A confirmed message was never delivered. */
  | 'lost'
  /** A message was delivered that nobody published. */
  | 'unknown-message'
  /** A message that had been delivered before came again without `redelivered`; also what a message stored twice looks like. */
  | 'unflagged-repeat'
  /** First deliveries of one publisher came in another order than its publishes. */
  | 'order'
  /** A message came again, or came first with `redelivered`, although no consumer that may have held it had left or returned it. */
  | 'needless-redelivery'
  /** A message came again although its ack had been sent long before its consumer's connection ended. */
  | 'settled-again';

export interface Violation {
  readonly kind: ViolationKind;
  readonly text: string;
}

export interface CheckOptions {
  /**
   * How much later than the broker a client may notice that its connection is gone. A killed process closes its sockets
   * at once; a stopped one closes them when it goes on.
   */
  readonly noticeMs?: number;
  /**
   * How long the broker may hand messages to a consumer whose node died: until that node's lease ends and it is fenced.
   * They come back flagged although their consumer left before they were published.
   */
  readonly fenceMs?: number;
  /** An ack sent so long before the end of its connection must have been carried out. */
  readonly settleMs?: number;
}

export interface HistoryReport {
  /** Messages that were due, sent or not. */
  readonly offered: number;
  readonly unsent: number;
  readonly confirmed: number;
  readonly refused: number;
  /** Different messages that arrived. */
  readonly delivered: number;
  /** Deliveries of messages that had arrived before. */
  readonly repeated: number;
  readonly confirmedShare: number;
  readonly counts: Readonly<Record<ViolationKind, number>>;
  /** The first few of each kind. */
  readonly examples: readonly Violation[];
}

const EXAMPLES_MAX = 5;
const CONFIRMED = 1;
const DELIVERED = 2;
const SETTLED = 4;
const RETURNED = 8;

/** What is known of the messages of one publishing connection, by sequence. */
interface Publisher {
  readonly flags: number[];
  readonly publishedMs: number[];
  /** Connection of the latest delivery. */
  readonly holder: number[];
  readonly settledMs: number[];
  /** Highest sequence among first deliveries without `redelivered`. */
  newest: number;
}

export function checkHistory(history: History, options: CheckOptions = {}): HistoryReport {
  const { noticeMs = 1_000, fenceMs = 15_000, settleMs = 5_000 } = options;
  const checker = new Checker(history, { noticeMs, fenceMs, settleMs });
  for (let row = 0; row < history.length; row++) checker.take(history.at(row));
  return checker.finish();
}

class Checker {
  readonly #history: History;
  readonly #bounds: Required<CheckOptions>;
  readonly #publishers = new Map<number, Publisher>();
  readonly #counts: Record<ViolationKind, number> = {
    lost: 0,
    'unknown-message': 0,
    'unflagged-repeat': 0,
    order: 0,
    'needless-redelivery': 0,
    'settled-again': 0,
  };
  readonly #examples: Violation[] = [];
  #published = 0;
  #unsent = 0;
  #confirmed = 0;
  #refused = 0;
  #delivered = 0;
  #repeated = 0;

  constructor(history: History, bounds: Required<CheckOptions>) {
    this.#history = history;
    this.#bounds = bounds;
  }

  take(event: HistoryEvent): void {
    switch (event.kind) {
      case 'published':
        this.#publish(event);
        return;
      case 'unsent':
        this.#unsent++;
        return;
      case 'confirmed':
        this.#confirmed++;
        this.#publisher(event.publisher).flags[event.sequence]! |= CONFIRMED;
        return;
      case 'refused':
        this.#refused++;
        return;
      case 'delivered':
        this.#deliver(event);
        return;
      case 'settled':
      case 'returned':
        this.#answer(event);
        return;
      default:
        return;
    }
  }

  finish(): HistoryReport {
    for (const [connection, publisher] of this.#publishers) {
      publisher.flags.forEach((flags, sequence) => {
        if ((flags & CONFIRMED) !== 0 && (flags & DELIVERED) === 0) {
          this.#report('lost', `message ${connection}-${sequence} was confirmed and never delivered`);
        }
      });
    }
    const offered = this.#published + this.#unsent;
    return {
      offered,
      unsent: this.#unsent,
      confirmed: this.#confirmed,
      refused: this.#refused,
      delivered: this.#delivered,
      repeated: this.#repeated,
      confirmedShare: offered === 0 ? 1 : this.#confirmed / offered,
      counts: this.#counts,
      examples: this.#examples,
    };
  }

  #publish(event: HistoryEvent): void {
    const publisher = this.#publisher(event.publisher);
    publisher.flags[event.sequence] = 0;
    publisher.publishedMs[event.sequence] = event.timeMs;
    this.#published++;
  }

  #answer(event: HistoryEvent): void {
    const publisher = this.#publisher(event.publisher);
    publisher.flags[event.sequence]! |= event.kind === 'settled' ? SETTLED : RETURNED;
    if (event.kind === 'settled') publisher.settledMs[event.sequence] = event.timeMs;
  }

  #deliver(event: HistoryEvent): void {
    const publisher = this.#publishers.get(event.publisher);
    const flags = publisher?.flags[event.sequence];
    if (publisher === undefined || flags === undefined) {
      this.#report('unknown-message', `${name(event)} was delivered and never published`);
      return;
    }
    if ((flags & DELIVERED) === 0) {
      this.#delivered++;
      this.#checkFirst(publisher, event);
    } else {
      this.#repeated++;
      this.#checkRepeat(publisher, event, flags);
    }
    publisher.flags[event.sequence] = (flags & CONFIRMED) | DELIVERED;
    publisher.holder[event.sequence] = event.connection;
  }

  #checkFirst(publisher: Publisher, event: HistoryEvent): void {
    if (event.redelivered) {
      if (!this.#someConsumerLeft(publisher.publishedMs[event.sequence]!, event.timeMs)) {
        this.#report(
          'needless-redelivery',
          `${name(event)} came first with redelivered, but no consumer had left that may have held it`,
        );
      }
      return;
    }
    if (event.sequence < publisher.newest) {
      this.#report('order', `${name(event)} was first delivered after ${event.publisher}-${publisher.newest}`);
    } else {
      publisher.newest = event.sequence;
    }
  }

  #checkRepeat(publisher: Publisher, event: HistoryEvent, flags: number): void {
    if (!event.redelivered) this.#report('unflagged-repeat', `${name(event)} came again without redelivered`);
    if ((flags & RETURNED) !== 0) return;
    const holder = publisher.holder[event.sequence]!;
    const { endMs, node } = this.#history.connections[holder]!;
    if (endMs > event.timeMs + this.#bounds.noticeMs) {
      const held = (flags & SETTLED) !== 0 ? 'had settled it' : 'held it';
      this.#report(
        'needless-redelivery',
        `${name(event)} came again on connection ${event.connection} at ${event.timeMs.toFixed(1)} ms, but connection ` +
          `${holder} at ${node} ${held} and was alive`,
      );
    } else if ((flags & SETTLED) !== 0 && endMs - publisher.settledMs[event.sequence]! > this.#bounds.settleMs) {
      this.#report('settled-again', `${name(event)} came again although it was settled long before its consumer left`);
    }
  }

  /** Whether some consumer may have been sent a message of this age and then left, before or about now. */
  #someConsumerLeft(sinceMs: number, nowMs: number): boolean {
    return this.#history.connections.some(
      record =>
        record.role === 'consumer' &&
        record.startMs <= nowMs &&
        record.endMs >= sinceMs - this.#bounds.fenceMs &&
        record.endMs <= nowMs + this.#bounds.noticeMs,
    );
  }

  #publisher(connection: number): Publisher {
    let publisher = this.#publishers.get(connection);
    if (publisher === undefined) {
      publisher = { flags: [], publishedMs: [], holder: [], settledMs: [], newest: -1 };
      this.#publishers.set(connection, publisher);
    }
    return publisher;
  }

  #report(kind: ViolationKind, text: string): void {
    if (this.#counts[kind]++ < EXAMPLES_MAX) this.#examples.push({ kind, text });
  }
}

const name = (event: HistoryEvent): string => `message ${event.publisher}-${event.sequence}`;
