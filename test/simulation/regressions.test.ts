import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readKeptRun } from './kept-run.ts';
import { QUIET_SWARM } from './quiet-swarm.ts';
import { describeFailure } from './run.ts';
import { simulate } from './simulate.ts';

const FOLDER = join(import.meta.dirname, 'regressions');
const files = readdirSync(FOLDER).filter(name => name.endsWith('.json'));

describe('runs that found a bug find nothing any more', () => {
  it.each(files)('%s', async file => {
    const run = readKeptRun(file, readFileSync(join(FOLDER, file), 'utf8'));
    const report = await simulate(run);
    expect(report.violation, `${run.what}\n\n${describeFailure(report)}`).toBeUndefined();
  });
});

describe('a kept run', () => {
  const kept = { what: 'a bug', commit: 'abc', seed: 1, swarm: QUIET_SWARM, plan: [{ do: 'advance', ms: 5 }] };
  const read = (changes: object): unknown => readKeptRun('old.json', JSON.stringify({ ...kept, ...changes }));

  it('that lacks what came later is read as if that did not exist', () => {
    const { network: _, ...older } = QUIET_SWARM;
    expect(read({ swarm: older })).toMatchObject({ swarm: { network: { delayMs: QUIET_SWARM.network.delayMs } } });
    expect(read({ plan: [{ do: 'partition', side: 1, ms: 300 }] })).toMatchObject({
      plan: [{ oneWay: false, separates: 'some' }],
    });
  });

  it('that says something the simulator does not know is an error which names it', () => {
    expect(() => read({ swarm: { ...QUIET_SWARM, gremlins: 1 } })).toThrow('old.json does not fit');
    expect(() => read({ swarm: { ...QUIET_SWARM, gremlins: 1 } })).toThrow('there is no swarm.gremlins any more');
    expect(() => read({ swarm: { ...QUIET_SWARM, clockSkew: 'much' } })).toThrow('swarm.clockSkew is a string');
    expect(() => read({ plan: [{ do: 'meteor' }] })).toThrow('no action is called meteor any more');
    expect(() => read({ plan: [{ do: 'advance', ms: 5, hours: 1 }] })).toThrow('advance has no hours any more');
    expect(() => read({ plan: [{ do: 'advance', ms: 'long' }] })).toThrow('ms of advance is a string');
    expect(() => read({ what: '' })).toThrow('which bug');
  });
});
