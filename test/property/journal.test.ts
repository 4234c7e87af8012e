import fc from 'fast-check';
import { describe, it } from 'vitest';
import type { JournalOptions } from '../../src/storage/journal-work.ts';
import { JournalModel } from '../support/journal-model.ts';

const OPTIONS: JournalOptions = { segmentBytesMax: 2048, sparesMax: 2, sparesMin: 1, deadBytesReserve: 4096 };

type Action =
  | { do: 'append'; group: number; sizes: number[]; replaced: number }
  | { do: 'apply'; group: number; count: number }
  | { do: 'checkpoint'; group: number; trailing: number }
  | { do: 'install'; group: number; ahead: number; bodies: number }
  | { do: 'drop'; group: number }
  | { do: 'limit-space'; bytes: number }
  | { do: 'clean' | 'begin' | 'finish' | 'complete' | 'idle' | 'check' }
  | { do: 'restart'; loss: 'process' | 'power' };

const group = fc.integer({ min: 0, max: 2 });
const sizes = fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 900, max: 1500 })), {
  minLength: 1,
  maxLength: 5,
});
const actionArb: fc.Arbitrary<Action> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), group, sizes, replaced: fc.nat(3) }) },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('apply' as const), group, count: fc.integer({ min: 1, max: 20 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('checkpoint' as const), group, trailing: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('install' as const),
      group,
      ahead: fc.integer({ min: 1, max: 9 }),
      bodies: fc.nat(9),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop' as const), group }) },
  {
    weight: 10,
    arbitrary: fc.record({ do: fc.constantFrom('clean', 'begin', 'finish', 'complete', 'complete', 'idle', 'check') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('restart' as const), loss: fc.constantFrom('process', 'power') }),
  },
);

function perform(model: JournalModel, action: Action): void {
  if (action.do === 'append') model.append(action.group, action.sizes, action.replaced);
  else if (action.do === 'apply') model.apply(action.group, action.count);
  else if (action.do === 'checkpoint') model.checkpoint(action.group, action.trailing);
  else if (action.do === 'install') model.install(action.group, action.ahead, action.bodies);
  else if (action.do === 'drop') model.drop(action.group);
  else if (action.do === 'restart') model.restart(action.loss);
  else if (action.do === 'limit-space') model.limitSpace(action.bytes);
  else if (action.do === 'check') model.checkBodies();
  else model[action.do]();
}

describe('the journal', () => {
  it('has after any crash everything that was acknowledged, in a state that it once was in', () => {
    fc.assert(
      fc.property(fc.array(actionArb, { size: '+1' }), fc.noShrink(fc.integer()), (actions, seed) => {
        const model = new JournalModel(seed, OPTIONS);
        for (const action of actions) perform(model, action);
        model.restart('power');
        model.checkBodies();
      }),
      { numRuns: 400 },
    );
  });

  it('never takes damage of what was acknowledged for a torn tail, nor passes over it', () => {
    fc.assert(
      fc.property(fc.array(actionArb, { size: '+1' }), fc.noShrink(fc.integer()), (actions, seed) => {
        const model = new JournalModel(seed, OPTIONS);
        for (const action of actions) perform(model, action);
        model.checkDamage();
      }),
      { numRuns: 400 },
    );
  });
});
