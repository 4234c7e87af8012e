import { type AmqpError, amqpError } from './amqp-error.ts';
import type { AmqpChannel } from './channel-machine.ts';

/** The channels of a connection by number, and those that want to be called at the end of the input or of the turn. */
export class ChannelTable {
  readonly #channels: (AmqpChannel | undefined)[] = [];
  #count = 0;
  #touched: AmqpChannel[] = [];
  #confirming: AmqpChannel[] = [];

  get count(): number {
    return this.#count;
  }

  get(number: number): AmqpChannel | undefined {
    return this.#channels[number];
  }

  /** Why no channel with this number may be opened; undefined when there is room. */
  refusal(number: number, channelMax: number): AmqpError | undefined {
    if (number <= channelMax && this.#count < channelMax) return undefined;
    const count = Math.max(number, this.#count + 1);
    const text = `number of channels opened (${count}) has reached the negotiated channel_max (${channelMax})`;
    return amqpError('not-allowed', text);
  }

  add(channel: AmqpChannel): void {
    while (this.#channels.length <= channel.number) this.#channels.push(undefined);
    this.#channels[channel.number] = channel;
    this.#count++;
  }

  remove(channel: AmqpChannel): void {
    this.#channels[channel.number] = undefined;
    this.#count--;
  }

  /** Whether one of them has too much waiting. */
  get isCongested(): boolean {
    return this.#channels.some(channel => channel?.isCongested);
  }

  touched(channel: AmqpChannel): void {
    this.#touched.push(channel);
  }

  confirmsPending(channel: AmqpChannel): void {
    this.#confirming.push(channel);
  }

  endOfInput(): void {
    const touched = this.#touched;
    if (touched.length === 0) return;
    for (const channel of touched) channel.endOfInput();
    touched.length = 0;
  }

  writeConfirms(): void {
    const confirming = this.#confirming;
    if (confirming.length === 0) return;
    this.#confirming = [];
    for (const channel of confirming) channel.writeConfirms();
  }

  /** Takes up what waited while publishes were held. */
  resume(): void {
    for (const channel of this.#channels) channel?.resume();
  }

  /** The connection is over. */
  end(): void {
    for (const channel of this.#channels) channel?.end();
    this.#channels.length = 0;
    this.#touched.length = 0;
    this.#confirming = [];
    this.#count = 0;
  }
}
