import { describe, expect, it } from 'vitest';
import type { MetadataReply } from '../../../src/cluster/metadata/metadata-replies.ts';
import { MetadataRelay } from '../../../src/cluster/metadata-relay.ts';
import { NodeSession } from '../../../src/cluster/node-session.ts';
import { incarnation, nodeId, queueId } from '../../../src/lib/ids.ts';
import { formedCluster } from '../../support/metadata.ts';

const SELF = nodeId(1);
const NO_QUEUE: MetadataReply = { kind: 'refused', error: { code: 'no-queue', vhost: '/', name: 'queue' } };
const DONE: MetadataReply = { kind: 'done' };

/** A session whose requests are answered by the test. */
function sessionOf(started: number): NodeSession {
  const { machine } = formedCluster();
  const outbox = { batchBytesMax: 1_000, bytesMax: 1_000, commandsMax: 10 };
  return new NodeSession(
    {
      self: { node: SELF, incarnation: incarnation(started) },
      client: { ...outbox, attachTimeoutMs: 1_000, reportAfterMs: 1_000 },
      metadata: { repeatMs: 1_000, timeoutMs: 30_000 },
      lease: { routingLeaseMs: 1_000, nodeLeaseMs: 10_000, marginMs: 100 },
      startedMs: 0,
    },
    {
      topology: machine.topology,
      access: machine.access,
      othersLoad: () => 0,
      topologyIndex: () => machine.applied,
      shardLeader: () => undefined,
      isShortOfMemory: () => false,
      localShard: () => undefined,
      isAlive: () => true,
      sendMetadata: () => true,
      wakeClient: () => {},
      monotonicMs: () => 0,
      ended: () => {},
    },
  );
}

describe("what group 0's leader answers on its own node", () => {
  it('is for the incarnation that asked, though the next one counts its requests from the same number', async () => {
    const session = sessionOf(2);
    const relay = new MetadataRelay({
      self: SELF,
      metadata: () => expect.fail('nothing is asked'),
      session: () => session,
      peers: { send: () => expect.fail('nothing is sent') },
    });
    const answer = session.removeQueue(queueId(7));
    const request = { node: SELF, number: 1, seenThrough: 0 };
    relay.reply(SELF, { ...request, incarnation: incarnation(1) }, NO_QUEUE);
    relay.reply(SELF, { ...request, incarnation: incarnation(2) }, DONE);
    expect(await answer).toMatchObject({ ok: true });
  });
});
