import { ByteReader, ByteWriter, utf8Decode, utf8Encode } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import type { NodeId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import { FrameKind } from './frames.ts';
import type { Peers } from './peers.ts';

/** Of one frame with a part of a call or answer; far below what a message between nodes may have (R8). */
const PART_BYTES = 128 * 1024;
/** A call or answer; whoever sends more is not understood. */
const TEXT_BYTES_MAX = 16 * 1024 * 1024;
const ANSWER_TIMEOUT_MS = 1_000;
/** Calls without an answer yet; further ones count as unanswered at once. */
const PENDING_MAX = 1_000;

/** Answers at once, with so much as fits into a slice of the event loop (R10). Undefined: this node cannot. */
export type NodeCallHandler = (argument: never) => unknown;

export interface NodeCallsDependencies {
  readonly peers: Pick<Peers, 'nodes' | 'send'>;
  readonly clock: Pick<Clock, 'after'>;
  readonly logger: Logger;
}

interface Pending {
  readonly node: NodeId;
  readonly parts: Uint8Array[];
  readonly resolve: (answer: unknown) => void;
}

/**
 * What operators want to know of, or done by, one certain node: JSON both ways. Nothing is repeated; no answer within a second
 * counts as none.
 *
 * Frames: u32 call number, u8 whether this is the last part, then text; a call's text is its name, a line feed, and JSON.
 */
export class NodeCalls {
  readonly #deps: NodeCallsDependencies;
  readonly #handlers = new Map<string, NodeCallHandler>();
  readonly #pending = new Map<number, Pending>();
  #lastCall = 0;

  constructor(deps: NodeCallsDependencies) {
    this.#deps = deps;
  }

  answer<Argument>(name: string, handler: (argument: Argument) => unknown): void {
    this.#handlers.set(name, handler);
  }

  /** Undefined: no answer, or the node cannot. */
  call(node: NodeId, name: string, argument: unknown): Promise<unknown> {
    if (this.#pending.size >= PENDING_MAX) return Promise.resolve(undefined);
    const number = (this.#lastCall % 0xffff_ffff) + 1;
    this.#lastCall = number;
    return new Promise(resolve => {
      const done = (answer: unknown): void => {
        cancel();
        this.#pending.delete(number);
        resolve(answer);
      };
      const cancel = this.#deps.clock.after(ANSWER_TIMEOUT_MS, () => done(undefined));
      this.#pending.set(number, { node, parts: [], resolve: done });
      const text = utf8Encode(`${name}\n${JSON.stringify(argument)}`);
      if (text.length > PART_BYTES || !this.#send(node, FrameKind.call, number, text)) done(undefined);
    });
  }

  received(from: NodeId, kind: FrameKind, payload: Uint8Array): void {
    const reader = new ByteReader(payload);
    const number = reader.u32();
    const isLast = reader.u8() === 1;
    const part = reader.bytes(reader.remaining);
    if (kind === FrameKind.call) this.#called(from, number, part);
    else this.#answered(from, number, isLast, part);
  }

  #called(from: NodeId, number: number, text: Uint8Array): void {
    const [name, argument] = splitOnce(utf8Decode(text), '\n');
    const handler = this.#handlers.get(name);
    const parsed = parse(argument);
    const answer = handler === undefined || parsed === undefined ? undefined : handler(parsed as never);
    if (handler === undefined)
      this.#deps.logger.warn({ peer: from, call: name.slice(0, 40) }, 'unknown call of a node');
    this.#send(from, FrameKind.callAnswer, number, answer === undefined ? EMPTY : utf8Encode(JSON.stringify(answer)));
  }

  #answered(from: NodeId, number: number, isLast: boolean, part: Uint8Array): void {
    const pending = this.#pending.get(number);
    if (pending?.node !== from) return;
    pending.parts.push(part.slice());
    const bytes = pending.parts.reduce((sum, { length }) => sum + length, 0);
    if (bytes > TEXT_BYTES_MAX) pending.resolve(undefined);
    else if (isLast) pending.resolve(parse(utf8Decode(joined(pending.parts, bytes))));
  }

  #send(node: NodeId, kind: FrameKind, number: number, text: Uint8Array): boolean {
    let isSent = true;
    for (let at = 0; at === 0 || at < text.length; at += PART_BYTES) {
      const part = text.subarray(at, at + PART_BYTES);
      const out = new ByteWriter(part.length + 8);
      out.u32(number);
      out.u8(at + PART_BYTES >= text.length ? 1 : 0);
      out.bytes(part);
      isSent = this.#deps.peers.send(node, 'clients', kind, 0, out.view()) && isSent;
    }
    return isSent;
  }
}

const EMPTY = new Uint8Array(0);

/** Undefined for what is no JSON: a node of another release. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  const out = new ByteWriter(Math.max(1, bytes));
  for (const part of parts) out.bytes(part);
  return out.view();
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
