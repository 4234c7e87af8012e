import { describe, expect, it } from 'vitest';
import { consumerId } from '../../../src/lib/ids.ts';
import { Settlement, writeCancel, writeCount, writeCredit, writeRelease } from '../../../src/queue/commands.ts';
import { messageBlockBytes } from '../../../src/queue/message-block.ts';
import {
  ALICE,
  BOB,
  consume,
  declare,
  enqueue,
  get,
  message,
  outcomes,
  QUEUE,
  ShardDriver,
  settle,
  type Write,
} from '../../support/shard-driver.ts';

const cancel =
  (consumer: number): Write =>
  out =>
    writeCancel(out, consumerId(consumer));
const release =
  (consumer: number): Write =>
  out =>
    writeRelease(out, consumerId(consumer));
const many = (count: number): Write[] => Array.from({ length: count }, (_, i) => enqueue(`${i + 1}`));

describe('consumers', () => {
  it('get messages in turn, each its own contiguous delivery numbers', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), consume(2));
    driver.run(BOB, consume(1));
    const deliveries = driver.deliveries(driver.run(ALICE, ...many(6)));
    expect(deliveries.map(({ node, consumer, number, body }) => [node, consumer, number, body])).toEqual([
      [ALICE, 1, 1, '1'],
      [ALICE, 2, 1, '2'],
      [BOB, 1, 1, '3'],
      [ALICE, 1, 2, '4'],
      [ALICE, 2, 2, '5'],
      [BOB, 1, 2, '6'],
    ]);
  });

  it('get what waited before they came', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'), enqueue('b'));
    expect(driver.bodies(driver.run(BOB, consume(1)))).toEqual(['a', 'b']);
  });

  it('come before whoever asks for a message, its count or its end behind the publish, in one batch too', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1));
    const effects = driver.run(ALICE, enqueue('a'), get(2), enqueue('b'), out => writeCount(out, QUEUE));
    expect(driver.bodies(effects)).toEqual(['a', 'b']);
    expect(outcomes(effects)).toMatchObject([{ kind: 'empty' }, { kind: 'counted', ready: 0 }]);
  });

  it('hold at most their prefetch, and get the next message for each one they settle', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 2 }));
    expect(driver.bodies(driver.run(ALICE, ...many(6)))).toEqual(['1', '2']);
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.settle, 1, 1, 1)))).toEqual(['3']);
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.discard, 1, 2, 3)))).toEqual(['4', '5']);
  });

  it('that are cancelled have what their last acknowledgements made room for, in one batch too', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { prefetch: 2 }), ...many(6));
    expect(driver.bodies(driver.run(ALICE, settle(Settlement.settle, 1, 1, 1), cancel(1)))).toEqual(['3']);
    expect(driver.bodies(driver.run(BOB, consume(1)))).toEqual(['4', '5', '6']);
  });

  it('get no delivery beyond the number that their node has room for', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { deliverThrough: 2 }));
    expect(driver.bodies(driver.run(ALICE, ...many(5)))).toEqual(['1', '2']);
    const raise: Write = out =>
      writeCredit(out, { consumer: consumerId(1), prefetch: 0, deliverThrough: 4, bytesThrough: 1_000 });
    expect(driver.bodies(driver.run(ALICE, raise))).toEqual(['3', '4']);
    expect(driver.bodies(driver.run(ALICE, raise))).toEqual([]);
  });

  it('get no delivery once the bytes that their node has room for were delivered', () => {
    const bytes = messageBlockBytes(message('1'));
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { bytesThrough: 2 * bytes }));
    expect(driver.bodies(driver.run(ALICE, ...many(5)))).toEqual(['1', '2']);
  });

  it('get nothing more after their credit was taken back', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'));
    driver.run(ALICE, out =>
      writeCredit(out, { consumer: consumerId(1), prefetch: 0, deliverThrough: 0, bytesThrough: 0 }),
    );
    expect(driver.bodies(driver.run(ALICE, enqueue('b')))).toEqual([]);
  });

  it('are refused beside an exclusive one, and an exclusive one beside them', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1, { exclusive: true }));
    expect(outcomes(driver.run(BOB, consume(1)))).toEqual([{ kind: 'exclusive-refused' }]);
    driver.run(ALICE, cancel(1));
    expect(outcomes(driver.run(BOB, consume(2)))).toEqual([]);
    expect(outcomes(driver.run(ALICE, consume(3, { exclusive: true })))).toEqual([{ kind: 'exclusive-refused' }]);
  });

  it('are refused on a queue that is not there, and under an id in use', () => {
    const driver = new ShardDriver();
    expect(outcomes(driver.run(ALICE, consume(1)))).toEqual([{ kind: 'no-such-queue' }]);
    driver.run(ALICE, declare(), consume(2));
    expect(outcomes(driver.run(ALICE, consume(2)))).toEqual([{ kind: 'consumer-exists' }]);
  });

  it('keep what is unsettled when they are cancelled, and give it back when they are released', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), consume(1), enqueue('a'), enqueue('b'));
    driver.run(ALICE, cancel(1), enqueue('c'));
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1, unacked: 2, consumers: 0 }]);
    driver.run(ALICE, settle(Settlement.settle, 1, 1, 1), release(1));
    expect(driver.machine.consumersOf(ALICE, driver.sender(ALICE).incarnation)).toEqual([]);
    const deliveries = driver.deliveries(driver.run(BOB, consume(1)));
    expect(deliveries).toMatchObject([
      { body: 'b', redelivered: true },
      { body: 'c', redelivered: false },
    ]);
  });
});

describe('get', () => {
  it('takes one message, tells how many are left, and holds it until it is settled', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'), enqueue('b'));
    const effects = driver.run(ALICE, get(5));
    expect(outcomes(effects)).toMatchObject([{ kind: 'message', number: 1, deliveryCount: 0, readyLeft: 1 }]);
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1, unacked: 1, consumers: 0 }]);
    driver.run(ALICE, settle(Settlement.settle, 5, 1, 1));
    expect(driver.machine.overview().queues).toMatchObject([{ ready: 1, unacked: 0 }]);
  });

  it('sees what the same channel published just before', () => {
    const driver = new ShardDriver();
    const effects = driver.run(ALICE, declare(), enqueue('a'), get(5), get(5));
    const [first, second] = outcomes(effects);
    expect(first?.kind === 'message' && driver.bodyOf(first.body)).toBe('a');
    expect(second).toEqual({ kind: 'empty' });
  });

  it('without acknowledgement keeps the message until its node has seen the answer', () => {
    const driver = new ShardDriver();
    driver.run(ALICE, declare(), enqueue('a'));
    driver.run(ALICE, get(5, QUEUE, true));
    expect(driver.machine.overview().messages).toMatchObject({ checkedOut: 1, settled: 0 });
    driver.sender(ALICE).seenThrough = 3;
    driver.run(ALICE);
    expect(driver.machine.overview().messages).toMatchObject({ checkedOut: 0, settled: 1 });
  });

  it('under the id of a consumer, or of a getter of another queue, is refused', () => {
    const driver = new ShardDriver();
    const other = 8 as never;
    driver.run(ALICE, declare(), declare(other), consume(1), enqueue('a', other), enqueue('b', other), get(2, other));
    const effects = driver.run(ALICE, get(1), get(2));
    expect(outcomes(effects)).toEqual([{ kind: 'consumer-exists' }, { kind: 'consumer-exists' }]);
  });

  it('is answered by the shard with counts that include everything before it', () => {
    const driver = new ShardDriver();
    const count: Write = out => writeCount(out, QUEUE);
    const effects = driver.run(ALICE, declare(), enqueue('a'), enqueue('b'), count);
    expect(outcomes(effects)).toEqual([{ kind: 'counted', ready: 2, consumers: 0 }]);
  });
});
