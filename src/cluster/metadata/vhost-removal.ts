import type { AccessControl } from '../../broker/access/access-control.ts';
import type { Topology } from '../../broker/topology.ts';

/** Permissions, queues or exchanges that one step of a vhost's removal takes away (R10, R21). */
const REMOVED_PER_STEP = 200;

/**
 * A step of the removal of a vhost that nobody can enter any more: first its permissions, then its volatile queues, then
 * its exchanges and itself. Queues of shards are deleted by their shards (R3), which have the names removed. Does nothing
 * for a vhost that is not being deleted.
 */
export function continueVhostRemoval(vhost: string, access: AccessControl, topology: Topology): void {
  if (!access.vhost(vhost)?.isLeaving) return;
  if (access.removePermissionsIn(vhost, REMOVED_PER_STEP) > 0) return;
  const volatile = topology.queues(vhost).filter(({ home }) => home.kind === 'volatile');
  for (const queue of volatile.slice(0, REMOVED_PER_STEP)) topology.removeQueue(queue.id);
  if (topology.queueCountIn(vhost) > 0) return;
  if (topology.removeVhost(vhost, REMOVED_PER_STEP)) access.vhostRemoved(vhost);
}
