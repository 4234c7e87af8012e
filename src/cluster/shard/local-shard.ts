import type { NodeId } from '../../lib/ids.ts';
import type { ShardLeader } from './shard-leader.ts';
import type { AttachRequest, ShardLeaderPort, ShardLink } from './shard-link.ts';

/** A shard led by this node, as its own clients reach it: by plain calls. */
export class LocalShardLeader implements ShardLeaderPort {
  readonly #leader: ShardLeader;
  readonly #self: NodeId;
  readonly #client: ShardLink;

  constructor(leader: ShardLeader, self: NodeId, client: ShardLink) {
    this.#leader = leader;
    this.#self = self;
    this.#client = client;
  }

  attach(request: AttachRequest): void {
    this.#leader.attach(request, this.#client);
  }

  batch(bytes: Uint8Array): boolean {
    return this.#leader.batch(this.#self, bytes);
  }
}
