import type { NodeStart } from '../broker/topology-records.ts';
import type { NodeId } from '../lib/ids.ts';
import { FrameKind } from './frames.ts';
import { encodeGrant, encodeRenewal, encodeTopologyApplied } from './metadata/lease-frames.ts';
import type { RequestId } from './metadata/metadata-commands.ts';
import { encodeMetadataReply, type MetadataGroup } from './metadata/metadata-group.ts';
import type { Grant, Renewal } from './metadata/metadata-leader.ts';
import type { MetadataReply } from './metadata/metadata-replies.ts';
import type { NodeSession } from './node-session.ts';
import type { Peers } from './peers.ts';

export interface MetadataRelayDependencies {
  readonly self: NodeId;
  readonly metadata: () => MetadataGroup;
  readonly session: () => NodeSession | undefined;
  readonly peers: Pick<Peers, 'send'>;
}

/** What a node and group 0's leader tell each other, whether the leader is the node itself or another. */
export class MetadataRelay {
  readonly #deps: MetadataRelayDependencies;

  constructor(deps: MetadataRelayDependencies) {
    this.#deps = deps;
  }

  // ---- To the leader: nothing is kept for one that is not there ----

  /** False: it was not sent. */
  request(request: Uint8Array): boolean {
    const { driver, leader } = this.#deps.metadata();
    if (driver.leader === this.#deps.self) return leader.request(request);
    return (
      driver.leader !== undefined &&
      this.#deps.peers.send(driver.leader, 'clients', FrameKind.metadataRequest, 0, request)
    );
  }

  renew(renewal: Renewal): void {
    const { driver, leader } = this.#deps.metadata();
    if (driver.leader === this.#deps.self) leader.renew(renewal);
    else if (driver.leader !== undefined) {
      this.#deps.peers.send(driver.leader, 'control', FrameKind.leaseRenewal, 0, encodeRenewal(renewal));
    }
  }

  topologyApplied({ node, incarnation }: NodeStart, index: number): void {
    const { driver, leader } = this.#deps.metadata();
    if (driver.leader === this.#deps.self) leader.topologyApplied(node, incarnation, index);
    else if (driver.leader !== undefined) {
      const frame = encodeTopologyApplied(incarnation, index);
      this.#deps.peers.send(driver.leader, 'control', FrameKind.topologyApplied, 0, frame);
    }
  }

  // ---- From the leader ----

  grant(renewal: Renewal, grant: Grant): void {
    const { self, session, peers } = this.#deps;
    if (renewal.node !== self) {
      peers.send(renewal.node, 'control', FrameKind.leaseGrant, 0, encodeGrant(renewal, grant));
      return;
    }
    const own = session();
    if (own?.self.incarnation === renewal.incarnation) own.lease.granted(renewal.sentMs, grant);
  }

  reply(to: NodeId, { incarnation, number }: RequestId, reply: MetadataReply): void {
    const { self, session, peers } = this.#deps;
    if (to !== self) {
      peers.send(to, 'clients', FrameKind.metadataReply, 0, encodeMetadataReply(incarnation, number, reply));
      return;
    }
    const own = session();
    if (own?.self.incarnation === incarnation) own.metadata.replied(number, reply);
  }
}
