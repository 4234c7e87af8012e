import { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { crc32 } from '../../lib/crc32.ts';
import { type NodeId, nodeId } from '../../lib/ids.ts';
import type { Membership } from '../../raft/messages.ts';
import type { NodeIdentity } from '../transport/transport.ts';

export interface FoundingMember {
  readonly id: NodeId;
  readonly name: string;
  readonly directoryId: string;
  readonly address: string;
}

/** Who formed the cluster, and so its identity (R9). Every founder computes the same, and keeps it for ever. */
export interface Formation {
  readonly clusterId: string;
  /** Ascending by name, which is ascending by id. */
  readonly members: readonly FoundingMember[];
}

/** Voters of group 0: the largest odd number up to five; the other members learn (DESIGN section 3). */
const METADATA_VOTERS_MAX = 5;

/** The cluster that these nodes form, when all of them have said that they are empty. */
export function formCluster(clusterName: string, founders: readonly Omit<FoundingMember, 'id'>[]): Formation {
  const members = [...founders]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((founder, i) => ({ ...founder, id: nodeId(i + 1) }));
  const out = new ByteWriter();
  out.string(clusterName);
  for (const { name, directoryId } of members) {
    out.string(name);
    out.string(directoryId);
  }
  const hex = (value: number): string => value.toString(16).padStart(8, '0');
  const bytes = out.view();
  return { clusterId: hex(crc32(bytes)) + hex(crc32(bytes, 0x5a5a5a5a)), members };
}

export function metadataMembership(members: readonly { readonly id: NodeId }[]): Membership {
  const ids = members.map(member => member.id);
  const odd = ids.length % 2 === 0 ? ids.length - 1 : ids.length;
  const voters = Math.min(METADATA_VOTERS_MAX, Math.max(1, odd));
  return { voters: ids.slice(0, voters), outgoing: [], learners: ids.slice(voters) };
}

export function encodeFormation(formation: Formation): Uint8Array {
  const out = new ByteWriter();
  out.u8(1);
  out.string(formation.clusterId);
  out.u32(formation.members.length);
  for (const { id, name, directoryId, address } of formation.members) {
    out.u32(id);
    out.string(name);
    out.string(directoryId);
    out.string(address);
  }
  return out.finish();
}

/** Undefined for bytes of another version. */
export function decodeFormation(bytes: Uint8Array): Formation | undefined {
  const reader = new ByteReader(bytes);
  if (reader.u8() !== 1) return undefined;
  const clusterId = reader.string();
  const members: FoundingMember[] = [];
  for (let count = reader.u32(); count > 0; count--) {
    members.push({
      id: nodeId(reader.u32()),
      name: reader.string(),
      directoryId: reader.string(),
      address: reader.string(),
    });
  }
  return { clusterId, members };
}

export type FormationStep =
  | { readonly do: 'wait'; readonly missing: readonly string[] }
  | { readonly do: 'form' | 'follow'; readonly formation: Formation }
  /** Members of an existing cluster do not know this directory. */
  | { readonly do: 'refused'; readonly reason: string };

export const strangerTo = (nodeName: string, clusterId: string): string =>
  `node ${nodeName} belongs to cluster ${clusterId}, which does not know this data directory`;

/**
 * What an empty node does with what it has heard so far. It forms a cluster only when every configured member has answered
 * and is empty; if one is not, it follows that cluster, in which it must have been counted.
 */
export function nextFormationStep(
  clusterName: string,
  self: Omit<FoundingMember, 'id'>,
  configured: readonly string[],
  heard: readonly NodeIdentity[],
): FormationStep {
  for (const peer of heard) {
    if (peer.clusterId === undefined) continue;
    const formation = decodeFormation(peer.clusterState);
    const known = formation?.members.find(
      ({ name, directoryId }) => name === self.name && directoryId === self.directoryId,
    );
    if (formation !== undefined && known !== undefined) return { do: 'follow', formation };
    return { do: 'refused', reason: strangerTo(peer.nodeName, peer.clusterId) };
  }
  const missing = configured.filter(name => name !== self.name && !heard.some(peer => peer.nodeName === name));
  if (missing.length > 0) return { do: 'wait', missing };
  const founders = heard.map(({ nodeName, directoryId, address }) => ({ name: nodeName, directoryId, address }));
  return { do: 'form', formation: formCluster(clusterName, [self, ...founders]) };
}
