import { type ConsumerAddress, type DeliveryList, NO_OFFSET } from '../../../src/queue/effects.ts';
import type { ModelMessage } from './model-state.ts';

/** One delivery as the machine listed it. */
export interface ListedDelivery {
  readonly at: number;
  readonly address: ConsumerAddress;
  readonly number: number;
}

/** Reads the deliveries of one entry in their order. */
export class DeliveryReader {
  readonly #list: DeliveryList;
  #next = 0;

  constructor(list: DeliveryList) {
    this.#list = list;
  }

  get isDone(): boolean {
    return this.#next === this.#list.length;
  }

  take(): ListedDelivery | undefined {
    if (this.isDone) return undefined;
    const at = this.#next++;
    return { at, address: this.#list.consumers[at]!, number: this.#list.numbers[at]! };
  }

  /** What is wrong with a delivery that should bring `message` under `number`. */
  compare({ at }: ListedDelivery, number: number, message: ModelMessage, isOfStream: boolean): string | undefined {
    const listed = this.#list;
    if (listed.numbers[at] !== number) return `its number should be ${number}`;
    const parts = listed.large.get(at) ?? [listed.bodyAt(at)];
    const isSame =
      parts.length === message.parts.length &&
      listed.lengths[at] === message.bytes &&
      message.parts.every((part, i) => part.entry === parts[i]!.entry && part.position === parts[i]!.position);
    if (!isSame) {
      const { entry, position } = listed.bodyAt(at);
      const { entry: wanted, position: place } = message.parts[0]!;
      return `it brings the message at ${entry}/${position}, the first ready one is at ${wanted}/${place}`;
    }
    const offset = listed.offsetAt(at);
    if (offset !== (isOfStream ? message.place : NO_OFFSET))
      return `its offset is ${offset}; ${message.place} messages came before it`;
    const count = listed.deliveryCounts[at];
    if (count !== message.attempts) return `its delivery count is ${count}, it was returned ${message.attempts} times`;
    return undefined;
  }

  describe(): string {
    const address = this.#list.consumers[this.#next]!;
    return `delivery ${this.#list.numbers[this.#next]} to consumer ${address.consumer} of node ${address.node}`;
  }
}
