import { beforeEach, describe, expect, it } from 'vitest';
import { MetadataClient } from '../../../src/cluster/metadata/metadata-client.ts';
import {
  decodePayload,
  METADATA_HEAD_BYTES,
  writeMetadataHead,
} from '../../../src/cluster/metadata/metadata-command-codec.ts';
import { REQUEST_WINDOW, removeQueue } from '../../../src/cluster/metadata/metadata-commands.ts';
import type { MetadataReply } from '../../../src/cluster/metadata/metadata-replies.ts';
import { incarnation, nodeId, queueId } from '../../../src/lib/ids.ts';
import { formedCluster, type MetadataLog } from '../../support/metadata.ts';

const DONE: MetadataReply = { kind: 'done' };
const command = removeQueue(queueId(1));

describe('requests of a node to group 0', () => {
  let nowMs: number;
  let sent: Uint8Array[];
  let isReachable: boolean;
  let client: MetadataClient;

  beforeEach(() => {
    nowMs = 0;
    sent = [];
    isReachable = true;
    client = new MetadataClient(
      { node: nodeId(1), incarnation: incarnation(1), repeatMs: 1_000, timeoutMs: 30_000 },
      {
        send: request => {
          if (isReachable) sent.push(request);
          return isReachable;
        },
        monotonicMs: () => nowMs,
      },
    );
  });

  const pass = (ms: number): void => {
    nowMs += ms;
    client.tick();
  };
  const numbers = (): number[] => sent.splice(0).map(request => requestOf(request).id!.number);

  it('go out at once, and again when there is no answer or another leader', () => {
    void client.request(command);
    expect(numbers()).toEqual([1]);
    pass(500);
    expect(numbers()).toEqual([]);
    pass(600);
    expect(numbers()).toEqual([1]);
    client.leaderChanged();
    expect(numbers()).toEqual([1]);
    client.turnedAway();
    pass(50);
    expect(numbers()).toEqual([1]);
  });

  it('wait for somebody to ask, as long as a caller waits', async () => {
    isReachable = false;
    const answer = client.request(command);
    pass(10_000);
    isReachable = true;
    pass(50);
    expect(numbers()).toEqual([1]);
    pass(20_000);
    expect(await answer).toMatchObject({ kind: 'refused', error: { code: 'unavailable' } });
  });

  it('are repeated for ever when they have to happen', async () => {
    const answer = client.request(command, { untilAnswered: true });
    pass(3_600_000);
    expect(numbers()).toEqual([1, 1]);
    client.replied(1, DONE);
    expect(await answer).toEqual(DONE);
  });

  it('report as seen what lies before the oldest open one, in whatever order answers come', () => {
    for (let i = 0; i < 3; i++) void client.request(command);
    client.replied(2, DONE);
    client.replied(3, DONE);
    void client.request(command);
    expect(requestOf(sent.at(-1)!).id).toMatchObject({ number: 4, seenThrough: 0 });
    client.replied(1, DONE);
    void client.request(command);
    expect(requestOf(sent.at(-1)!).id).toMatchObject({ number: 5, seenThrough: 3 });
  });

  it('stay within the window that group 0 takes, and go on when the oldest is answered', () => {
    for (let i = 0; i < REQUEST_WINDOW + 10; i++) void client.request(command);
    expect(numbers()).toHaveLength(REQUEST_WINDOW);
    client.replied(2, DONE);
    expect(numbers()).toEqual([]);
    client.replied(1, DONE);
    expect(numbers()).toEqual([REQUEST_WINDOW + 1, REQUEST_WINDOW + 2]);
  });

  it('all come to an end with the incarnation', async () => {
    const answers = Array.from({ length: REQUEST_WINDOW + 1 }, () => client.request(command));
    client.abandon();
    expect(new Set((await Promise.all(answers)).map(({ kind }) => kind))).toEqual(new Set(['fenced']));
    client.replied(1, DONE);
  });

  it('are executed once each by group 0, however often and late they come', async () => {
    const log: MetadataLog = formedCluster();
    const replies = new Map<number, string>();
    const answers = Array.from({ length: 300 }, (_, i) =>
      client.request(removeQueue(queueId(i + 1))).then(({ kind }) => replies.set(i, kind)),
    );
    let turn = 0;
    const late: Uint8Array[] = [];
    while (replies.size < answers.length) {
      for (const request of sent.splice(0).reverse()) {
        late.push(request);
        // Some answers are lost.
        for (const { id, reply } of log.apply(requestOf(request)).answers) {
          if (turn++ % 3 !== 0) client.replied(id!.number, reply);
        }
      }
      pass(1_001);
      await Promise.resolve();
    }
    expect(new Set(replies.values())).toEqual(new Set(['done']));
    const repeated = late.map(request => log.apply(requestOf(request)).answers[0]!.reply.kind);
    expect(repeated.every(kind => kind === 'done' || kind === 'forgotten')).toBe(true);
  });
});

function requestOf(encoded: Uint8Array) {
  const payload = new Uint8Array(METADATA_HEAD_BYTES + encoded.length);
  writeMetadataHead(payload);
  payload.set(encoded, METADATA_HEAD_BYTES);
  return decodePayload(payload)[0]!;
}
