import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  FRAME_PAYLOAD_BYTES_MAX,
  type Lane,
  MESSAGE_BYTES_MAX,
  type NodeIdentity,
  type PeerLink,
  type Transport,
  type TransportListener,
} from '../../src/cluster/transport/transport.ts';
import { utf8Decode, utf8Encode } from '../../src/lib/bytes.ts';
import { RecordingListener } from '../support/recording-listener.ts';

/** Makes transports that can reach each other. */
export interface TransportHarness {
  /** A transport on a place of its own; the same `place` again is the same address. Not started yet. */
  transport(
    place: string,
    secret: string,
    listener: TransportListener,
  ): Promise<{ transport: Transport; address: string }>;
  close(): Promise<void>;
}

interface TestNode {
  readonly name: string;
  readonly address: string;
  readonly transport: Transport;
  readonly listener: RecordingListener;
}

interface NodeOptions extends Partial<Omit<NodeIdentity, 'nodeName' | 'address'>> {
  readonly place?: string;
  readonly secret?: string;
}

/** What every transport promises; the names are the promises of `src/cluster/transport/transport.ts`. */
export function transportContract(name: string, makeHarness: () => Promise<TransportHarness>): void {
  describe(name, () => {
    let harness: TransportHarness;
    let nodes: TestNode[];

    beforeEach(async () => {
      harness = await makeHarness();
      nodes = [];
    });

    afterEach(async () => {
      for (const node of nodes) await node.transport.close();
      await harness.close();
    });

    async function start(nodeName: string, options: NodeOptions = {}): Promise<TestNode> {
      const { place = nodeName, secret = 'secret', ...overrides } = options;
      let address = '';
      const listener = new RecordingListener(() => ({
        nodeName,
        directoryId: `directory of ${nodeName}`,
        clusterName: 'warren',
        clusterId: undefined,
        nodeId: undefined,
        incarnation: undefined,
        isDirectoryEmpty: false,
        clusterState: new Uint8Array(0),
        ...overrides,
        address,
      }));
      const made = await harness.transport(place, secret, listener);
      address = made.address;
      expect(await made.transport.start()).toMatchObject({ ok: true });
      const node = { name: nodeName, address, transport: made.transport, listener };
      nodes.push(node);
      return node;
    }

    const know = (node: TestNode, peer: TestNode): void =>
      node.transport.addPeer({ nodeName: peer.name, address: peer.address });

    async function linkTo(node: TestNode, peer: TestNode): Promise<PeerLink> {
      await node.listener.until(() => node.transport.link(peer.name) !== undefined);
      return node.transport.link(peer.name)!;
    }

    /** Two nodes that know each other, and their ends of the link. */
    async function pair(): Promise<{ a: TestNode; b: TestNode; ab: PeerLink; ba: PeerLink }> {
      const a = await start('a');
      const b = await start('b');
      know(a, b);
      know(b, a);
      return { a, b, ab: await linkTo(a, b), ba: await linkTo(b, a) };
    }

    const texts = (node: TestNode, lane: Lane): string[] =>
      node.listener.frames(lane).map(frame => utf8Decode(frame.payload));

    it('links two nodes that know each other, once', async () => {
      const { a, b, ab, ba } = await pair();
      expect(ab.peer.nodeName).toBe('b');
      expect(ba.peer.nodeName).toBe('a');
      ab.send('control', 1, 0, utf8Encode('over'));
      ba.send('control', 1, 0, utf8Encode('back'));
      await Promise.all([
        a.listener.until(() => texts(a, 'control').length > 0),
        b.listener.until(() => texts(b, 'control').length > 0),
      ]);
      expect(a.listener.all('connected')).toHaveLength(1);
      expect(b.listener.all('connected')).toHaveLength(1);
    });

    it('links a node to one that only the other knows, whichever name is lower', async () => {
      const a = await start('a');
      const b = await start('b');
      const c = await start('c');
      know(b, a);
      know(b, c);
      await Promise.all([linkTo(a, b), linkTo(c, b), linkTo(b, a), linkTo(b, c)]);
    });

    it('tells each side what the other says about itself', async () => {
      const a = await start('a', { clusterId: 'id 1', clusterState: utf8Encode('members') });
      const b = await start('b', { isDirectoryEmpty: true });
      know(a, b);
      expect((await linkTo(b, a)).peer).toEqual({ ...a.listener.identity(), address: a.address });
      expect((await linkTo(a, b)).peer).toEqual({ ...b.listener.identity(), address: b.address });
    });

    it('keeps the order of each lane, in both directions, for every size of frame', async () => {
      const { a, b, ab, ba } = await pair();
      const sizes = [0, 1, 100, 200_000, 127, 128, FRAME_PAYLOAD_BYTES_MAX, 16_384, 90_000, 90_000, 90_000, 3];
      for (const [position, size] of sizes.entries()) {
        const payload = new Uint8Array(size).fill(position);
        ab.send('log', 255, 0xffff_ffff, payload);
        ba.send('log', 0, position, payload.subarray(0, size >> 1), [payload.subarray(size >> 1)]);
      }
      for (const node of [a, b]) {
        await node.listener.until(() => node.listener.frames('log').length === sizes.length);
        const frames = node.listener.frames('log');
        expect(frames.map(frame => frame.payload.length)).toEqual(sizes);
        expect(frames.every((frame, position) => frame.payload.every(byte => byte === position))).toBe(true);
      }
      expect(b.listener.frames('log').every(({ kind, group }) => kind === 255 && group === 0xffff_ffff)).toBe(true);
      expect(a.listener.frames('log').every(({ kind, group }, position) => kind === 0 && group === position)).toBe(
        true,
      );
    });

    it('sends the frames of one turn as one message per lane', async () => {
      const { b, ab } = await pair();
      for (let group = 0; group < 500; group++) {
        ab.send('control', 1, group, utf8Encode('heartbeat'));
        ab.send('clients', 2, group, utf8Encode('batch'));
      }
      await b.listener.until(() => b.listener.all('message').length === 2);
      expect(b.listener.frames('control')).toHaveLength(500);
      expect(b.listener.frames('clients')).toHaveLength(500);
    });

    it('never sends a message above 256 KiB', async () => {
      const { b, ab } = await pair();
      for (let i = 0; i < 40; i++) ab.send('log', 1, 1, new Uint8Array(50_000));
      ab.send('log', 1, 1, new Uint8Array(FRAME_PAYLOAD_BYTES_MAX));
      await b.listener.until(() => b.listener.frames('log').length === 41);
      const sizes = b.listener.all('message').map(message => message.bytes);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(MESSAGE_BYTES_MAX);
      expect(sizes.length).toBeLessThanOrEqual(10);
    });

    it('takes a frame above the limit for a mistake of the sender', async () => {
      const { ab } = await pair();
      expect(() => ab.send('log', 255, 0xffff_ffff, new Uint8Array(FRAME_PAYLOAD_BYTES_MAX + 1))).toThrow(
        /frame of 262145 bytes on lane log/,
      );
    });

    it('has copied a payload when send returns', async () => {
      const { b, ab } = await pair();
      const payload = utf8Encode('before');
      ab.send('clients', 1, 1, payload);
      payload.fill(0);
      await b.listener.until(() => b.listener.frames('clients').length === 1);
      expect(texts(b, 'clients')).toEqual(['before']);
    });

    it('does not let a full log lane delay control', async () => {
      const { b, ab } = await pair();
      const frames = 400;
      for (let i = 0; i < frames; i++) ab.send('log', 1, 1, new Uint8Array(100_000));
      expect(ab.queuedBytes('log')).toBeGreaterThan(40_000_000);
      ab.send('control', 1, 1, utf8Encode('heartbeat'));
      await b.listener.until(() => b.listener.frames('control').length === 1);
      expect(b.listener.frames('log').length).toBeLessThan(frames / 2);
      await b.listener.until(() => b.listener.frames('log').length === frames);
    });

    it('counts what is queued until it has left', async () => {
      const { a, b, ab } = await pair();
      ab.send('clients', 1, 1, new Uint8Array(1_000));
      expect(ab.queuedBytes('clients')).toBeGreaterThan(1_000);
      await b.listener.until(() => b.listener.frames('clients').length === 1);
      b.transport.link('a')!.send('clients', 1, 1, new Uint8Array(0));
      await a.listener.until(() => a.listener.frames('clients').length === 1);
      expect(ab.queuedBytes('clients')).toBe(0);
    });

    it('tells both ends when a link breaks, and that the process is gone, once', async () => {
      const { a, b, ab } = await pair();
      const c = await start('c');
      know(c, b);
      await linkTo(c, b);
      await b.transport.close();
      for (const node of [a, c]) {
        await node.listener.until(() => node.listener.all('process-gone').length > 0);
        expect(node.listener.all('disconnected').map(({ link }) => link.peer.nodeName)).toEqual(['b']);
        expect(node.listener.all('process-gone')).toEqual([{ what: 'process-gone', nodeName: 'b' }]);
        expect(node.transport.link('b')).toBeUndefined();
      }
      expect(ab.isOpen).toBe(false);
      ab.send('control', 1, 1, utf8Encode('dropped'));
    });

    it('links again when a peer has restarted, whichever side was gone', async () => {
      const { a, b, ab } = await pair();
      await b.transport.close();
      await a.listener.until(() => a.listener.all('process-gone').length === 1);
      const again = await start('b');
      await a.listener.until(() => a.listener.all('connected').length === 2);
      const second = await linkTo(a, again);
      expect(second).not.toBe(ab);
      second.send('log', 1, 1, utf8Encode('new life'));
      await again.listener.until(() => again.listener.frames('log').length === 1);

      await a.transport.close();
      await again.listener.until(() => again.listener.all('process-gone').length === 1);
      const other = await start('a');
      know(other, again);
      await linkTo(again, other);
      expect(b.listener.all('disconnected')).toHaveLength(0);
    });

    it.each<[string, NodeOptions, RegExp]>([
      ['a wrong secret', { secret: 'guess' }, /the shared secret differs/],
      ['another cluster', { clusterName: 'other' }, /node '.' belongs to cluster '.*', node '.' to '.*'/],
      ['another cluster of the same name', { clusterId: 'id 2' }, /belongs to another cluster named 'warren'/],
    ])('refuses %s, and says so once on both sides', async (_, options, reason) => {
      const a = await start('a', { clusterId: 'id 1' });
      const b = await start('b', options);
      know(a, b);
      for (const node of [a, b]) {
        await node.listener.until(() => node.listener.all('refused').length > 0);
        expect(node.listener.all('refused')[0]!.reason).toMatch(reason);
      }
      know(b, a);
      a.transport.addPeer({ nodeName: 'b', address: b.address });
      const c = await start('c', { clusterId: 'id 1' });
      know(a, c);
      await linkTo(a, c);
      const reasons = a.listener.all('refused').map(refused => refused.reason);
      expect(new Set(reasons).size).toBe(reasons.length);
      expect(a.listener.all('connected').map(({ link }) => link.peer.nodeName)).toEqual(['c']);
    });

    it('refuses a node of its own name, and tells it apart from itself', async () => {
      const a = await start('a');
      const twin = await start('a', { place: 'elsewhere', directoryId: 'another directory' });
      a.transport.addPeer({ nodeName: 'b', address: twin.address });
      await a.listener.until(() => a.listener.all('refused').length === 1);
      expect(a.listener.all('refused')[0]!.reason).toMatch(/two nodes are named 'a'/);
      a.transport.addPeer({ nodeName: 'c', address: a.address });
      await a.listener.until(() => a.listener.all('refused').some(({ reason }) => reason.includes('to itself')));
    });

    it('refuses a second node of the same name while the first is linked', async () => {
      const { a, b } = await pair();
      const twin = await start('b', { place: 'elsewhere', directoryId: 'another directory' });
      know(twin, a);
      await twin.listener.until(() => twin.listener.all('refused').length === 1);
      expect(twin.listener.all('refused')[0]!.reason).toMatch(
        /two nodes are named 'b': data directories directory of b at .* and another directory/,
      );
      expect(a.transport.link('b')!.peer.directoryId).toBe(b.listener.identity().directoryId);
    });

    it('refuses a node at a known address that has another name', async () => {
      const a = await start('a');
      const b = await start('b');
      a.transport.addPeer({ nodeName: 'c', address: b.address });
      await a.listener.until(() => a.listener.all('refused').length === 1);
      expect(a.listener.all('refused')[0]!.reason).toMatch(/is named 'b', not 'c'/);
    });

    it("passes the cluster layer's refusal to the other side", async () => {
      const a = await start('a');
      const b = await start('b');
      b.listener.decision = () => ({ accept: false, reason: 'node a was replaced' });
      know(a, b);
      await a.listener.until(() => a.listener.all('refused').length === 1);
      expect(a.listener.all('refused')[0]).toEqual({
        what: 'refused',
        peer: 'b',
        reason: 'refused by the other node: node a was replaced',
      });
    });

    it('ends the link of a removed peer', async () => {
      const { a, b } = await pair();
      a.transport.removePeer('b');
      await b.listener.until(() => b.listener.all('disconnected').length === 1);
      expect(a.transport.link('b')).toBeUndefined();
    });

    it('is silent once closed', async () => {
      const { a, b, ab } = await pair();
      ab.send('log', 1, 1, new Uint8Array(10));
      await a.transport.close();
      const count = a.listener.happenings.length;
      await b.listener.until(() => b.listener.all('process-gone').length === 1);
      expect(a.listener.happenings).toHaveLength(count);
    });
  });
}
