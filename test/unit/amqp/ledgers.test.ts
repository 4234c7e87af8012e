import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BrokerSession } from '../../../src/broker/broker.ts';
import { ConfirmLedger } from '../../../src/protocols/amqp/confirm-ledger.ts';
import { DeliveryLedger } from '../../../src/protocols/amqp/delivery-ledger.ts';
import { SettleRanges } from '../../../src/protocols/amqp/settle-ranges.ts';
import { newWriter, readAll, takeBytes } from '../../support/amqp-client.ts';

describe('publisher confirms', () => {
  /** A client's view: which numbers are open, what became of the others. */
  class ConfirmClient {
    readonly open = new Set<number>();
    readonly outcomes = new Map<number, 'ack' | 'nack'>();

    read(bytes: Uint8Array): number {
      const received = readAll(bytes);
      for (const { method } of received) {
        if (typeof method !== 'object' || (method.name !== 'basic.ack' && method.name !== 'basic.nack'))
          throw new Error();
        const tag = Number(method.deliveryTag);
        const settled = method.multiple ? [...this.open].filter(number => number <= tag) : [tag];
        for (const number of settled) {
          if (!this.open.delete(number)) throw new Error(`${number} was answered twice`);
          this.outcomes.set(number, method.name === 'basic.ack' ? 'ack' : 'nack');
        }
      }
      return received.length;
    }
  }

  it('tell the client each outcome once and truly, in whatever order and ranges they come', () => {
    const stepArb = fc.oneof(
      fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 400 }) }),
      fc.record({
        do: fc.constantFrom('confirm' as const, 'reject' as const),
        which: fc.nat(),
        count: fc.integer({ min: 1, max: 50 }),
      }),
      fc.constant({ do: 'flush' as const }),
    );
    fc.assert(
      fc.property(fc.array(stepArb, { size: 'large', maxLength: 60 }), steps => {
        const ledger = new ConfirmLedger();
        const client = new ConfirmClient();
        const writer = newWriter();
        const expected = new Map<number, 'ack' | 'nack'>();
        let unanswered: number[] = [];
        for (const step of steps) {
          if (step.do === 'publish') {
            for (let i = 0; i < step.count; i++) {
              const number = ledger.take();
              unanswered.push(number);
              client.open.add(number);
            }
          } else if (step.do === 'flush') {
            ledger.flush(1, writer);
            client.read(takeBytes(writer));
            expect(client.outcomes).toEqual(expected);
          } else if (unanswered.length > 0) {
            // A run of numbers of which none has been answered.
            const at = step.which % unanswered.length;
            let end = at + 1;
            while (end < unanswered.length && end - at < step.count && unanswered[end] === unanswered[end - 1]! + 1)
              end++;
            const [first, last] = [unanswered[at]!, unanswered[end - 1]!];
            if (step.do === 'confirm') ledger.confirm(first, last);
            else ledger.reject(first, last);
            for (let number = first; number <= last; number++)
              expected.set(number, step.do === 'confirm' ? 'ack' : 'nack');
            unanswered = [...unanswered.slice(0, at), ...unanswered.slice(end)];
          }
        }
        ledger.flush(1, writer);
        client.read(takeBytes(writer));
        expect(client.outcomes).toEqual(new Map([...expected]));
      }),
      { numRuns: 100 },
    );
  });

  it('answer a contiguous run with one frame', () => {
    const ledger = new ConfirmLedger();
    const client = new ConfirmClient();
    const writer = newWriter();
    for (let i = 0; i < 1000; i++) client.open.add(ledger.take());
    for (let number = 1000; number > 1; number--) ledger.confirm(number, number);
    ledger.confirm(1, 1);
    ledger.flush(1, writer);
    expect(client.read(takeBytes(writer))).toBe(1);
    expect(client.open.size).toBe(0);
  });
});

describe('delivery tags', () => {
  it('stand for what was delivered until it is settled, as in a plain list', () => {
    const actionArb = fc.oneof(
      fc.record({
        do: fc.constant('add' as const),
        consumer: fc.integer({ min: 1, max: 3 }),
        count: fc.integer({ min: 1, max: 300 }),
      }),
      fc.record({ do: fc.constant('skip' as const) }),
      fc.record({ do: fc.constant('settle' as const), tag: fc.nat(2000), multiple: fc.boolean() }),
      fc.record({ do: fc.constant('forget' as const), consumer: fc.integer({ min: 1, max: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(actionArb, { maxLength: 40 }), actions => {
        const ledger = new DeliveryLedger();
        let model: { tag: number; consumer: number; number: number; isGone: boolean }[] = [];
        const numbers = [0, 0, 0, 0];
        let lastTag = 0;
        for (const action of actions) {
          if (action.do === 'add') {
            for (let i = 0; i < action.count; i++) {
              const number = ++numbers[action.consumer]!;
              const tag = ledger.add(action.consumer, number);
              expect(tag).toBe(++lastTag);
              model.push({ tag, consumer: action.consumer, number, isGone: false });
            }
          } else if (action.do === 'skip') {
            expect(ledger.skip()).toBe(++lastTag);
          } else if (action.do === 'forget') {
            ledger.forget(action.consumer);
            for (const delivery of model) if (delivery.consumer === action.consumer) delivery.isGone = true;
          } else {
            const settled: string[] = [];
            const isKnown = model.some(({ tag }) => tag === action.tag);
            expect(ledger.has(action.tag)).toBe(isKnown);
            const hit = model.filter(({ tag }) => (action.multiple ? tag <= action.tag : tag === action.tag));
            if (action.multiple)
              ledger.settleUpTo(action.tag, (consumer, number) => settled.push(`${consumer}:${number}`));
            else
              expect(ledger.settle(action.tag, (consumer, number) => settled.push(`${consumer}:${number}`))).toBe(
                isKnown,
              );
            expect(settled).toEqual(
              hit.filter(({ isGone }) => !isGone).map(({ consumer, number }) => `${consumer}:${number}`),
            );
            model = model.filter(delivery => !hit.includes(delivery));
          }
          expect(ledger.unsettled).toBe(model.length);
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('settlements', () => {
  it('reach the broker in runs that hold the same settlements in the same order per consumer', () => {
    const settlementArb = fc.record({
      consumer: fc.integer({ min: 1, max: 3 }),
      number: fc.integer({ min: 1, max: 6 }),
      how: fc.constantFrom('settle' as const, 'return' as const, 'discard' as const),
    });
    fc.assert(
      fc.property(fc.array(settlementArb), settlements => {
        const told: string[] = [];
        const session = {
          settle: (consumer: number, first: number, last: number, how: string) => {
            for (let number = first; number <= last; number++) told.push(`${consumer} ${number} ${how}`);
          },
        } as unknown as BrokerSession;
        const ranges = new SettleRanges(session);
        for (const { consumer, number, how } of settlements) ranges.add(consumer, number, how);
        ranges.flush();
        ranges.flush();
        const of = (consumer: number, list: readonly string[]) => list.filter(line => line.startsWith(`${consumer} `));
        const expected = settlements.map(({ consumer, number, how }) => `${consumer} ${number} ${how}`);
        for (const consumer of [1, 2, 3]) expect(of(consumer, told)).toEqual(of(consumer, expected));
      }),
    );
  });
});

describe('deliveries whose settlement is taken back', () => {
  it('are unsettled under their old tags, and settled in order with those that came later', () => {
    const ledger = new DeliveryLedger();
    const count = 1_200;
    for (let number = 1; number <= count; number++) ledger.add(1, number);
    const settled: { tag: number; consumer: number; number: number }[] = [];
    const take = (consumer: number, number: number, tag: number): void => {
      settled.push({ tag, consumer, number });
    };
    ledger.settleUpTo(1_100, take);
    ledger.settle(1_150, take);
    expect(ledger.unsettled).toBe(99);
    const back = settled.splice(0);
    ledger.restore(back);
    expect(ledger.unsettled).toBe(count);
    expect(ledger.has(1_150)).toBe(true);
    ledger.add(2, 1);
    ledger.settleAll(take);
    expect(settled.map(({ tag }) => tag)).toEqual(Array.from({ length: count + 1 }, (_, i) => i + 1));
    expect(settled.at(-1)).toEqual({ tag: count + 1, consumer: 2, number: 1 });
  });
});
