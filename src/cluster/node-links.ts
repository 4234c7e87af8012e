import type { NodeId } from '../lib/ids.ts';
import type { Logger } from '../lib/logger.ts';
import type { ClusterNode } from './cluster-node.ts';
import { encodeFormation, type Formation, type FormationStep, nextFormationStep } from './metadata/formation.ts';
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

  connected(link: PeerLink): void {
    this.#links.set(link.peer.nodeName, link);
    const id = this.#idOf(link.peer);
    this.#deps.logger.info({ peer: link.peer.nodeName }, 'linked');
    if (this.#node !== undefined && id !== undefined) this.#node.connected(id, link);
    if (this.#formation === undefined) this.#lookForCluster();
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
        this.#formation = step.formation;
        this.#deps.formed(step.formation);
    }
  }
}
