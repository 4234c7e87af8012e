import type { StragglerId } from '../../../src/cluster/group/node-store.ts';
import type { GroupId, LogIndex } from '../../../src/lib/ids.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { GroupWrite } from '../../../src/raft/log-store.ts';
import { assembleCheckpoint, type Manifest, readManifest } from '../../../src/storage/checkpoint-codec.ts';
import { manifestKey, pagesOf, stragglerKey } from '../../../src/storage/keyspace.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimReplica } from '../sim-replica.ts';
import { nameOf } from '../sim-values.ts';
import { Checker } from './checker.ts';

type Values = ReturnType<SimNode['disk']['values']['durable']>;

/**
 * The journal first, the checkpoint after it, and nothing is given up before what takes its place is durable (R13, R14): the log begins
 * nowhere behind the checkpoint that a loss of power would leave, and when a segment goes, every message that this checkpoint names is
 * elsewhere.
 */
export class ReclaimingChecker extends Checker {
  readonly title = 'reclaiming';

  override onWrite({ node, group }: SimReplica, { base }: GroupWrite): void {
    if (base === undefined || base.last.index === 0 || node.disk.isDamaged) return;
    const at = manifestOf(node.disk.values.durable(), group, base.generation)?.at.index ?? 0;
    if (at >= base.last.index) return;
    this.fail(
      `the log of group ${group} on node ${node.id} is to begin behind ${base.last.index}; its checkpoint is durable up to ${at}`,
    );
  }

  override onCut({ node, group, machine }: SimReplica): void {
    const found = node.disk.recoverDurable(group);
    const last = found?.log.at(-1)?.last ?? found?.base.last.index ?? 0;
    if (last >= machine.applied || node.disk.isDamaged) return;
    this.fail(
      `a checkpoint of group ${group} is cut at ${machine.applied}; the journal of node ${node.id} ends at ${last}`,
    );
  }

  override onReclaim(node: SimNode): void {
    if (node.disk.isDamaged) return;
    const values = node.disk.values.durable();
    for (const replica of node.replicas.values()) this.#checkBodies(node, replica, values);
  }

  override onStragglersDeleted(replica: SimReplica, stragglers: readonly StragglerId[]): void {
    const { node, group, generation } = replica;
    for (const { entry, position } of stragglers) {
      if (entry <= replica.applied.index || !replica.isAlive(entry, position)) continue;
      this.fail(
        `node ${node.id} deletes message ${unneededName(group, entry, position)}, which a snapshot has brought`,
      );
    }
    if (node.disk.isDamaged) return;
    const machine = restored(node.disk.values.durable(), group, generation);
    const deleted = new Set(stragglers.map(({ entry, position }) => unneededName(group, entry, position)));
    for (const { entries, positions } of machine?.liveReferences(0, machine.applied) ?? []) {
      for (const [i, entry] of entries.entries()) {
        const name = unneededName(group, entry, positions[i]!);
        if (deleted.has(name)) this.fail(`node ${node.id} deletes message ${name}, which its checkpoint names`);
      }
    }
  }

  /** While a snapshot takes the place of the state, it may already miss what it may miss when it has. */
  #checkBodies(node: SimNode, replica: SimReplica, values: Values): void {
    const { group, generation, isSwitching } = replica;
    const machine = restored(values, group, generation);
    for (const { entries, positions } of machine?.liveReferences(0, machine.applied) ?? []) {
      for (const [i, entry] of entries.entries()) {
        const position = positions[i]!;
        if (node.store.hasRecord(group, entry) || values.has(nameOf(stragglerKey(group, entry, position)))) continue;
        if (node.disk.unneeded.has(unneededName(group, entry, position))) continue;
        if (isSwitching && !replica.isAlive(entry, position)) continue;
        this.fail(
          `node ${node.id} gives up a segment with message ${entry}/${position} of group ${group}, which its checkpoint of ` +
            `${machine!.applied} names and which is nowhere else`,
        );
      }
    }
  }
}

/** A message whose body may be missing though a checkpoint names it. */
export const unneededName = (group: GroupId, entry: LogIndex, position: number): string =>
  `${group}/${entry}/${position}`;

function manifestOf(values: Values, group: GroupId, generation: number): Manifest | undefined {
  const key = manifestKey(group, generation);
  const sealed = values.get(nameOf(key));
  return sealed && readManifest(key, sealed[1]);
}

function restored(values: Values, group: GroupId, generation: number): ShardMachine | undefined {
  const manifest = manifestOf(values, group, generation);
  if (manifest === undefined) return undefined;
  const range = pagesOf(group, generation);
  const [from, to] = [nameOf(range.from), nameOf(range.to)];
  const pairs = [...values].filter(([name]) => name >= from && name < to).map(([, pair]) => pair);
  const found = assembleCheckpoint(manifest, pairs);
  return found && ShardMachine.restore(found.pages, manifest.at);
}
