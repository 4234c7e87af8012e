import fc from 'fast-check';
import type { Separation } from '../sim-weather.ts';
import { defineAction } from './action.ts';

const node = fc.nat({ max: 9 });
const separates = fc.constantFrom<Separation[]>('some', 'some', 'one', 'leader');

/** Who is on one side: a set of nodes, one node, or the leader of a group; `one-way`: only what leaves the side is lost. */
export const partition = defineAction({
  name: 'partition',
  weight: 4,
  arguments: fc.record({
    separates,
    side: fc.integer({ min: 1, max: 30 }),
    oneWay: fc.boolean(),
    ms: fc.constantFrom(300, 1_500, 5_000),
  }),
  absent: { separates: 'some' },
  perform: ({ weather }, { separates, side, oneWay, ms }) =>
    weather.partition(weather.side(separates, side), { oneWay, durationMs: ms }),
});

/** The same partition comes and goes: too short for an election, or just long enough for one. */
export const flap = defineAction({
  name: 'flap',
  weight: 3,
  arguments: fc.record({
    separates,
    side: fc.integer({ min: 1, max: 30 }),
    oneWay: fc.boolean(),
    ms: fc.constantFrom(100, 400, 1_200),
    healedMs: fc.constantFrom(100, 600),
    times: fc.integer({ min: 2, max: 8 }),
  }),
  perform: (cluster, { separates, side, oneWay, ms, healedMs, times }) => {
    cluster.statistics.flaps++;
    const { weather } = cluster;
    weather.flap(weather.side(separates, side), { oneWay, durationMs: ms, healedMs, times });
  },
});

export const heal = defineAction({
  name: 'heal',
  weight: 2,
  arguments: fc.constant({}),
  perform: ({ weather }) => weather.heal(),
});

/** A connection ends though both nodes live. */
export const breakLink = defineAction({
  name: 'break-link',
  weight: 3,
  arguments: fc.record({ node, peer: node }),
  perform: (cluster, { node, peer }) => {
    const target = cluster.liveNode(node);
    const peers = cluster.nodes.filter(one => one.isUp && one !== target);
    const other = peers[peer % peers.length];
    if (target !== undefined && other !== undefined) cluster.streams.breakLink(target.id, other.id);
  },
});

/** Nothing arrives on a link for a while, then everything does. With `all`: on no link from the node. */
export const clog = defineAction({
  name: 'clog',
  weight: 3,
  arguments: fc.record({ from: node, to: node, all: fc.boolean(), ms: fc.constantFrom(100, 1_000, 4_000) }),
  perform: ({ nodes, network, statistics }, { from, to, all, ms }) => {
    const source = nodes[from % nodes.length]!;
    statistics.clogs++;
    for (const target of all ? nodes : [nodes[to % nodes.length]!]) {
      if (source !== target) network.clog(source.id, target.id, ms);
    }
  },
});
