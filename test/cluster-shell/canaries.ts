import type { Canary } from '../simulation/canaries/canary.ts';

/** Rules of the shell, broken on purpose. `scripts/simulate-shell.ts` must notice each of them. */
export const SHELL_CANARIES: readonly Canary[] = [
  {
    name: 'expired-lease-keeps-consumers',
    breaks: 'the incarnation of a silent node is never ended, and its consumers keep their messages (R24)',
    file: 'src/cluster/metadata/metadata-leader.ts',
    find: 'if (this.#deps.propose(encodeRequest({ id: undefined, command }))) this.#expiring.add(key);',
    replace: 'if (encodeRequest({ id: undefined, command }).length > 0) this.#expiring.add(key);',
    runsMax: 12,
  },
  {
    name: 'apply-reads-topology',
    breaks: 'a replica ignores entries whose senders know more of the topology than it does itself (R21)',
    file: 'src/cluster/replicas.ts',
    find: 'const machine = loaded ? ShardMachine.restore(loaded.pages, loaded.at) : new ShardMachine();',
    replace: `const machine = loaded ? ShardMachine.restore(loaded.pages, loaded.at) : new ShardMachine();
    const apply = machine.apply.bind(machine);
    const known = () => this.metadata.machine.applied;
    machine.apply = (meta, payload) => {
      const isAhead = payload.length > 43 && new DataView(payload.buffer, payload.byteOffset).getUint32(35) > known();
      return apply(meta, isAhead ? new Uint8Array(0) : payload);
    };`,
    runsMax: 12,
  },
  {
    name: 'answered-before-applied',
    breaks: 'a change is answered though a node that may route has not applied it (R2)',
    file: 'src/cluster/metadata/lease-table.ts',
    find: 'if (lease.routingUntilMs > nowMs && lease.applied < through) through = lease.applied;',
    replace: '',
    runsMax: 12,
  },
  {
    name: 'settle-dropped-on-leader-change',
    breaks: 'an acknowledgement that comes while no leader is known is not kept (R25)',
    file: 'src/cluster/shard/shard-client.ts',
    find: 'this.#request(out => writeSettle(out, how, consumer, ranges)',
    replace: "if (this.#state === 'attached') this.#request(out => writeSettle(out, how, consumer, ranges)",
    runsMax: 12,
  },
  {
    name: 'preferred-leader-taken-for-the-leader',
    breaks: 'a node without a replica of a shard talks to its preferred leader, whoever leads (R25)',
    file: 'src/cluster/leader-directory.ts',
    find: `const heard = news.leaderOf(group);
      return heard && peers.shardLeader(heard.node, group, heard.term);`,
    replace: `const preferred = replicas().metadata.machine.shards.get(home.group)?.preferredLeader;
      return preferred === undefined || news === undefined ? undefined : peers.shardLeader(preferred, group, 0);`,
    runsMax: 20,
  },
];
