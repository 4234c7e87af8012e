import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupId } from '../../src/lib/ids.ts';
import { SeededRandom } from '../../src/lib/random.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import { CheckpointStore } from '../../src/storage/checkpoint-store.ts';
import type { KeyRange } from '../../src/storage/key-value-store.ts';
import { manifestKey } from '../../src/storage/keyspace.ts';
import { SimulatedStore } from '../support/simulated-store.ts';

const GROUP = groupId(3);
const GENERATION = 1;

type State = ReadonlyMap<string, Page>;

const pageArb: fc.Arbitrary<Page> = fc.record({
  key: fc.record({ space: fc.nat(2), kind: fc.nat(1), number: fc.nat(2) }),
  bytes: fc.option(fc.uint8Array({ maxLength: 20 }), { nil: undefined }),
});
const pagesArb = fc.uniqueArray(pageArb, { maxLength: 8, selector: page => nameOf(page) });
/** One checkpoint; `stop` says after how many of its two pieces, or before its end, the process is gone. */
const checkpointArb = fc.record({
  pages: pagesArb,
  end: fc.constantFrom('finished', 'finished', 'given-up', 'process', 'power'),
  crashAfter: fc.option(fc.constantFrom('process' as const, 'power' as const), { nil: undefined }),
});

const nameOf = ({ key }: Page): string => `${key.space}/${key.kind}/${key.number}`;

function changed(state: State, pages: readonly Page[]): State {
  const next = new Map(state);
  for (const page of pages) {
    if (page.bytes === undefined) next.delete(nameOf(page));
    else next.set(nameOf(page), page);
  }
  return next;
}

const listed = (pages: Iterable<Page>): string[] =>
  [...pages].map(page => `${nameOf(page)}=${page.bytes?.join()}`).sort();

describe('the checkpoint store', () => {
  it('has after any crash the latest checkpoint that was finished, whole', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(checkpointArb, { maxLength: 8 }), fc.noShrink(fc.integer()), async (steps, seed) => {
        const disk = new SimulatedStore(new SeededRandom(seed));
        let store = new CheckpointStore(disk);
        let state: State = new Map();
        let at = 0;
        const restart = async (loss: 'process' | 'power'): Promise<void> => {
          disk.crash(loss);
          store = new CheckpointStore(disk);
          const loaded = await store.load(GROUP, GENERATION);
          if (at === 0) expect(loaded).toBe('none');
          else if (typeof loaded === 'string') expect.fail(`the checkpoint is ${loaded}`);
          else {
            expect(loaded.at).toEqual({ term: 1, index: at });
            expect(listed(loaded.pages)).toEqual(listed(state.values()));
          }
        };
        for (const [i, { pages, end, crashAfter }] of steps.entries()) {
          const writer = store.begin(GROUP, GENERATION, { term: 1, index: i + 1 });
          await writer.add(pages.slice(0, 4));
          await writer.add(pages.slice(4));
          if (end === 'finished') {
            await writer.finish();
            state = changed(state, pages);
            at = i + 1;
          } else if (end !== 'given-up') await restart(end);
          if (crashAfter !== undefined) await restart(crashAfter);
        }
        await restart('power');
      }),
      { numRuns: 300 },
    );
  });

  it('says so when a value of the checkpoint is damaged or lost', async () => {
    await fc.assert(
      fc.asyncProperty(pagesArb, pagesArb, fc.boolean(), fc.integer(), async (first, second, isLost, seed) => {
        const disk = new SimulatedStore(new SeededRandom(seed));
        const store = new CheckpointStore(disk);
        for (const [i, pages] of [first, second].entries()) {
          const writer = store.begin(GROUP, GENERATION, { term: 1, index: i + 1 });
          await writer.add(pages);
          await writer.finish();
        }
        if (isLost) disk.loseValue();
        else disk.flipBit();
        // A lost manifest is for the journal to notice, whose base says that there was a checkpoint.
        const hasManifest = (await disk.get(manifestKey(GROUP, GENERATION))) !== undefined;
        expect(await new CheckpointStore(disk).load(GROUP, GENERATION)).toBe(hasManifest ? 'damaged' : 'none');
      }),
      { numRuns: 300 },
    );
  });

  it('leaves alone what a generation gets while an earlier one is still being tidied up behind', async () => {
    const disk = new SlowlyListed(new SeededRandom(1));
    const store = new CheckpointStore(disk);
    const page: Page = { key: { space: 0, kind: 1, number: 1 }, bytes: Uint8Array.of(1) };
    // A snapshot was installed, and the next transfer begins at once.
    const afterInstall = store.keepGeneration(GROUP, 1);
    const beforeTransfer = store.keepGeneration(GROUP, 1).then(async () => {
      const writer = store.begin(GROUP, 2, { term: 1, index: 1 });
      await writer.add([page]);
      await writer.finish();
    });
    await disk.listAll([afterInstall, beforeTransfer]);
    const loaded = await new CheckpointStore(disk).load(GROUP, 2);
    expect(loaded).toEqual({ at: { term: 1, index: 1 }, pages: [expect.objectContaining(page)] });
  });
});

/** Whoever asked last for what is stored gets it first. */
class SlowlyListed extends SimulatedStore {
  #waiting: (() => void)[] = [];
  #isSlow = true;

  override iterate(range: KeyRange): ReturnType<SimulatedStore['iterate']> {
    const list = (): ReturnType<SimulatedStore['iterate']> => super.iterate(range);
    const turn = this.#isSlow ? new Promise<void>(resolve => this.#waiting.push(resolve)) : Promise.resolve();
    return (async function* () {
      await turn;
      yield* list();
    })();
  }

  async listAll(asked: readonly Promise<void>[]): Promise<void> {
    let isOver = false;
    const all = Promise.all(asked).then(() => {
      isOver = true;
    });
    while (!isOver) {
      this.#waiting.pop()?.();
      await new Promise<void>(resolve => setImmediate(resolve));
    }
    this.#isSlow = false;
    await all;
  }
}
