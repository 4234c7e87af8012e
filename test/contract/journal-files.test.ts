import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/random.ts';
import { directoryFiles } from '../../src/storage/disk-journal.ts';
import type { DiskReply, DiskRequest, FileOperation, WorkOutcome } from '../../src/storage/journal-work.ts';
import type { JournalFiles } from '../../src/storage/segment-scan.ts';
import { SimulatedFiles } from '../support/simulated-files.ts';

interface FilesUnderTest {
  readonly files: JournalFiles;
  perform(operations: readonly FileOperation[]): Promise<WorkOutcome['outcome']>;
  dispose(): Promise<void>;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const write = (file: string, position: number, ...buffers: Uint8Array[]): FileOperation => ({
  do: 'write',
  file,
  position,
  buffers,
});

/** What recovery and the journal expect of whatever does their work. */
function journalFilesContract(name: string, open: () => Promise<FilesUnderTest>): void {
  describe(`${name} for the journal`, () => {
    let current: FilesUnderTest | undefined;
    const make = async (): Promise<FilesUnderTest> => {
      current = await open();
      return current;
    };
    afterEach(async () => {
      await current?.dispose();
      current = undefined;
    });

    it('writes buffers behind each other, over what is there', async () => {
      const { files, perform } = await make();
      await perform([{ do: 'create', file: 'a' }, write('a', 0, bytes(1, 2, 3, 4)), write('a', 1, bytes(8), bytes(9))]);
      expect(files.read('a', 0, 4)).toEqual(bytes(1, 8, 9, 4));
    });

    it('writes from shared memory', async () => {
      const { files, perform } = await make();
      const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3);
      shared.set([5, 6, 7]);
      await perform([{ do: 'create', file: 'a' }, write('a', 0, shared), { do: 'sync', file: 'a' }]);
      expect(files.read('a', 0, 3)).toEqual(bytes(5, 6, 7));
    });

    it('writes more buffers at once than one system call takes', async () => {
      const { files, perform } = await make();
      const buffers = Array.from({ length: 2500 }, (_, i) => bytes(i % 256));
      await perform([{ do: 'create', file: 'a' }, write('a', 0, ...buffers)]);
      expect(files.read('a', 0, 2500)).toEqual(Uint8Array.from(buffers, one => one[0]!));
    });

    it('reads less at the end of a file, and lists sizes', async () => {
      const { files, perform } = await make();
      await perform([{ do: 'create', file: 'a' }, write('a', 0, bytes(1, 2, 3))]);
      expect(files.read('a', 1, 10)).toEqual(bytes(2, 3));
      expect(files.list()).toEqual([{ name: 'a', bytes: 3 }]);
    });

    it('fills with zeros', async () => {
      const { files, perform } = await make();
      await perform([
        { do: 'create', file: 'a' },
        write('a', 0, bytes(1, 2, 3)),
        { do: 'fill', file: 'a', position: 1, bytes: 4 },
      ]);
      expect(files.read('a', 0, 9)).toEqual(bytes(1, 0, 0, 0, 0));
    });

    it('empties a file that is created anew', async () => {
      const { files, perform } = await make();
      await perform([{ do: 'create', file: 'a' }, write('a', 0, bytes(1)), { do: 'create', file: 'a' }]);
      expect(files.list()).toEqual([{ name: 'a', bytes: 0 }]);
    });

    it('does a work again that was done in part: what is renamed or deleted already is no error', async () => {
      const { files, perform } = await make();
      const operations: FileOperation[] = [
        { do: 'rename', from: 'a', to: 'b' },
        { do: 'delete', file: 'c' },
        { do: 'sync-directory' },
      ];
      await perform([{ do: 'create', file: 'a' }, write('a', 0, bytes(1)), { do: 'create', file: 'c' }]);
      expect(await perform(operations)).toBe('done');
      expect(await perform(operations)).toBe('done');
      expect(files.list()).toEqual([{ name: 'b', bytes: 1 }]);
    });

    it('writes under the new name after a rename', async () => {
      const { files, perform } = await make();
      await perform([{ do: 'create', file: 'a' }, write('a', 0, bytes(1, 1)), { do: 'rename', from: 'a', to: 'b' }]);
      await perform([write('b', 0, bytes(2)), { do: 'create', file: 'a' }, write('a', 0, bytes(3))]);
      expect(files.read('b', 0, 9)).toEqual(bytes(2, 1));
      expect(files.read('a', 0, 9)).toEqual(bytes(3));
    });
  });
}

journalFilesContract('the simulated disk', async () => {
  const files = new SimulatedFiles(new SeededRandom(1));
  return {
    files,
    perform: async operations => files.perform({ number: 1, operations }).outcome,
    dispose: async () => {},
  };
});

journalFilesContract('the disk thread', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'warren-files-'));
  const thread = new URL('../../dist/storage/disk-thread.js', import.meta.url);
  const worker = new Worker(thread, { workerData: { directory, role: 'write' } });
  return {
    files: directoryFiles(directory),
    perform: operations =>
      new Promise((resolve, reject) => {
        worker.once('error', reject);
        worker.once('message', (reply: DiskReply) => {
          if (reply.did === 'work') resolve(reply.outcome);
        });
        worker.postMessage({ do: 'work', number: 1, operations } satisfies DiskRequest);
      }),
    dispose: async () => {
      await worker.terminate();
      await rm(directory, { recursive: true });
    },
  };
});
