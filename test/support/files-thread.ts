import type { JournalThread } from '../../src/storage/journal-driver.ts';
import type { DiskReply, DiskRequest } from '../../src/storage/journal-work.ts';
import type { SimulatedFiles } from './simulated-files.ts';

/** One of the journal's threads on simulated files. `later` is when it does what it is asked for. */
export class FilesThread implements JournalThread {
  readonly requests: DiskRequest[] = [];
  readonly #files: SimulatedFiles;
  readonly #later: (callback: () => void) => void;
  readonly #replied: (reply: DiskReply) => void;

  constructor(files: SimulatedFiles, later: (callback: () => void) => void, replied: (reply: DiskReply) => void) {
    this.#files = files;
    this.#later = later;
    this.#replied = replied;
  }

  post(request: DiskRequest): void {
    this.requests.push(request);
    if (request.do !== 'forget') this.#later(() => this.#replied(this.#perform(request)));
  }

  async close(): Promise<void> {}

  #perform(request: Exclude<DiskRequest, { do: 'forget' }>): DiskReply {
    const { number } = request;
    if (request.do === 'work') return { did: 'work', number, ...this.#files.perform(request) };
    const pieces = request.pieces.map(({ file, position, length }) => this.#files.read(file, position, length));
    return { did: 'read', number, pieces };
  }
}
