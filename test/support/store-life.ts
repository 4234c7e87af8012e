import { GroupStore } from '../../src/group-store.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import { JournalDriver } from '../../src/storage/journal-driver.ts';
import { FilesThread } from './files-thread.ts';
import { recovered } from './journal-fixture.ts';
import type { SimulatedFiles } from './simulated-files.ts';
import { SimulatedStore } from './simulated-store.ts';

class FilesGroupStore extends GroupStore {
  readonly directoryId = 'directory';
  readonly formation = undefined;
  readonly isShortOfSpace = false;
  async saveFormation(): Promise<void> {}
  async close(): Promise<void> {}
}

/** What a node's groups know of its disk from a start of the process to its end, which comes when the disk fails. */
export class StoreLife {
  readonly failures: string[] = [];
  readonly store: GroupStore;
  #turns: (() => void)[] = [];

  private constructor(files: SimulatedFiles) {
    const { journal: core, groups } = recovered(files);
    const later = (callback: () => void): void => void this.#turns.push(callback);
    const failed = (reason: string): void => {
      this.failures.push(reason);
      this.#turns = [];
    };
    const journal = new JournalDriver({ retryMs: 500 }, core, {
      thread: (_, replied) => new FilesThread(files, later, replied),
      after: () => {
        throw new Error('there is always room here');
      },
      defer: later,
      failed,
    });
    journal.whenSettled(() => {});
    const logger = { info: () => {}, warn: () => {}, error: () => {} };
    this.store = new FilesGroupStore({
      journal,
      level: new SimulatedStore(new SeededRandom(1)),
      groups,
      logger,
      failed,
    });
  }

  static async begin(files: SimulatedFiles): Promise<StoreLife> {
    const life = new StoreLife(files);
    await life.settle();
    return life;
  }

  /** Everything happens that was asked of the disk, and what follows from it. */
  async settle(): Promise<void> {
    for (let turn = this.#turns.shift(); turn !== undefined; turn = this.#turns.shift()) {
      turn();
      await new Promise(resolve => setImmediate(resolve));
    }
  }
}
