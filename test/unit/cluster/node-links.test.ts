import { beforeEach, describe, expect, it } from 'vitest';
import { NodeLinks } from '../../../src/cluster/node-links.ts';
import type { NodeIdentity, PeerLink } from '../../../src/cluster/transport/transport.ts';

const logger = { info() {}, warn() {}, error() {} };
const peers = ['a', 'b', 'c'].map(name => ({ name, address: `${name}:1` }));

let links: NodeLinks;
let sentences: string[];

beforeEach(() => {
  sentences = [];
  links = new NodeLinks(
    { nodeName: 'c', clusterName: 'warren', directoryId: 'of c', address: 'c:1', peers },
    { logger, formed: () => {}, impossible: sentence => sentences.push(sentence) },
    undefined,
  );
});

const linkTo = (nodeName: string): PeerLink => ({
  peer: { ...links.identity(), nodeName, directoryId: `of ${nodeName}` } satisfies NodeIdentity,
  isOpen: true,
  send: () => {},
  queuedBytes: () => 0,
});

describe('a node whose peers turn it away', () => {
  it('ends when most of them do, with their reasons', () => {
    links.turnedAway('a', 'it belongs to another cluster');
    links.turnedAway('a', 'it belongs to another cluster');
    expect(sentences).toEqual([]);
    links.turnedAway('b', 'it belongs to another cluster');
    expect(sentences).toEqual([
      'the peers turn this node away: it belongs to another cluster; check nodeName, dataDir and peers',
    ]);
  });

  it('goes on when it has been linked with one of them', () => {
    links.connected(linkTo('b'));
    links.turnedAway('a', 'two nodes have its name');
    links.turnedAway('b', 'two nodes have its name');
    expect(sentences).toEqual([]);
  });
});
