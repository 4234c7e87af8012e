import type { CheckpointWriter, StragglerId } from '../../src/cluster/group/node-store.ts';
import { GroupStore } from '../../src/group-store.ts';
import type { GroupId } from '../../src/lib/ids.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import type { GroupWrite, RecoveredGroup } from '../../src/raft/log-store.ts';
import type { EntryId } from '../../src/raft/messages.ts';
import { assembleCheckpoint, readManifest } from '../../src/storage/checkpoint-codec.ts';
import type { JournalDriver } from '../../src/storage/journal-driver.ts';
import { manifestKey, pagesOf, stragglerKey } from '../../src/storage/keyspace.ts';
import type { SimNode } from './sim-node.ts';
import type { SimValues } from './sim-values.ts';
import { Violation } from './violation.ts';

export interface StoredCheckpoint {
  readonly at: EntryId;
  readonly pages: readonly Page[];
}

interface SimStoreParts {
  readonly node: SimNode;
  readonly journal: JournalDriver;
  readonly values: SimValues;
  readonly groups: readonly RecoveredGroup[];
}

/** One life of a node's disk as its groups see it: the real store, with the checkers beside it. */
export class SimStore extends GroupStore {
  readonly formation = undefined;
  readonly #parts: SimStoreParts;
  /** What was to be kept of checkpoints, call by call. */
  readonly #kept: { readonly group: GroupId; readonly generation: number | undefined }[] = [];

  constructor(parts: SimStoreParts) {
    const { node, journal, values, groups } = parts;
    super({
      journal,
      level: values.open(),
      groups,
      logger: node.logger,
      failed: reason => node.stopOnDiskFailure(reason),
    });
    this.#parts = parts;
  }

  get directoryId(): string {
    return `directory-${this.#parts.node.id}`;
  }

  get isShortOfSpace(): boolean {
    return this.#parts.node.disk.isFull || this.#parts.journal.isFull;
  }

  async saveFormation(): Promise<void> {}

  async close(): Promise<void> {}

  /** Slabs cost too much for thousands of short lives. */
  override allocate(_group: GroupId, bytes: number): Uint8Array {
    return new Uint8Array(bytes);
  }

  override append(write: GroupWrite, durable: () => void): void {
    const { node } = this.#parts;
    const replica = node.replicas.get(write.group);
    const { world, checkers, statistics } = node.cluster;
    const { hardState, entries, base } = write;
    if (replica !== undefined) for (const checker of checkers) checker.onWrite(replica, write);
    world.log(
      'n{} g{} writes term {} vote {}, entries {} to {}, base {}',
      node.id,
      write.group,
      hardState?.term,
      hardState?.vote,
      entries[0]?.index,
      entries.at(-1)?.index,
      base?.last.index,
    );
    const lastIndex = this.#parts.journal.core.group(write.group)?.lastIndex ?? 0;
    if (entries.length > 0 && entries[0]!.index <= lastIndex) statistics.truncations++;
    super.append(write, () => {
      if (base !== undefined) statistics.compactions++;
      if (replica !== undefined) for (const checker of checkers) checker.onDurable(replica, write);
      durable();
    });
    node.host.wake(write.group);
  }

  override beginCheckpoint(group: GroupId, generation: number, at: EntryId): CheckpointWriter {
    const writer = super.beginCheckpoint(group, generation, at);
    const begun = this.#kept.length;
    return {
      add: pages => writer.add(pages),
      finish: async () => {
        await writer.finish();
        // That of a transfer which was given up meanwhile may lose pages to the one that follows it.
        const isGivenUp = this.#kept.slice(begun).some(one => one.group === group && one.generation !== generation);
        if (!isGivenUp) this.#checkpointed(group, generation);
      },
    };
  }

  override keepGeneration(group: GroupId, generation: number | undefined): Promise<void> {
    this.#kept.push({ group, generation });
    return super.keepGeneration(group, generation);
  }

  override deleteStragglers(group: GroupId, stragglers: readonly StragglerId[]): Promise<void> {
    const { node } = this.#parts;
    const replica = node.replicas.get(group);
    if (replica !== undefined)
      for (const checker of node.cluster.checkers) checker.onStragglersDeleted(replica, stragglers);
    return super.deleteStragglers(group, stragglers);
  }

  /** Only damage that the simulator did takes something away that was acknowledged. */
  override lost(group: GroupId, what: string): void {
    if (!this.#parts.node.disk.isDamaged) {
      throw new Violation('storage', `node ${this.#parts.node.id} has lost something of group ${group}: ${what}`);
    }
    super.lost(group, what);
  }

  /** Whether a message that is alive can be read back. */
  hasBody(group: GroupId, entry: number, position: number): boolean {
    return this.hasRecord(group, entry) || this.#parts.values.has(stragglerKey(group, entry, position));
  }

  #checkpointed(group: GroupId, generation: number): void {
    const { node, values } = this.#parts;
    const { checkers, statistics } = node.cluster;
    statistics.checkpoints++;
    const replica = node.replicas.get(group);
    if (replica === undefined) return;
    const key = manifestKey(group, generation);
    const manifest = readManifest(key, values.read(key)!);
    const found = manifest && assembleCheckpoint(manifest, values.pairs(pagesOf(group, generation)));
    if (found === undefined) {
      if (node.disk.isDamaged) return;
      throw new Violation('storage', `a checkpoint of group ${group} on node ${node.id} is damaged when it is written`);
    }
    for (const checker of checkers) checker.onCheckpoint(replica, { at: manifest!.at, pages: found.pages });
  }
}
