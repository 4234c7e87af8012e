import type { Decision, OnOutcome, PublishOrigin } from '../../broker/gateway.ts';
import { assert } from '../../lib/assert.ts';

const COMPACT_AT = 8_192;

/**
 * What waits for an answer, by session sequence: columns instead of an object per command, because most commands are
 * publishes and each costs two array writes here.
 */
export class CommandRing {
  #origins: (PublishOrigin | undefined)[] = [];
  /** Publish number of the origin, or 0. */
  #numbers: number[] = [];
  readonly #callbacks = new Map<number, OnOutcome>();
  #head = 0;
  #first = 1;

  /** The oldest sequence without an answer; the next to be given if there is none. */
  get first(): number {
    return this.#first;
  }

  get next(): number {
    return this.#first + this.#numbers.length - this.#head;
  }

  get size(): number {
    return this.#numbers.length - this.#head;
  }

  addPublish(origin: PublishOrigin | undefined, number: number): void {
    this.#origins.push(origin);
    this.#numbers.push(number);
  }

  addRequest(onOutcome: OnOutcome | undefined): void {
    if (onOutcome !== undefined) this.#callbacks.set(this.next, onOutcome);
    this.#origins.push(undefined);
    this.#numbers.push(0);
  }

  /** Answers everything up to `through`; `outcomes` lists what did not come to its default, ascending. */
  answer(through: number, outcomes: readonly { readonly sequence: number; readonly outcome: Decision }[]): void {
    assert(through < this.next, () => `answer through ${through}, but only ${this.next - 1} were sent`);
    let listed = 0;
    let origin: PublishOrigin | undefined;
    let runFirst = 0;
    let runLast = 0;
    const flush = (): void => {
      if (origin !== undefined) origin.published(runFirst, runLast, undefined);
      origin = undefined;
    };
    while (this.#first <= through) {
      const sequence = this.#first;
      const at = this.#head;
      const owner = this.#origins[at];
      const number = this.#numbers[at]!;
      this.#origins[at] = undefined;
      this.#head++;
      this.#first++;
      while (listed < outcomes.length && outcomes[listed]!.sequence < sequence) listed++;
      const exception = outcomes[listed]?.sequence === sequence ? outcomes[listed]!.outcome : undefined;
      if (owner !== undefined) {
        if (exception !== undefined) {
          flush();
          owner.published(number, number, exception);
        } else if (owner === origin && number === runLast + 1) {
          runLast = number;
        } else {
          flush();
          origin = owner;
          runFirst = number;
          runLast = number;
        }
      } else if (this.#callbacks.size > 0) {
        const callback = this.#callbacks.get(sequence);
        if (callback !== undefined) {
          flush();
          this.#callbacks.delete(sequence);
          callback(exception);
        }
      }
    }
    flush();
    this.#compact();
  }

  #compact(): void {
    if (this.#head === this.#numbers.length) {
      this.#origins.length = 0;
      this.#numbers.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AT && this.#head * 2 >= this.#numbers.length) {
      this.#origins = this.#origins.slice(this.#head);
      this.#numbers = this.#numbers.slice(this.#head);
      this.#head = 0;
    }
  }
}
