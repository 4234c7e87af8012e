import type { QueueHome } from '../broker/topology-records.ts';
import type { GroupId, NodeId } from '../lib/ids.ts';
import type { LeaderNews, Leadership } from './leader-news.ts';
import type { NodeSession } from './node-session.ts';
import type { Peers } from './peers.ts';
import type { Replicas } from './replicas.ts';
import { groupOfHome } from './shard/home-group.ts';
import { LocalShardLeader } from './shard/local-shard.ts';
import type { ShardLeader } from './shard/shard-leader.ts';
import type { ShardLeaderPort } from './shard/shard-link.ts';
import type { VolatileShard } from './shard/volatile-shard.ts';

export interface LeaderDirectoryDependencies {
  readonly self: NodeId;
  readonly replicas: () => Replicas;
  readonly peers: Peers;
  readonly news: LeaderNews;
  readonly session: () => NodeSession | undefined;
  readonly volatile: () => VolatileShard | undefined;
}

/** Who leads what, as far as this node knows. */
export class LeaderDirectory {
  readonly #deps: LeaderDirectoryDependencies;
  readonly #localLeaders = new Map<GroupId, { readonly term: number; readonly port: ShardLeaderPort }>();

  constructor(deps: LeaderDirectoryDependencies) {
    this.#deps = deps;
  }

  /** The incarnation has ended: its clients attach to nobody any more. */
  forgetLocal(): void {
    this.#localLeaders.clear();
  }

  /** The home as this node would lead it. */
  leaderHere(home: QueueHome): ShardLeader | undefined {
    const { self, replicas, session, volatile } = this.#deps;
    if (home.kind === 'shard') return replicas().shard(home.group)?.leader;
    const isOwn = home.node === self && home.incarnation === session()?.self.incarnation;
    return isOwn ? volatile()?.leader : undefined;
  }

  leaderFor(home: QueueHome): ShardLeaderPort | undefined {
    const { self, replicas, peers, news } = this.#deps;
    const group = groupOfHome(home);
    if (home.kind === 'volatile') {
      return home.node === self ? this.#localLeader(home, group, 0) : peers.shardLeader(home.node, group, 0);
    }
    const shard = replicas().shard(home.group);
    if (shard === undefined) {
      const heard = news.leaderOf(group);
      return heard && peers.shardLeader(heard.node, group, heard.term);
    }
    const { leader, raft, isServing } = shard.driver;
    if (leader === undefined) return undefined;
    if (leader !== self) return peers.shardLeader(leader, group, raft.term);
    return isServing ? this.#localLeader(home, group, raft.term) : undefined;
  }

  /** The shards that this node leads and serves. */
  *led(): IterableIterator<Leadership> {
    for (const { group, driver } of this.#deps.replicas().shards()) {
      if (driver.isServing) yield { group, term: driver.raft.term };
    }
  }

  /** A shard led here, the one with the fewest queues of several. */
  localShard(): GroupId | undefined {
    const { machine } = this.#deps.replicas().metadata;
    let best: GroupId | undefined;
    for (const { group } of this.led()) {
      if (best === undefined || machine.queuesInShard(group) < machine.queuesInShard(best)) best = group;
    }
    return best;
  }

  /** The same object as long as the leadership lasts, so that a client notices when it has to attach again. */
  #localLeader(home: QueueHome, group: GroupId, term: number): ShardLeaderPort | undefined {
    const known = this.#localLeaders.get(group);
    if (known?.term === term) return known.port;
    const leader = this.leaderHere(home);
    const client = this.#deps.session()?.client(home);
    if (leader === undefined || client === undefined) return undefined;
    const port = new LocalShardLeader(leader, this.#deps.self, client);
    this.#localLeaders.set(group, { term, port });
    return port;
  }
}
