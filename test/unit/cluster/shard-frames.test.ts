import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FrameKind } from '../../../src/cluster/frames.ts';
import {
  decodeGrant,
  decodeNews,
  decodeRenewal,
  decodeTopologyApplied,
  encodeGrant,
  encodeNews,
  encodeRenewal,
  encodeTopologyApplied,
} from '../../../src/cluster/metadata/lease-frames.ts';
import { groupOfHome, homeOfGroup } from '../../../src/cluster/shard/home-group.ts';
import { RemoteShardLink } from '../../../src/cluster/shard/remote-shard.ts';
import {
  DeliveryAssembler,
  decodeAnswers,
  decodeAttach,
  decodeAttached,
  decodeConsumerCancelled,
  decodeRefused,
  encodeAttach,
} from '../../../src/cluster/shard/shard-frames.ts';
import type { ShardLink } from '../../../src/cluster/shard/shard-link.ts';
import type { PeerLink } from '../../../src/cluster/transport/transport.ts';
import { TruncatedError } from '../../../src/lib/bytes.ts';
import { consumerId, groupId, incarnation, nodeId } from '../../../src/lib/ids.ts';
import { NO_OFFSET } from '../../../src/queue/effects.ts';

const NODE = nodeId(3);
const GROUP = groupId(5);
const FRAME_BYTES_MAX = 200;

/** Calls of a link, as values. */
class Recorder implements ShardLink {
  readonly isCongested = false;
  readonly calls: unknown[] = [];
  attached(...given: unknown[]): void {
    this.calls.push(['attached', ...given]);
  }
  answered(...given: unknown[]): void {
    this.calls.push(['answered', ...given]);
  }
  deliver(...given: Parameters<ShardLink['deliver']>): void {
    const [consumer, number, count, offset, mayLeap, content, more] = given;
    this.calls.push(['deliver', consumer, number, count, offset, mayLeap, [...content], more.map(part => [...part])]);
  }
  consumerCancelled(...given: unknown[]): void {
    this.calls.push(['cancelled', ...given]);
  }
  refused(...given: unknown[]): void {
    this.calls.push(['refused', ...given]);
  }
  detached(): void {}
}

interface Frame {
  readonly kind: number;
  readonly payload: Uint8Array;
}

function sendingLink(frames: Frame[]): PeerLink {
  return {
    peer: { nodeName: 'other' } as PeerLink['peer'],
    isOpen: true,
    send: (_lane, kind, _group, payload, more = []) => {
      const bytes = [...payload, ...more.flatMap(part => [...part])];
      frames.push({ kind, payload: Uint8Array.from(bytes) });
    },
    queuedBytes: () => 0,
  };
}

function receive(frames: readonly Frame[], link: ShardLink): void {
  const assembler = new DeliveryAssembler(link);
  for (const { kind, payload } of frames) {
    if (kind === FrameKind.attached) decodeAttached(payload, link);
    else if (kind === FrameKind.answers) decodeAnswers(payload, link);
    else if (kind === FrameKind.deliveries) assembler.deliveries(payload);
    else if (kind === FrameKind.deliveryPart) assembler.part(payload);
    else if (kind === FrameKind.consumerCancelled) decodeConsumerCancelled(payload, link);
    else decodeRefused(NODE, payload, link);
  }
}

const u32 = fc.integer({ min: 1, max: 0xffff_ffff });
const u48 = fc.integer({ min: 0, max: 2 ** 48 - 1 });
const id = u32.map(consumerId);
const count = fc.integer({ min: 0, max: 65_535 });
const offset = fc.oneof(fc.constant(NO_OFFSET), u48);
const bytes = fc.uint8Array({ maxLength: 150 });
type Say = (link: ShardLink) => void;
const say: fc.Arbitrary<Say> = fc.oneof(
  fc.tuple(u32.map(incarnation), u32, u48, fc.array(id, { maxLength: 5 })).map(
    (given): Say =>
      link =>
        link.attached(...given),
  ),
  fc.tuple(id, u48, count, offset, fc.boolean(), bytes, fc.array(bytes, { maxLength: 3 })).map(
    (given): Say =>
      link =>
        link.deliver(...given),
  ),
  id.map(
    (consumer): Say =>
      link =>
        link.consumerCancelled(consumer),
  ),
);

describe("what a shard's leader says to another node", () => {
  it('arrives as it was said, in order, whatever is gathered or cut up', () => {
    fc.assert(
      fc.property(fc.array(say, { maxLength: 30 }), all => {
        const frames: Frame[] = [];
        const said = new Recorder();
        const heard = new Recorder();
        const link = new RemoteShardLink(
          { group: GROUP, frameBytesMax: FRAME_BYTES_MAX, queuedBytesMax: 1_000 },
          { link: sendingLink(frames), wantsFlush: () => {} },
        );
        for (const one of all) {
          one(said);
          one(link);
          // The leader gives up whatever it gathered before it answers an attach: nothing of an earlier one may follow.
          link.flush();
        }
        receive(frames, heard);
        expect(heard.calls).toEqual(said.calls);
        for (const { payload } of frames) expect(payload.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
      }),
    );
  });

  it('drops what was gathered when the attach is over', () => {
    const frames: Frame[] = [];
    const link = new RemoteShardLink(
      { group: GROUP, frameBytesMax: FRAME_BYTES_MAX, queuedBytesMax: 1_000 },
      { link: sendingLink(frames), wantsFlush: () => {} },
    );
    link.deliver(consumerId(1), 1, 0, NO_OFFSET, false, Uint8Array.of(1), []);
    link.detached();
    link.process();
    expect(frames).toEqual([]);
  });

  it('carries decisions and refusals', () => {
    const frames: Frame[] = [];
    const heard = new Recorder();
    const link = new RemoteShardLink(
      { group: GROUP, frameBytesMax: FRAME_BYTES_MAX, queuedBytesMax: 1_000 },
      { link: sendingLink(frames), wantsFlush: () => {} },
    );
    const outcomes = [
      { sequence: 7, outcome: { kind: 'purged', messages: 5 } },
      { sequence: 9, outcome: { kind: 'no-such-queue' } },
    ] as const;
    link.answered(10, outcomes);
    link.refused({ reason: 'fenced', node: NODE, incarnation: incarnation(4) });
    link.refused({ reason: 'gap', node: NODE, incarnation: incarnation(4), expectedSequence: 12 });
    receive(frames, heard);
    expect(heard.calls).toEqual([
      ['answered', 10, outcomes],
      ['refused', { reason: 'fenced', node: NODE, incarnation: 4 }],
      ['refused', { reason: 'gap', node: NODE, incarnation: 4, expectedSequence: 12 }],
    ]);
  });

  it('is asked for by an attach that names the node of the link, whatever its bytes say', () => {
    const attach = {
      node: nodeId(99),
      incarnation: incarnation(2),
      attach: 17,
      answeredThrough: 5,
      consumers: [{ consumer: consumerId(4), last: 70_000_000_000 }],
    };
    const encoded = encodeAttach(attach);
    expect(decodeAttach(NODE, encoded)).toEqual({ ...attach, node: NODE });
    for (let length = 0; length < encoded.length; length++) {
      expect(() => decodeAttach(NODE, encoded.subarray(0, length))).toThrow(TruncatedError);
    }
  });
});

describe('what nodes say about leases', () => {
  it('is read as it was written', () => {
    const renewal = { node: NODE, incarnation: incarnation(3), sentMs: 12_345.678, applied: 99 };
    expect(decodeRenewal(NODE, encodeRenewal(renewal))).toEqual(renewal);
    for (const grant of ['granted', 'behind', 'refused'] as const) {
      expect(decodeGrant(encodeGrant(renewal, grant))).toEqual({ incarnation: 3, sentMs: 12_345.678, grant });
    }
    expect(decodeTopologyApplied(encodeTopologyApplied(3, 77))).toEqual({ incarnation: 3, index: 77 });
    for (const [disk, memory] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      expect(decodeNews(encodeNews(5.5, { disk, memory }))).toEqual({ wallMs: 5.5, disk, memory });
    }
  });

  it('means no grant if it is of a kind that is not known', () => {
    const grant = encodeGrant({ node: NODE, incarnation: incarnation(3), sentMs: 1, applied: 0 }, 'granted');
    grant[grant.length - 1] = 200;
    expect(decodeGrant(grant).grant).toBe('refused');
  });
});

describe('the number that stands for a home in frames', () => {
  it('tells shards and the volatile homes of every incarnation apart', () => {
    const homes = [
      { kind: 'shard', group: groupId(1) },
      { kind: 'shard', group: groupId(4_000) },
      { kind: 'volatile', node: NODE, incarnation: incarnation(1) },
      { kind: 'volatile', node: NODE, incarnation: incarnation(2 ** 31 - 1) },
    ] as const;
    for (const home of homes) {
      expect(homeOfGroup(groupOfHome(home), NODE)).toEqual(home);
      expect(groupOfHome(home)).toBeLessThan(2 ** 32);
    }
  });
});
