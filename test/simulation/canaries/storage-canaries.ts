import type { Canary } from './canary.ts';

/** What a restart finds on the disk, broken in checkpoints, in the journal's space, and in what damage does to a replica. */
export const STORAGE_CANARIES: readonly Canary[] = [
  {
    name: 'checkpoint-without-publisher-sequence',
    breaks: 'a machine that is restored does not know how far each publisher was (R23)',
    file: 'src/queue/sessions.ts',
    find: 'session.lastSequence = from.u48();',
    replace: 'from.u48();',
    runsMax: 20,
  },
  {
    name: 'segment-reclaimed-before-checkpoint',
    breaks: 'the journal gives up what a checkpoint covers that is not durable yet (R13, R14)',
    file: 'src/cluster/group/checkpointer.ts',
    find: 'await writer.finish();\n    cut.completed();\n    store.journal.checkpointed(group, index);',
    replace:
      'store.journal.checkpointed(group, index);\n    this.#advanceBase(index);\n    await writer.finish();\n    cut.completed();',
    runsMax: 20,
  },
  {
    name: 'segment-recycled-before-stragglers',
    breaks: 'a segment goes while the messages that are alive in it are still being copied (R13)',
    file: 'src/cluster/group/journal-cleaner.ts',
    find: 'await batch.finish();\n    if (this.#isStopped) return;\n    store.cleaned(candidate);',
    replace: 'store.cleaned(candidate);\n    await batch.finish();\n    if (this.#isStopped) return;',
    runsMax: 300,
  },
  {
    name: 'checkpoint-above-the-journal',
    breaks: 'a checkpoint holds entries that the own journal may still lose (R14)',
    file: 'src/cluster/group/checkpointer.ts',
    find: 'if (behind <= 0 || driver.raft.durable < index) return false;',
    replace: 'if (behind <= 0) return false;',
    runsMax: 300,
  },
  {
    name: 'pages-of-two-indexes',
    breaks: 'a page that changes while a checkpoint is cut goes into it as it is afterwards (R14)',
    file: 'src/queue/checkpoint-pages.ts',
    find: 'if ((page.marks & PENDING_CHANGES) !== 0) this.#changes?.capture(page, bytes);',
    replace: '',
    runsMax: 30,
  },
  {
    name: 'checksums-not-compared',
    breaks: 'values of the key-value store are taken as they are read, whatever their checksums say (R16)',
    file: 'src/storage/checkpoint-codec.ts',
    find: 'return new ByteReader(sealed).u32() === crc32(value, crc32(key)) ? value : undefined;',
    replace: 'return value;',
    also: [
      {
        file: 'src/storage/checkpoint-codec.ts',
        find: 'return pages.length === manifest.pageCount && sum === manifest.pageSum ?',
        replace: 'return pages.length === manifest.pageCount ?',
      },
    ],
    runsMax: 300,
  },
  {
    name: 'pages-not-counted',
    breaks: 'a checkpoint of which pages are missing or foreign is restored (R16)',
    file: 'src/storage/checkpoint-codec.ts',
    find: 'return pages.length === manifest.pageCount && sum === manifest.pageSum ?',
    replace: 'return sum >= 0 ?',
    runsMax: 400,
  },
  {
    name: 'record-checksum-not-compared',
    breaks: 'records of the journal are taken as they are read, whatever their checksums say (R11)',
    file: 'src/storage/record-codec.ts',
    find: 'payload.length === header.length && crc32(payload) === header.payloadCrc;',
    replace: 'payload.length === header.length;',
    runsMax: 300,
  },
  {
    name: 'damaged-replica-votes',
    breaks: 'a replica that lost what it had acknowledged still votes (R16)',
    file: 'src/raft/voting.ts',
    find: 'if (core.damaged) {',
    replace: 'if (core.damaged && core.term < 0) {',
    also: [
      {
        file: 'src/raft/core.ts',
        find: "assert(!this.damaged, 'a damaged replica votes for nobody');",
        replace: '',
      },
    ],
    runsMax: 300,
  },
];
