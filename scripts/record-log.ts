import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { assert } from '../src/lib/assert.ts';
import { ShardMachine } from '../src/queue/shard-machine.ts';
import type { Entry, EntryId } from '../src/raft/messages.ts';
import { manifestOperation, pageChecksum, pageOperation } from '../src/storage/checkpoint-codec.ts';
import { recoverJournal } from '../src/storage/journal-recovery.ts';
import type { KeyValueOperation } from '../src/storage/key-value-store.ts';
import { Cluster } from '../test/simulation/cluster.ts';
import { kindOf, type Plan } from '../test/simulation/plan.ts';
import { QUIET_SWARM } from '../test/simulation/quiet-swarm.ts';
import {
  applyAll,
  CHECKPOINT_AT,
  LOGS,
  type RecordedPairs,
  readLog,
  SHARD,
  stateOf,
} from '../test/simulation/recorded-log.ts';
import { SimFiles } from '../test/simulation/sim-files.ts';
import type { Swarm } from '../test/simulation/swarm.ts';
import { World } from '../test/simulation/world.ts';

/**
 * Records a shard's log in the present format: the journal's segments of one replica, a checkpoint from the middle, and the state
 * at the end (`test/simulation/recorded-logs.test.ts` replays it). To be run when a format or the machine's version changes, before a release:
 *
 *   node scripts/run.mjs record-log --name 2-with-priorities
 */
const { values } = parseArgs({ options: { name: { type: 'string' } } });
assert(values.name !== undefined, '--name says what the log is called');

const SEED = 20_261_122;
const TERMS = 3;
const SEGMENT_BYTES = 65_536;
const ENTRIES_PER_WORK = 40;

/** Everything that clients do, on disks that never have to give up anything. */
const swarm: Swarm = {
  ...QUIET_SWARM,
  limits: { ...QUIET_SWARM.limits, segmentBytes: 4_194_304, trailingEntries: 1_000_000 },
  workload: {
    ...QUIET_SWARM.workload,
    queues: 3,
    publishers: 2,
    consumers: 5,
    bodyBytesMax: 40,
    fanout: 0.2,
    returns: 0.1,
    discards: 0.05,
    forgets: 0.02,
    multiples: 0.2,
    singleActives: 0.3,
    priorities: true,
    getMs: { min: 20, max: 100 },
    countMs: { min: 20, max: 600 },
    expiry: {
      limitedQueues: 0.4,
      queueTtlMs: 200,
      limitedMessages: 0.2,
      messageTtlMsMax: 400,
      leasedQueues: 0.4,
      leaseMs: 600,
    },
    streams: { share: 0.5, maxAgeMs: 900, maxBytes: 2_000 },
  },
};

const term: Plan = [
  { do: 'advance', ms: 1_400 },
  { do: 'burst', publisher: 1, count: 20 },
  { do: 'disconnect-consumer', consumer: 2 },
  { do: 'purge', queue: 0 },
  { do: 'delete-queue', queue: 1, ifUnused: false, ifEmpty: false },
  { do: 'advance', ms: 700 },
  { do: 'fence-living', node: 1 },
  { do: 'advance', ms: 700 },
  { do: 'transfer', group: 0, node: 2 },
  { do: 'crash-leader', group: 0, loss: 'process', downMs: 600 },
];

const cluster = new Cluster(new World(SEED, { keepTrace: false }), swarm);
for (let i = 0; i < TERMS; i++) for (const action of term) await kindOf(action).perform(cluster, action);
await cluster.advance(1_000);

const entries = readLog(cluster.nodes.find(node => node.isUp)!.disk.files);
const files = written(entries);
const machine = new ShardMachine();
applyAll(machine, entries.slice(0, CHECKPOINT_AT));
const checkpoint = checkpointOf(machine, { term: entries[CHECKPOINT_AT - 1]!.term, index: CHECKPOINT_AT });
applyAll(machine, entries.slice(CHECKPOINT_AT));

const folder = join(LOGS, values.name);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const { name, bytes } of files.list()) {
  if (name.endsWith('.segment')) writeFileSync(join(folder, name), files.read(name, 0, bytes));
}
writeFileSync(join(folder, 'checkpoint.json'), `${JSON.stringify(checkpoint, undefined, 1)}\n`);
writeFileSync(join(folder, 'expected.json'), `${JSON.stringify(stateOf(machine, machine.applied), undefined, 2)}\n`);
console.log(`${entries.length} entries in ${readdirSync(folder).length - 2} segments: ${folder}`);

/** The log in a journal of small segments. */
function written(log: readonly Entry[]): SimFiles {
  const segments = new SimFiles();
  const options = { segmentBytesMax: SEGMENT_BYTES, sparesMax: 0, sparesMin: 0, deadBytesReserve: 1 << 30 };
  const recovery = recoverJournal(segments, options);
  assert(recovery.recovered, 'an empty directory is no journal');
  const { journal } = recovery;
  for (let at = 0; at < log.length; at += ENTRIES_PER_WORK) {
    const some = log.slice(at, at + ENTRIES_PER_WORK);
    const hardState = { term: some.at(-1)!.term, vote: undefined, commit: at };
    journal.append([{ group: SHARD, hardState, entries: some, base: undefined }]);
    for (let work = journal.takeWork(); work !== undefined; work = journal.takeWork()) {
      for (const operation of work.operations) segments.perform(operation);
      journal.workCompleted(work.number);
    }
  }
  return segments;
}

function checkpointOf(source: ShardMachine, at: EntryId): RecordedPairs {
  const operations: KeyValueOperation[] = [];
  const cut = source.cut('all', at);
  let pageCount = 0;
  let pageSum = 0;
  for (let pages = cut.nextPages(65_536); pages.length > 0; pages = cut.nextPages(65_536)) {
    for (const { key, bytes } of pages) {
      if (bytes === undefined) continue;
      pageCount++;
      pageSum = (pageSum + pageChecksum({ key, bytes })) >>> 0;
      operations.push(pageOperation(SHARD, 0, 1, { key, bytes }));
    }
  }
  cut.completed();
  operations.push(manifestOperation(SHARD, 0, { number: 1, predecessor: 0, at, pageCount, pageSum }));
  const digits = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
  return operations.flatMap(operation =>
    operation.type === 'put' ? [[digits(operation.key), digits(operation.value)] as const] : [],
  );
}
