import type { NodeId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import type { ClusterNode } from './cluster-node.ts';
import { FrameKind } from './frames.ts';
import {
  decodeFormation,
  encodeFormation,
  type Formation,
  type FormationStep,
  nextFormationStep,
  strangerTo,
} from './metadata/formation.ts';
import type { Decision, Lane, NodeIdentity, PeerLink, Transport, TransportListener } from './transport/transport.ts';

export interface NodeLinksOptions {
  readonly nodeName: string;
  readonly clusterName: string;
  readonly directoryId: string;
  readonly address: string;
  readonly peers: readonly { readonly name: string; readonly address: string }[];
}

export interface NodeLinksDependencies {
  readonly logger: Logger;
  /** An empty node has found out which cluster it belongs to. Called once. */
  readonly formed: (formation: Formation) => void;
  /** This data directory can never take part: the node must stop with this sentence. */
  readonly impossible: (reason: string) => void;
}

/**
 * This node's side of the transport: who it says it is, whom it accepts, and, before the cluster is formed, the waiting
 * for all its members (R9). Afterwards links and frames go to the cluster node.
 */
export class NodeLinks implements TransportListener {
  readonly #options: NodeLinksOptions;
  readonly #deps: NodeLinksDependencies;
  readonly #links = new Map<string, PeerLink>();
  #formation: Formation | undefined;
  #node: ClusterNode | undefined;
  #lastWait = '';
  /** Why peers turned this node away, until the first link. */
  readonly #turnedAway = new Map<string, string>();
  #wasLinked = false;
  #isStopped = false;

  constructor(options: NodeLinksOptions, deps: NodeLinksDependencies, formation: Formation | undefined) {
    this.#options = options;
    this.#deps = deps;
    this.#formation = formation;
  }

  /** Dials the peers that are configured; looks at once whether anybody has to be waited for. */
  begin(transport: Transport): void {
    const { nodeName, peers } = this.#options;
    for (const peer of peers) {
      if (peer.name !== nodeName) transport.addPeer({ nodeName: peer.name, address: peer.address });
    }
    this.#lookForCluster();
  }

  /** From now on nothing is heard of other nodes. */
  stop(): void {
    this.#isStopped = true;
    this.#node = undefined;
  }

  /** The cluster node has started: it hears of the links that are there and of all that follow. */
  attach(node: ClusterNode): void {
    this.#node = node;
    for (const link of this.#links.values()) {
      const id = this.#idOf(link.peer);
      if (id !== undefined) node.connected(id, link);
    }
  }

  identity(): NodeIdentity {
    const { nodeName, clusterName, directoryId, address } = this.#options;
    const self = this.#formation?.members.find(member => member.directoryId === directoryId);
    return {
      nodeName,
      directoryId,
      clusterName,
      address,
      clusterId: this.#formation?.clusterId,
      nodeId: self?.id,
      incarnation: this.#node?.session?.self.incarnation,
      isDirectoryEmpty: this.#formation === undefined,
      clusterState: this.#formation === undefined ? new Uint8Array(0) : encodeFormation(this.#formation),
    };
  }

  decide(peer: NodeIdentity): Decision {
    const known = this.#options.peers.some(({ name }) => name === peer.nodeName) || this.#idOf(peer) !== undefined;
    if (!known) {
      return {
        accept: false,
        reason: `node ${peer.nodeName} is not among the peers of node ${this.#options.nodeName}`,
      };
    }
    const expected = this.#formation?.members.find(({ name }) => name === peer.nodeName);
    if (expected !== undefined && expected.directoryId !== peer.directoryId) {
      const reason = `node ${peer.nodeName} comes with another data directory than it formed the cluster with; give it its old one back`;
      return { accept: false, reason };
    }
    return { accept: true };
  }

  refused(peer: string, reason: string): void {
    this.#deps.logger.error({ peer }, `no link to ${peer}: ${reason}`);
  }

  /**
   * A node that fits none of its peers would wait for ever: another one has its name, or its data directory is of another
   * cluster. A majority of them decides, so that one such node does not end the others.
   */
  turnedAway(peer: string, reason: string): void {
    if (this.#wasLinked) return;
    this.#turnedAway.set(peer, reason);
    const others = this.#options.peers.filter(({ name }) => name !== this.#options.nodeName).length;
    if (this.#turnedAway.size * 2 <= others) return;
    const reasons = [...new Set(this.#turnedAway.values())].join('; ');
    this.#deps.impossible(`the peers turn this node away: ${reasons}; check nodeName, dataDir and peers`);
  }

  connected(link: PeerLink): void {
    if (this.#isStopped) return;
    this.#wasLinked = true;
    this.#links.set(link.peer.nodeName, link);
    const id = this.#idOf(link.peer);
    this.#deps.logger.info({ peer: link.peer.nodeName }, 'linked');
    if (this.#node !== undefined && id !== undefined) this.#node.connected(id, link);
    if (this.#formation === undefined) this.#lookForCluster();
    else if (link.peer.clusterId === undefined) this.#tellFormation(link, this.#formation);
  }

  disconnected(link: PeerLink, reason: string): void {
    if (this.#links.get(link.peer.nodeName) === link) this.#links.delete(link.peer.nodeName);
    this.#deps.logger.warn({ peer: link.peer.nodeName, reason }, 'link broke');
    const id = this.#idOf(link.peer);
    if (id !== undefined) this.#node?.disconnected(id, link);
  }

  processGone(nodeName: string): void {
    const member = this.#formation?.members.find(({ name }) => name === nodeName);
    if (member !== undefined) this.#node?.processGone(member.id);
  }

  received(link: PeerLink, _lane: Lane, kind: number, group: number, payload: Uint8Array): void {
    if (this.#isStopped) return;
    if (kind === FrameKind.formed) {
      this.#heardFormation(link, payload);
      return;
    }
    const id = this.#idOf(link.peer);
    if (id !== undefined) this.#node?.received(id, link, kind, group, payload);
  }

  receivedAll(): void {}

  #idOf(peer: NodeIdentity): NodeId | undefined {
    return this.#formation?.members.find(
      ({ name, directoryId }) => name === peer.nodeName && directoryId === peer.directoryId,
    )?.id;
  }

  #lookForCluster(): void {
    if (this.#formation !== undefined) return;
    const { clusterName, nodeName, directoryId, address, peers } = this.#options;
    const step: FormationStep = nextFormationStep(
      clusterName,
      { name: nodeName, directoryId, address },
      peers.map(peer => peer.name),
      [...this.#links.values()].map(link => link.peer),
    );
    switch (step.do) {
      case 'wait': {
        const missing = step.missing.join(', ');
        if (missing !== this.#lastWait) this.#deps.logger.info({}, `waiting for ${missing} to form the cluster`);
        this.#lastWait = missing;
        return;
      }
      case 'refused':
        this.#deps.impossible(step.reason);
        return;
      default:
        this.#form(step.formation);
    }
  }

  /** Whoever waits for members that this node has heard need not hear all of them itself. */
  #form(formation: Formation): void {
    this.#formation = formation;
    this.#deps.formed(formation);
    for (const link of this.#links.values()) this.#tellFormation(link, formation);
  }

  #tellFormation(link: PeerLink, formation: Formation): void {
    link.send('control', FrameKind.formed, 0, encodeFormation(formation));
  }

  /** A peer that was empty when it was linked has found its cluster since. */
  #heardFormation(link: PeerLink, payload: Uint8Array): void {
    const { nodeName } = link.peer;
    const formation = decodeFormation(payload);
    if (formation === undefined || formation.clusterId === this.#formation?.clusterId) return;
    if (this.#formation !== undefined) {
      this.#deps.impossible(
        `node ${nodeName} has formed cluster ${formation.clusterId} and this node ${this.#formation.clusterId}, because a ` +
          'data directory was replaced meanwhile; empty the data directories of all nodes',
      );
      return;
    }
    const { nodeName: ownName, directoryId } = this.#options;
    if (formation.members.some(member => member.name === ownName && member.directoryId === directoryId)) {
      this.#form(formation);
    } else {
      this.#deps.impossible(strangerTo(nodeName, formation.clusterId));
    }
  }
}
