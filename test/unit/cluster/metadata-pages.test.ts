import { describe, expect, it } from 'vitest';
import { bind, declareExchange, declareQueue, removeQueue } from '../../../src/cluster/metadata/metadata-commands.ts';
import { queueId } from '../../../src/lib/ids.ts';
import {
  asRecord,
  binding,
  exchangeNamed,
  formedCluster,
  MetadataLog,
  pagesOf,
  queueNamed,
  restOf,
  restoredFrom,
  stateOf,
} from '../../support/metadata.ts';

const declare = (name: string) => declareQueue({ ...queueNamed(name), preferredShard: undefined });

/** Two hundred bound queues. */
function filledCluster(): MetadataLog {
  const log = formedCluster();
  for (let i = 0; i < 200; i++) {
    log.run(declare(`q${i}`));
    log.run(bind(binding('amq.topic', `q${i}`, `k.${i}`)));
  }
  return log;
}

describe('a checkpoint of group 0', () => {
  it('writes a handful of pages after one declare, however much there is', () => {
    const log = filledCluster();
    pagesOf(log.machine, 'changes');
    log.run(declare('one more'));
    expect(pagesOf(log.machine, 'changes')).toHaveLength(2);
    log.run(bind(binding('amq.topic', 'one more', 'k')));
    expect(pagesOf(log.machine, 'changes')).toHaveLength(2);
    expect(pagesOf(log.machine, 'changes')).toEqual([]);
  });

  it('tells that a page is gone when its last queue is', () => {
    const log = filledCluster();
    pagesOf(log.machine, 'changes');
    for (let id = 64; id < 128; id++) log.run(removeQueue(queueId(id)));
    const gone = pagesOf(log.machine, 'changes').filter(page => page.bytes === undefined);
    expect(gone.map(page => page.key)).toContainEqual({ space: 0, kind: 6, number: 1 });
  });

  it('adds up to the whole state, step by step', () => {
    const log = filledCluster();
    const kept: Record<string, string> = {};
    const checkpoint = () => {
      const pages = pagesOf(log.machine, 'changes');
      for (const { key, bytes } of pages)
        if (bytes === undefined) delete kept[`${key.space}/${key.kind}/${key.number}`];
      Object.assign(kept, asRecord(pages));
    };
    checkpoint();
    for (let id = 1; id < 150; id++) {
      log.run(removeQueue(queueId(id)));
      if (id % 20 === 0) checkpoint();
      log.run(declareExchange(exchangeNamed(`x${id}`)));
    }
    checkpoint();
    expect(kept).toEqual(stateOf(log.machine));
  });

  it('shows the state as it was cut, whatever is applied meanwhile', () => {
    const log = filledCluster();
    const before = stateOf(log.machine);
    const cut = log.machine.cut('all', { term: 1, index: log.machine.applied });
    const first = cut.nextPages(500);
    for (let id = 1; id <= 200; id++) log.run(removeQueue(queueId(id)));
    log.run(declare('new'));
    const rest = restOf(cut);
    cut.completed();
    expect(asRecord([...first, ...rest])).toEqual(before);
  });

  it('loses nothing when it is given up', () => {
    const log = filledCluster();
    pagesOf(log.machine, 'changes');
    log.run(declare('one'));
    const cut = log.machine.cut('changes', { term: 1, index: log.machine.applied });
    cut.nextPages(1);
    log.run(bind(binding('amq.topic', 'one', 'k')));
    cut.abandoned();
    expect(
      pagesOf(log.machine, 'changes')
        .map(page => page.key.kind)
        .sort(),
    ).toEqual([1, 6, 7]);
  });

  it('takes the place of another state, and tells which queues are gone', () => {
    const log = filledCluster();
    const behind = restoredFrom(log.machine);
    const { topology } = behind;
    log.run(removeQueue(queueId(7)));
    log.run(declare('new'));
    const effects = behind.replace({ pages: pagesOf(log.machine, 'all'), at: log.machine.applied });
    expect(effects.changes).toMatchObject([{ kind: 'queue-removed', queue: { id: 7 } }]);
    expect(effects).toMatchObject({ membersChanged: true, shardsChanged: true });
    expect(behind.topology).toBe(topology);
    expect(topology.queue('/', 'new')).toEqual(log.machine.topology.queue('/', 'new'));
    expect(stateOf(behind)).toEqual(stateOf(log.machine));
    const goingOn = new MetadataLog(behind);
    for (const each of [log, goingOn]) each.run(declare('after'));
    expect(stateOf(behind)).toEqual(stateOf(log.machine));
  });

  it('restores a machine that goes on as the other does', () => {
    const log = filledCluster();
    for (let id = 1; id < 100; id++) log.run(removeQueue(queueId(id)));
    const restored = new MetadataLog(restoredFrom(log.machine));
    expect(stateOf(restored.machine)).toEqual(stateOf(log.machine));
    for (const each of [log, restored]) {
      each.run(declare('after'));
      each.run(removeQueue(queueId(150)));
    }
    expect(stateOf(restored.machine)).toEqual(stateOf(log.machine));
    expect(restored.machine.topology.queue('/', 'after')).toEqual(log.machine.topology.queue('/', 'after'));
    expect(pagesOf(restored.machine, 'changes').every(page => page.bytes !== undefined)).toBe(true);
  });
});
