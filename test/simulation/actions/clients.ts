import fc from 'fast-check';
import { Consumers } from '../workload/consumers.ts';
import { Inspectors } from '../workload/inspectors.ts';
import { Owners } from '../workload/owners.ts';
import { Publishers } from '../workload/publishers.ts';
import { defineAction } from './action.ts';

const consumer = fc.nat({ max: 9 });
const queue = fc.nat({ max: 9 });

/** A client connection ends, in the midst of its work or with an answer to all that it holds; the client comes back elsewhere. */
export const disconnectConsumer = defineAction({
  name: 'disconnect-consumer',
  weight: 3,
  needsLeaders: true,
  arguments: fc.record({ consumer, settling: fc.boolean() }),
  perform: ({ workload }, { consumer, settling }) =>
    workload.part(Consumers).consumer(consumer).disconnect({ settling }),
});

/** A client that does not read: its credit runs out. `withdrawn`: its node takes back what is left of it. */
export const stopReading = defineAction({
  name: 'stop-reading',
  weight: 2,
  arguments: fc.record({ consumer, ms: fc.constantFrom(100, 1_000, 4_000), withdrawn: fc.boolean() }),
  perform: ({ workload }, { consumer, ms, withdrawn }) =>
    workload.part(Consumers).consumer(consumer).stopReading(ms, { withdrawn }),
});

/** A consumer is cancelled and keeps what it holds. */
export const cancelConsumer = defineAction({
  name: 'cancel-consumer',
  weight: 2,
  needsLeaders: true,
  arguments: fc.record({ consumer }),
  perform: ({ workload }, { consumer }) => workload.part(Consumers).consumer(consumer).cancel(),
});

export const burst = defineAction({
  name: 'burst',
  weight: 2,
  arguments: fc.record({ publisher: fc.nat({ max: 9 }), count: fc.constantFrom(3, 20, 60) }),
  perform: ({ workload }, { publisher, count }) => workload.part(Publishers).burst(publisher, count),
});

export const purge = defineAction({
  name: 'purge',
  weight: 2,
  needsLeaders: true,
  arguments: fc.record({ queue }),
  perform: ({ workload }, { queue }) => workload.part(Inspectors).purge(queue),
});

/** Its owner declares the queue again, under the same name. */
export const deleteQueue = defineAction({
  name: 'delete-queue',
  weight: 4,
  needsLeaders: true,
  arguments: fc.record({
    queue,
    ifUnused: fc.constantFrom(false, false, false, true),
    ifEmpty: fc.constantFrom(false, false, false, true),
  }),
  perform: ({ workload }, { queue, ifUnused, ifEmpty }) => workload.part(Owners).delete(queue, { ifUnused, ifEmpty }),
});

/** Leaders die while a queue is deleted: its consumers hear of it from whoever follows, or never (R25). */
export const deleteUnderDyingLeader = defineAction({
  name: 'delete-under-dying-leader',
  weight: 4,
  needsLeaders: true,
  arguments: fc.record({ queue, ms: fc.constantFrom(1, 10, 40, 120, 300), downMs: fc.constantFrom(50, 600, 3_000) }),
  perform: (cluster, { queue, ms, downMs }) => {
    cluster.workload.part(Owners).delete(queue, { ifUnused: false, ifEmpty: false });
    cluster.world.after(ms, () => {
      for (const group of cluster.groups) {
        const leader = cluster.leaderOf(group);
        if (leader !== undefined && !cluster.isCalm) cluster.crash(leader.node, 'process', downMs);
      }
    });
  },
});

/** Group 0 takes a node for dead that is not: its clients lose everything they hold (R24). */
export const fenceLiving = defineAction({
  name: 'fence-living',
  weight: 2,
  arguments: fc.record({ node: fc.nat({ max: 9 }) }),
  perform: (cluster, { node }) => {
    const target = cluster.liveNode(node);
    if (target !== undefined) cluster.fenceNode(target);
  },
});
