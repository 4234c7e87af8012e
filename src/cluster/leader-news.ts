import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import type { GroupId, NodeId, Term } from '../lib/ids.ts';
import { FrameKind } from './frames.ts';
import type { Peers } from './peers.ts';

/** A group that a node leads and serves. */
export interface Leadership {
  readonly group: GroupId;
  readonly term: Term;
}

export interface LeaderNewsDependencies {
  readonly peers: Peers;
  /** The shards that this node leads now. */
  readonly own: () => Iterable<Leadership>;
}

/**
 * Who leads the shards of which this node has no replica: each leader says so to all nodes when it begins to serve, and to
 * each node that it gets a link to. So a link that lives has told everything, and with its end all of it is forgotten.
 */
export class LeaderNews {
  readonly #deps: LeaderNewsDependencies;
  readonly #leaders = new Map<GroupId, { readonly node: NodeId; readonly term: Term }>();

  constructor(deps: LeaderNewsDependencies) {
    this.#deps = deps;
  }

  /** By the word of the latest leader; undefined if it has no link to this node, or was not heard yet. */
  leaderOf(group: GroupId): { readonly node: NodeId; readonly term: Term } | undefined {
    return this.#leaders.get(group);
  }

  /** This node leads the group now. */
  tell(leadership: Leadership): void {
    for (const node of this.#deps.peers.nodes()) this.#send(node, leadership);
  }

  connected(node: NodeId): void {
    for (const leadership of this.#deps.own()) this.#send(node, leadership);
  }

  disconnected(node: NodeId): void {
    for (const [group, leader] of this.#leaders) if (leader.node === node) this.#leaders.delete(group);
  }

  /** False: it is known, or a later leader is. */
  received(from: NodeId, group: GroupId, payload: Uint8Array): boolean {
    const term = new ByteReader(payload).u48();
    const known = this.#leaders.get(group);
    if (known !== undefined && known.term >= term) return false;
    this.#leaders.set(group, { node: from, term });
    return true;
  }

  #send(to: NodeId, { group, term }: Leadership): void {
    const out = new ByteWriter(6);
    out.u48(term);
    this.#deps.peers.send(to, 'control', FrameKind.leads, group, out.view());
  }
}
