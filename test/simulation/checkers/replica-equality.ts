import { crc32 } from '../../../src/lib/crc32.ts';
import type { LogIndex } from '../../../src/lib/ids.ts';
import type { ShardEffects } from '../../../src/queue/effects.ts';
import { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { Page } from '../../../src/raft/checkpoint.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import type { StoredCheckpoint } from '../sim-store.ts';
import { Checker } from './checker.ts';

/**
 * Replicas with the same applied index have the same state, byte for byte in the canonical encoding of a checkpoint, whatever
 * checkpoints, restarts and snapshots they went through; and a machine restored from those pages is the same again.
 */
export class ReplicaEqualityChecker extends Checker {
  readonly title = 'replica equality';
  readonly #states = new Map<string, number>();

  override onApply(replica: SimReplica, { index }: ApplyMeta, _payload: Uint8Array, _effects: ShardEffects): void {
    if (index % this.cluster.swarm.compareStatesEvery === 0) this.#compare(replica, index);
  }

  override onCut(replica: SimReplica): void {
    this.#compare(replica, replica.applied.index);
  }

  override onCheckpoint(replica: SimReplica, { at, pages }: StoredCheckpoint): void {
    const known = this.#states.get(`${replica.group}/${at.index}`);
    if (known === undefined || known === checksumOf([...pages].sort(inOrder))) return;
    this.fail(
      `the checkpoint of group ${replica.group} at ${at.index} on node ${replica.node.id} is not the state it was cut from`,
    );
  }

  override onInstall(replica: SimReplica): void {
    this.#compare(replica, replica.machine.applied);
  }

  override atEnd(): void {
    for (const replica of this.cluster.replicas()) this.#compare(replica, replica.machine.applied);
  }

  #compare(replica: SimReplica, index: LogIndex): void {
    if (replica.isCuttingSnapshot) return;
    const pages = pagesOf(replica.machine, index);
    const state = checksumOf(pages);
    const key = `${replica.group}/${index}`;
    const known = this.#states.get(key);
    if (known === undefined) {
      this.#states.set(key, state);
      const restored = pagesOf(ShardMachine.restore(pages, { term: 0, index }), index);
      if (checksumOf(restored) !== state) {
        this.fail(`the state of group ${replica.group} at ${index} is another after it was restored from its pages`);
      }
    } else if (known !== state) {
      this.fail(`the state of group ${replica.group} at ${index} differs on node ${replica.node.id}`);
    }
  }
}

function pagesOf(machine: ShardMachine, index: LogIndex): Page[] {
  const cut = machine.cut('all', { term: 0, index });
  const pages = [...cut.nextPages(Number.POSITIVE_INFINITY)];
  cut.completed();
  return pages.sort(inOrder);
}

const inOrder = (a: Page, b: Page): number =>
  a.key.space - b.key.space || a.key.kind - b.key.kind || a.key.number - b.key.number;

function checksumOf(pages: readonly Page[]): number {
  let checksum = 0;
  for (const { key, bytes } of pages) {
    checksum = crc32(bytes!, (Math.imul(checksum, 31) + key.space * 1_000 + key.kind * 100 + key.number) >>> 0);
  }
  return checksum;
}
