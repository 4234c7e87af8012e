import { create } from '@bufbuild/protobuf';
import {
  ConfirmMode,
  type PublishOutcome,
  PublishOutcomeSchema,
  type PublishResponse,
  PublishResponseSchema,
  PublishStatus,
} from '../../gen/warren/v1/broker_pb.ts';
import { assert } from '../../lib/assert.ts';

/** Which messages of a stream have their outcome, and what is still to be told about it. */
export class OutcomeLedger {
  readonly #mode: ConfirmMode;
  #numbered = 0;
  /** All up to here have their outcome. */
  #decidedTo = 0;
  #toldTo = 0;
  /** Ranges with an outcome beyond a gap: first number to last. */
  readonly #ahead = new Map<number, number>();
  #untold: PublishOutcome[] = [];

  constructor(mode: ConfirmMode) {
    this.#mode = mode;
  }

  /** Confirms are wanted: every message gets an outcome. Otherwise only refused ones do. */
  get isConfirming(): boolean {
    return this.#mode !== ConfirmMode.NONE;
  }

  get untoldCount(): number {
    return this.#untold.length;
  }

  /** Every numbered message has its outcome. */
  get isComplete(): boolean {
    return !this.isConfirming || this.#decidedTo === this.#numbered;
  }

  nextNumber(): number {
    return ++this.#numbered;
  }

  confirmed(first: number, last: number): void {
    this.#decided(first, last);
    if (this.#mode === ConfirmMode.CUMULATIVE || this.#mode === ConfirmMode.NONE) return;
    const previous = this.#untold.at(-1);
    if (previous?.status === PublishStatus.CONFIRMED && previous.last === BigInt(first - 1))
      previous.last = BigInt(last);
    else this.#tell(first, last, PublishStatus.CONFIRMED, '', '');
  }

  unroutable(number: number): void {
    this.#decided(number, number);
    this.#tell(number, number, PublishStatus.UNROUTABLE, '', '');
  }

  rejected(first: number, last: number, reason: string, text: string): void {
    this.#decided(first, last);
    this.#tell(first, last, PublishStatus.REJECTED, reason, text);
  }

  /** What has not been told yet; undefined if there is nothing. */
  take(): PublishResponse | undefined {
    if (this.#untold.length === 0 && this.#toldTo === this.#decidedTo) return undefined;
    const response = create(PublishResponseSchema);
    response.outcomes = this.#untold;
    response.confirmedTo = BigInt(this.#decidedTo);
    this.#untold = [];
    this.#toldTo = this.#decidedTo;
    return response;
  }

  #tell(first: number, last: number, status: PublishStatus, reason: string, text: string): void {
    const outcome = create(PublishOutcomeSchema);
    outcome.first = BigInt(first);
    outcome.last = BigInt(last);
    outcome.status = status;
    outcome.reason = reason;
    outcome.text = text;
    this.#untold.push(outcome);
  }

  #decided(first: number, last: number): void {
    if (!this.isConfirming) return;
    assert(
      first > this.#decidedTo && first <= last && last <= this.#numbered,
      () => `outcome for messages ${first} to ${last}; ${this.#decidedTo} of ${this.#numbered} are decided`,
    );
    if (first > this.#decidedTo + 1) {
      this.#ahead.set(first, last);
      return;
    }
    this.#decidedTo = last;
    for (let next = this.#ahead.get(last + 1); next !== undefined; next = this.#ahead.get(next + 1)) {
      this.#ahead.delete(this.#decidedTo + 1);
      this.#decidedTo = next;
    }
  }
}
