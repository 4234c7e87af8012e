import type { LogIndex } from '../../lib/ids.ts';
import type { BodyPart } from '../../queue/effects.ts';
import type { LiveReferences } from '../../queue/shard-reading.ts';
import type { TermRun } from '../../raft/ready.ts';

/** An entry with messages that are alive. Its record is in the journal, or only these messages are left of it. */
export interface LivingBody {
  readonly entry: LogIndex;
  readonly stragglers: readonly BodyPart[] | undefined;
}

/**
 * Which bodies a snapshot needs, ascending by entry. Entries may be applied while this runs: a message that leaves
 * meanwhile may be missing, though the snapshot's pages still name it. Nobody will ask for it: the entry that let it go
 * is committed, so every replica applies that before it leads.
 *
 * @param pause called between two pieces; resolves when there is time to go on (R10).
 */
export async function gatherLivingBodies(
  pieces: Iterable<LiveReferences>,
  isInJournal: (entry: LogIndex) => boolean,
  pause: () => Promise<void> | undefined,
): Promise<LivingBody[]> {
  const inJournal = new Set<LogIndex>();
  const moved = new Map<LogIndex, Map<number, BodyPart>>();
  for (const { entries, positions, lengths } of pieces) {
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      if (inJournal.has(entry)) continue;
      const parts = moved.get(entry);
      if (parts === undefined && isInJournal(entry)) {
        inJournal.add(entry);
        continue;
      }
      const position = positions[i]!;
      const part = { entry, position, length: lengths[i]! };
      if (parts === undefined) moved.set(entry, new Map([[position, part]]));
      else parts.set(position, part);
    }
    await pause();
  }
  const bodies: LivingBody[] = [...inJournal].map(entry => ({ entry, stragglers: undefined }));
  for (const [entry, parts] of moved) bodies.push({ entry, stragglers: [...parts.values()] });
  return bodies.sort((a, b) => a.entry - b.entry);
}

/** Runs of records, to be asked by index. */
export class HeldEntries {
  readonly #runs: readonly TermRun[];

  constructor(runs: readonly TermRun[]) {
    this.#runs = [...runs].sort((a, b) => a.first - b.first);
  }

  has(index: LogIndex, term: number): boolean {
    let low = 0;
    let high = this.#runs.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const run = this.#runs[middle]!;
      if (run.last < index) low = middle + 1;
      else if (run.first > index) high = middle - 1;
      else return run.term === term;
    }
    return false;
  }
}
