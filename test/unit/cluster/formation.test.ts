import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeFormation,
  encodeFormation,
  formCluster,
  metadataMembership,
  nextFormationStep,
} from '../../../src/cluster/metadata/formation.ts';
import type { NodeIdentity } from '../../../src/cluster/transport/transport.ts';
import { nodeId } from '../../../src/lib/ids.ts';

const founder = (name: string) => ({ name, directoryId: `directory of ${name}`, address: `${name}:1` });
const identity = (name: string, more: Partial<NodeIdentity> = {}): NodeIdentity => ({
  nodeName: name,
  directoryId: `directory of ${name}`,
  clusterName: 'warren',
  clusterId: undefined,
  nodeId: undefined,
  incarnation: undefined,
  isDirectoryEmpty: true,
  address: `${name}:1`,
  clusterState: new Uint8Array(0),
  ...more,
});
const NAMES = ['a', 'b', 'c'];
const formed = formCluster('warren', NAMES.map(founder));
const ofCluster = { clusterId: formed.clusterId, isDirectoryEmpty: false, clusterState: encodeFormation(formed) };

describe('forming a cluster', () => {
  it('waits for every configured member by name', () => {
    expect(nextFormationStep('warren', founder('a'), NAMES, [identity('c')])).toEqual({ do: 'wait', missing: ['b'] });
  });

  it('comes to the same cluster on every member', () => {
    const steps = NAMES.map(name => {
      const others = NAMES.filter(other => other !== name).map(other => identity(other));
      return nextFormationStep('warren', founder(name), NAMES, others);
    });
    for (const step of steps) expect(step).toEqual({ do: 'form', formation: formed });
  });

  it('makes another cluster out of other directories', () => {
    const others = NAMES.map(name => ({ ...founder(name), directoryId: 'another' }));
    expect(formCluster('warren', others).clusterId).not.toBe(formed.clusterId);
    expect(formCluster('other', NAMES.map(founder)).clusterId).not.toBe(formed.clusterId);
  });

  it('follows a cluster in which this directory was counted, though others are missing', () => {
    const heard = [identity('a', ofCluster)];
    expect(nextFormationStep('warren', founder('b'), NAMES, heard)).toEqual({ do: 'follow', formation: formed });
  });

  it('refuses a directory that the existing cluster does not know: it was emptied, or is a stranger', () => {
    const emptied = { ...founder('b'), directoryId: 'a new one' };
    const step = nextFormationStep('warren', emptied, NAMES, [identity('a', ofCluster), identity('c')]);
    expect(step).toMatchObject({ do: 'refused', reason: expect.stringContaining('does not know this data directory') });
  });

  it('is a cluster of one without peers', () => {
    const step = nextFormationStep('warren', founder('a'), [], []);
    expect(step).toMatchObject({ do: 'form', formation: { members: [{ id: 1, name: 'a' }] } });
  });

  it('is written and read back, and a later format is not misread', () => {
    expect(decodeFormation(encodeFormation(formed))).toEqual(formed);
    const later = encodeFormation(formed);
    later[0] = 2;
    expect(decodeFormation(later)).toBeUndefined();
  });

  it('has group 0 voted on by the largest odd number of members up to five', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), count => {
        const members = Array.from({ length: count }, (_, i) => ({ id: nodeId(i + 1) }));
        const { voters, learners } = metadataMembership(members);
        expect(voters.length).toBe([1, 1, 3, 3, 5, 5, 5, 5, 5][count - 1]);
        expect([...voters, ...learners]).toEqual(members.map(({ id }) => id));
      }),
    );
  });
});
