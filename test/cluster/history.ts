import { once } from 'node:events';
import { createWriteStream } from 'node:fs';

/**
 * What clients saw, in the order in which they saw it: the only evidence the checker gets. One row per event, appended
 * and never changed. Rows live in columns because an hour at 1,000 messages per second is fifteen million of them.
 *
 * A message is named by the connection that published it and its sequence there, counted from 0 without gaps. A publish
 * with an unknown outcome that is tried again is another message: the first may or may not be in the queue.
 */
export type Role = 'publisher' | 'consumer';

export type EventKind =
  | 'connected'
  | 'ended'
  | 'published'
  | 'unsent'
  | 'confirmed'
  | 'refused'
  | 'delivered'
  | 'settled'
  | 'returned'
  | 'marked';

const KINDS: readonly EventKind[] = [
  'connected',
  'ended',
  'published',
  'unsent',
  'confirmed',
  'refused',
  'delivered',
  'settled',
  'returned',
  'marked',
];

export interface HistoryEvent {
  readonly kind: EventKind;
  /** Milliseconds on one monotonic clock. */
  readonly timeMs: number;
  /** The connection the event happened on; for a mark the index of the mark. */
  readonly connection: number;
  /** The connection that published the message, and its sequence there; both -1 when the event is about no message. */
  readonly publisher: number;
  readonly sequence: number;
  readonly redelivered: boolean;
}

export interface ConnectionRecord {
  readonly role: Role;
  readonly node: string;
  readonly startMs: number;
  /** Infinity while it is open. */
  endMs: number;
  reason: string;
}

export interface Mark {
  readonly label: string;
  readonly node: string;
  readonly timeMs: number;
}

const FIRST_CAPACITY = 4_096;

export class History {
  readonly connections: ConnectionRecord[] = [];
  readonly marks: Mark[] = [];
  readonly #now: () => number;
  #count = 0;
  #times = new Float64Array(FIRST_CAPACITY);
  #connections = new Int32Array(FIRST_CAPACITY);
  #publishers = new Int32Array(FIRST_CAPACITY);
  #sequences = new Int32Array(FIRST_CAPACITY);
  /** Kind in the low seven bits, `redelivered` in the eighth. */
  #kinds = new Uint8Array(FIRST_CAPACITY);

  constructor(now: () => number) {
    this.#now = now;
  }

  get length(): number {
    return this.#count;
  }

  /** Returns the connection's number, which names it in all later events. */
  connected(role: Role, node: string): number {
    const connection = this.connections.length;
    this.connections.push({ role, node, startMs: this.#now(), endMs: Infinity, reason: '' });
    this.#append('connected', connection, -1, -1, false);
    return connection;
  }

  /** The client learned that its connection is gone, or closed it. Later calls for the same connection change nothing. */
  ended(connection: number, reason: string): void {
    const record = this.connections[connection]!;
    if (record.endMs !== Infinity) return;
    record.endMs = this.#now();
    record.reason = reason;
    this.#append('ended', connection, -1, -1, false);
  }

  published(connection: number, sequence: number): void {
    this.#append('published', connection, connection, sequence, false);
  }

  /** A message was due while the publisher had no connection: it counts as offered and never as confirmed. */
  unsent(): void {
    this.#append('unsent', -1, -1, -1, false);
  }

  confirmed(connection: number, sequence: number): void {
    this.#append('confirmed', connection, connection, sequence, false);
  }

  /** The broker answered with a nack. */
  refused(connection: number, sequence: number): void {
    this.#append('refused', connection, connection, sequence, false);
  }

  delivered(connection: number, publisher: number, sequence: number, redelivered: boolean): void {
    this.#append('delivered', connection, publisher, sequence, redelivered);
  }

  /** An ack was handed to the socket. */
  settled(connection: number, publisher: number, sequence: number): void {
    this.#append('settled', connection, publisher, sequence, false);
  }

  /** A nack or reject with requeue was handed to the socket. */
  returned(connection: number, publisher: number, sequence: number): void {
    this.#append('returned', connection, publisher, sequence, false);
  }

  /** What the test did to the cluster, so that gaps can be measured around it. */
  marked(label: string, node: string): void {
    this.marks.push({ label, node, timeMs: this.#now() });
    this.#append('marked', this.marks.length - 1, -1, -1, false);
  }

  at(row: number): HistoryEvent {
    return {
      kind: this.kindAt(row),
      timeMs: this.#times[row]!,
      connection: this.#connections[row]!,
      publisher: this.#publishers[row]!,
      sequence: this.#sequences[row]!,
      redelivered: this.#kinds[row]! >= 0x80,
    };
  }

  kindAt(row: number): EventKind {
    return KINDS[this.#kinds[row]! & 0x7f]!;
  }

  timeAt(row: number): number {
    return this.#times[row]!;
  }

  connectionAt(row: number): number {
    return this.#connections[row]!;
  }

  /** One JSON object per line: what a failed run leaves behind. */
  async writeTo(path: string): Promise<void> {
    const file = createWriteStream(path);
    for (const [index, record] of this.connections.entries()) {
      file.write(`${JSON.stringify({ connection: index, ...record, endMs: finite(record.endMs) })}\n`);
    }
    for (const mark of this.marks) file.write(`${JSON.stringify(mark)}\n`);
    for (let row = 0; row < this.#count; row++) {
      if (!file.write(`${JSON.stringify(this.at(row))}\n`)) await once(file, 'drain');
    }
    file.end();
    await once(file, 'finish');
  }

  #append(kind: EventKind, connection: number, publisher: number, sequence: number, redelivered: boolean): void {
    if (this.#count === this.#times.length) this.#grow();
    const row = this.#count++;
    this.#times[row] = this.#now();
    this.#connections[row] = connection;
    this.#publishers[row] = publisher;
    this.#sequences[row] = sequence;
    this.#kinds[row] = KINDS.indexOf(kind) | (redelivered ? 0x80 : 0);
  }

  #grow(): void {
    const capacity = this.#times.length * 2;
    const times = new Float64Array(capacity);
    times.set(this.#times);
    this.#times = times;
    const kinds = new Uint8Array(capacity);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
    this.#connections = grown(this.#connections, capacity);
    this.#publishers = grown(this.#publishers, capacity);
    this.#sequences = grown(this.#sequences, capacity);
  }
}

function grown(column: Int32Array, capacity: number): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(capacity);
  larger.set(column);
  return larger;
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
