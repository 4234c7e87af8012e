import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import {
  applyAll,
  type ExpectedState,
  LOGS,
  type RecordedPairs,
  readLog,
  recordedFiles,
  restoreRecorded,
  stateOf,
} from './recorded-log.ts';

/** Recorded by `scripts/record-log.ts`; a log that a released version wrote stays here for ever. */
describe.each(readdirSync(LOGS))('the recorded log %s', name => {
  const folder = join(LOGS, name);
  const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'));
  const expected = read('expected.json') as ExpectedState;

  it('is read from its segments and leads to the state it led to then', () => {
    const machine = new ShardMachine();
    applyAll(machine, readLog(recordedFiles(folder)));
    expect(stateOf(machine, machine.applied)).toEqual(expected);
    machine.checkInvariants();
  });

  it('leads there from the checkpoint beside it, too', () => {
    const { machine, at } = restoreRecorded(read('checkpoint.json') as RecordedPairs);
    applyAll(
      machine,
      readLog(recordedFiles(folder)).filter(entry => entry.index > at.index),
    );
    expect(stateOf(machine, machine.applied)).toEqual(expected);
    machine.checkInvariants();
  });
});
