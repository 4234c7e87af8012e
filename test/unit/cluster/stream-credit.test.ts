import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReceiveCredit, SendCredit } from '../../../src/cluster/transport/stream-credit.ts';

const WINDOW = 1_000;
const FRAME_MAX = 400;

describe('byte credits', () => {
  it('bound what the receiver holds to its window and one frame, and never stop for good', () => {
    const actionArb = fc.oneof(
      fc.record({ do: fc.constant('send' as const), bytes: fc.integer({ min: 1, max: FRAME_MAX }) }),
      fc.record({ do: fc.constant('consume' as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({ do: fc.constant('grant arrives' as const) }),
    );
    fc.assert(
      fc.property(fc.array(actionArb, { maxLength: 200 }), actions => {
        const sender = new SendCredit(WINDOW);
        const receiver = new ReceiveCredit(WINDOW, FRAME_MAX);
        const grants: number[] = [];
        for (const action of actions) {
          if (action.do === 'send' && sender.maySend) {
            sender.spend(action.bytes);
            expect(receiver.received(action.bytes)).toBe(true);
          } else if (action.do === 'consume') {
            const grant = receiver.consumed(Math.floor(receiver.unconsumedBytes * action.share));
            if (grant > 0) grants.push(grant);
          } else if (action.do === 'grant arrives') {
            const grant = grants.shift();
            if (grant !== undefined) sender.grant(grant);
          }
          expect(receiver.unconsumedBytes).toBeLessThanOrEqual(WINDOW + FRAME_MAX);
        }
        const last = receiver.consumed(receiver.unconsumedBytes);
        for (const grant of [...grants, last]) sender.grant(grant);
        expect(sender.maySend).toBe(true);
      }),
    );
  });

  it('unmask a sender that goes on without credit', () => {
    const receiver = new ReceiveCredit(WINDOW, FRAME_MAX);
    for (const bytes of [400, 400, 400]) expect(receiver.received(bytes)).toBe(true);
    expect(receiver.received(1)).toBe(false);
  });

  it('unmask a frame above the limit', () => {
    expect(new ReceiveCredit(WINDOW, FRAME_MAX).received(FRAME_MAX + 1)).toBe(false);
  });

  it('are returned in halves of a window, not in crumbs', () => {
    const receiver = new ReceiveCredit(WINDOW, FRAME_MAX);
    for (const bytes of [300, 300, 300]) receiver.received(bytes);
    expect([receiver.consumed(300), receiver.consumed(199), receiver.consumed(1), receiver.consumed(400)]).toEqual([
      0, 0, 500, 0,
    ]);
  });

  it('tell the sender when it may go on', () => {
    const sender = new SendCredit(100);
    sender.spend(150);
    expect(sender.maySend).toBe(false);
    expect(sender.grant(40)).toBe(false);
    expect(sender.grant(20)).toBe(true);
    expect(sender.grant(20)).toBe(false);
  });
});
