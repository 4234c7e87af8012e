import type { SystemCall } from './system-calls.ts';

/**
 * DESIGN section 1, promise 1, read off the system calls of three nodes: when the bytes of a confirm are handed to the
 * publisher's socket, a sync of a file that holds the message must have returned on two nodes before.
 */
export interface TracedNode {
  readonly name: string;
  readonly calls: readonly SystemCall[];
}

export interface DurabilityReport {
  readonly confirms: number;
  /** Confirms whose message was on the disks of a majority when they were written. */
  readonly durable: number;
  readonly early: readonly string[];
  readonly earlyCount: number;
  /** Shortest time from the majority's second sync to the confirm, in milliseconds. */
  readonly slackMs: number;
}

export interface DurabilityInput {
  readonly nodes: readonly TracedNode[];
  /** Local AMQP port of the node that the publisher is connected to. */
  readonly amqpPort: number;
  /** Markers in publish order: the first message has delivery tag 1. */
  readonly markers: readonly string[];
  readonly majority: number;
}

const EXAMPLES_MAX = 5;

export function checkDurability(input: DurabilityInput): DurabilityReport {
  const confirmed = confirmTimes(input.nodes, input.amqpPort);
  const synced = input.nodes.map(node => syncTimes(node.calls, input.markers));
  const early: string[] = [];
  let durable = 0;
  let earlyCount = 0;
  let slackMs = Infinity;
  for (const [tag, confirmedAt] of confirmed) {
    const times = synced.map(times => times[tag - 1] ?? Infinity).sort((a, b) => a - b);
    const majorityAt = times[input.majority - 1]!;
    if (majorityAt <= confirmedAt) {
      durable++;
      slackMs = Math.min(slackMs, (confirmedAt - majorityAt) * 1_000);
      continue;
    }
    if (earlyCount++ >= EXAMPLES_MAX) continue;
    const when = majorityAt === Infinity ? 'never' : `${((majorityAt - confirmedAt) * 1_000).toFixed(3)} ms later`;
    early.push(`the confirm of message ${tag} was written; it was synced on ${input.majority} nodes ${when}`);
  }
  return { confirms: confirmed.size, durable, early, earlyCount, slackMs };
}

/** For every marker when a sync that covers the write holding it had returned; Infinity when none did. */
export function syncTimes(calls: readonly SystemCall[], markers: readonly string[]): number[] {
  const times = markers.map(() => Infinity);
  const indexOf = new Map(markers.map((marker, index) => [marker, index]));
  const pattern = markerPattern(markers);
  const syncsOf = new Map<string, SystemCall[]>();
  for (const call of calls) {
    if ((call.name !== 'fdatasync' && call.name !== 'fsync') || call.result !== 0) continue;
    const list = syncsOf.get(call.target);
    if (list === undefined) syncsOf.set(call.target, [call]);
    else list.push(call);
  }
  for (const call of calls) {
    if (!call.target.startsWith('/') || !isWrite(call) || call.result <= 0) continue;
    const sync = syncsOf.get(call.target)?.find(candidate => candidate.entered >= call.returned);
    if (sync === undefined) continue;
    for (const [marker] of Buffer.from(call.bytes).toString('latin1').matchAll(pattern)) {
      const index = indexOf.get(marker);
      if (index !== undefined) times[index] = Math.min(times[index]!, sync.returned);
    }
  }
  return times;
}

/** Delivery tag -> when the write that completed its basic.ack frame was entered. */
export function confirmTimes(nodes: readonly TracedNode[], amqpPort: number): Map<number, number> {
  const times = new Map<number, number>();
  const local = new RegExp(`:${amqpPort}->`);
  const streams = new Map<string, AckStream>();
  for (const call of nodes.flatMap(node => node.calls)) {
    if (!call.target.startsWith('TCP') || !local.test(call.target) || !isWrite(call) || call.result <= 0) continue;
    let stream = streams.get(call.target);
    if (stream === undefined) {
      stream = new AckStream(times);
      streams.set(call.target, stream);
    }
    stream.push(call.bytes, call.entered);
  }
  return times;
}

const METHOD_FRAME = 1;
const BASIC_ACK = 0x003c_0050;
const FRAME_HEAD_BYTES = 7;
const FRAME_END_BYTES = 1;

/** Finds basic.ack frames in what a broker writes to one socket. */
class AckStream {
  readonly #times: Map<number, number>;
  #rest = Buffer.alloc(0);
  #settled = 0;

  constructor(times: Map<number, number>) {
    this.#times = times;
  }

  push(bytes: Uint8Array, time: number): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= FRAME_HEAD_BYTES) {
      const size = FRAME_HEAD_BYTES + this.#rest.readUInt32BE(3) + FRAME_END_BYTES;
      if (this.#rest.length < size) return;
      this.#take(this.#rest.subarray(0, size), time);
      this.#rest = this.#rest.subarray(size);
    }
  }

  #take(frame: Buffer, time: number): void {
    if (frame[0] !== METHOD_FRAME || frame.readUInt32BE(FRAME_HEAD_BYTES) !== BASIC_ACK) return;
    const tag = Number(frame.readBigUInt64BE(FRAME_HEAD_BYTES + 4));
    const multiple = (frame[FRAME_HEAD_BYTES + 12]! & 1) === 1;
    // Everything up to `settled` has its time already; single acks above it may come in any order.
    for (let each = multiple ? this.#settled + 1 : tag; each <= tag; each++) {
      if (!this.#times.has(each)) this.#times.set(each, time);
    }
    if (multiple) this.#settled = Math.max(this.#settled, tag);
  }
}

const isWrite = (call: SystemCall): boolean => /^(write|writev|pwrite64|pwritev|sendmsg)$/.test(call.name);

/** All markers have one length and one prefix; the rest of each is its number. */
function markerPattern(markers: readonly string[]): RegExp {
  const first = markers[0] ?? '';
  const prefix = first.replace(/\d+$/, '');
  return new RegExp(`${prefix}\\d{${first.length - prefix.length}}`, 'g');
}
