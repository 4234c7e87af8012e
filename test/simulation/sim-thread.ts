import type { JournalThread } from '../../src/storage/journal-driver.ts';
import type {
  DiskReply,
  DiskRequest,
  FileOperation,
  JournalWork,
  WorkOutcome,
} from '../../src/storage/journal-work.ts';
import type { SimFiles } from './sim-files.ts';

/** What a thread needs of the disk. Nothing happens any more once the process that the thread belongs to has ended. */
export interface ThreadPort {
  readonly files: SimFiles;
  readonly isFull: boolean;
  durationOf(operation: FileOperation | 'read'): number;
  after(delayMs: number, happen: () => void): void;
  /** A sync is about to end. True: it failed, and the process has ended. */
  syncFails(): boolean;
  /** The operation is about to be done. */
  performs(operation: FileOperation): void;
}

/** The journal's thread: it goes on while the process is paused, which hears of it afterwards. */
export class SimThread implements JournalThread {
  readonly #port: ThreadPort;
  readonly #replied: (reply: DiskReply) => void;

  constructor(port: ThreadPort, replied: (reply: DiskReply) => void) {
    this.#port = port;
    this.#replied = replied;
  }

  post(request: DiskRequest): void {
    if (request.do === 'work') this.#perform(request, 0);
    else if (request.do === 'read') this.#port.after(this.#port.durationOf('read'), () => this.#read(request));
  }

  async close(): Promise<void> {}

  #perform(work: JournalWork, at: number): void {
    const operation = work.operations[at];
    if (operation === undefined) {
      this.#reply(work, { outcome: 'done' });
      return;
    }
    this.#port.after(this.#port.durationOf(operation), () => {
      const { files, isFull } = this.#port;
      if (isFull && files.grows(operation)) {
        this.#reply(work, { outcome: 'full', at });
      } else if (operation.do !== 'sync' || !this.#port.syncFails()) {
        this.#port.performs(operation);
        files.perform(operation);
        this.#perform(work, at + 1);
      }
    });
  }

  #reply({ number }: JournalWork, outcome: WorkOutcome): void {
    this.#replied({ did: 'work', number, ...outcome });
  }

  #read({ number, pieces }: Extract<DiskRequest, { do: 'read' }>): void {
    const { files } = this.#port;
    const found = pieces.map(({ file, position, length }) => {
      const bytes = files.has(file) ? files.read(file, position, length) : undefined;
      return bytes?.length === length ? bytes : undefined;
    });
    this.#replied({ did: 'read', number, pieces: found });
  }
}
