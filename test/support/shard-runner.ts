import { expect } from 'vitest';
import type { NodeId } from '../../src/lib/ids.ts';
import { writeContinue, writeFence } from '../../src/queue/commands.ts';
import type { ShardEffects } from '../../src/queue/effects.ts';
import { messageBlockBytes } from '../../src/queue/message-block.ts';
import { type Action, bodyOf, consumerOf, nodeOf, Slots, type Step, writeOf } from './shard-actions.ts';
import { enqueue, message, outcomeOf, ShardDriver } from './shard-driver.ts';
import { ShardModel } from './shard-model.ts';

const blockBytes = (body: string): number => messageBlockBytes(message(body));

/** Runs steps on a driver; with a model, checks every answer and delivery against it. */
export class ShardRunner {
  readonly driver = new ShardDriver();
  readonly model = new ShardModel(blockBytes);
  readonly #slots = new Slots();
  readonly #lastBatch = new Map<NodeId, Uint8Array>();
  /** Live bytes by entry, as the journal counts them. */
  readonly #live = new Map<number, number>();
  #bodies = 0;

  run(step: Step): ShardEffects {
    const effects = this.#apply(step);
    this.#account(effects);
    this.#checkDeliveries(effects);
    this.#checkState();
    return effects;
  }

  owner(node: NodeId): string {
    return `${node}.${this.driver.sender(node).incarnation}`;
  }

  #apply(step: Step): ShardEffects {
    const { driver } = this;
    switch (step.do) {
      case 'batch':
        return this.#batch(nodeOf(step), step);
      case 'continue':
        return driver.lead(writeContinue);
      case 'fence': {
        const node = nodeOf(step);
        const { incarnation } = driver.sender(node);
        const effects = driver.lead(out => writeFence(out, node, incarnation));
        this.model.fence(this.owner(node));
        this.#lastBatch.delete(node);
        driver.restart(node);
        return effects;
      }
      case 'repeat':
        return driver.apply(...[...this.#lastBatch.values()].slice(0, 1));
      case 'skip': {
        const node = nodeOf(step);
        const batch = driver.batchAt(node, driver.sender(node).nextSequence + 1, [enqueue('lost')]);
        const effects = driver.apply(batch);
        expect(effects.refusals).toMatchObject([{ reason: 'gap', expectedSequence: driver.sender(node).nextSequence }]);
        return effects;
      }
    }
  }

  #batch(node: NodeId, { actions, hasSeen }: Extract<Step, { do: 'batch' }>): ShardEffects {
    const { driver, model } = this;
    const sender = driver.sender(node);
    const first = sender.nextSequence;
    const owner = this.owner(node);
    if (hasSeen) {
      sender.seenThrough = first - 1;
      model.seen(owner);
    }
    const checks: ((effects: ShardEffects) => void)[] = [];
    const writes = actions.map((action, i) => {
      if (action.do === 'declare' && model.deleted.has(this.#slots.id(action.slot)) && i % 2 === 0) {
        this.#slots.renew(action.slot);
      }
      const write = writeOf(action, this.#slots, this.#bodies);
      const expected = this.#predict(owner, action);
      this.#bodies++;
      checks.push(effects => {
        const outcome = outcomeOf(effects, first + i);
        if (action.do === 'get' && expected.outcome === undefined) {
          expect(outcome).toMatchObject({ kind: 'message' });
          if (outcome?.kind === 'message') expect(driver.bodyOf(outcome.body)).toBe(expected.body);
        } else {
          expect(outcome).toEqual(expected.outcome);
        }
      });
      return write;
    });
    const batch = driver.batch(node, writes);
    this.#lastBatch.set(node, batch);
    const effects = driver.apply(batch);
    for (const check of checks) check(effects);
    const cancelled = effects.consumersCancelled.map(
      address => `${address.node}.${address.incarnation}/${address.consumer}`,
    );
    expect(cancelled).toEqual(model.cancelled);
    model.cancelled = [];
    return effects;
  }

  #predict(owner: string, action: Action) {
    const { model } = this;
    const id = 'slot' in action ? this.#slots.id(action.slot) : this.#slots.id(0);
    switch (action.do) {
      case 'declare':
        return { outcome: model.ensure(id, action.autoDelete), body: '' };
      case 'enqueue': {
        const ids = action.slots.map(slot => this.#slots.id(slot));
        return { outcome: model.enqueue(ids, bodyOf(action, this.#bodies)), body: '' };
      }
      case 'consume': {
        const request = { queue: id, isExclusive: action.exclusive, ...creditOf(action) };
        return { outcome: model.consume(owner, consumerOf(action), request), body: '' };
      }
      case 'credit': {
        const consumer = model.consumers.get(`${owner}/${consumerOf(action)}`);
        if (consumer) Object.assign(consumer, creditOf(action));
        return { outcome: undefined, body: '' };
      }
      case 'settle':
        model.settle(owner, consumerOf(action), action.how, action.first, action.first + action.count - 1);
        return { outcome: undefined, body: '' };
      case 'cancel':
      case 'release':
        model[action.do](owner, consumerOf(action));
        return { outcome: undefined, body: '' };
      case 'get':
        return model.get(owner, consumerOf(action), id, action);
      case 'part':
        return { outcome: model.part(owner, action.upload, bodyOf(action, this.#bodies)), body: '' };
      case 'assemble': {
        const ids = action.slots.map(slot => this.#slots.id(slot));
        return { outcome: model.assemble(owner, action.upload, ids, bodyOf(action, this.#bodies)), body: '' };
      }
      case 'abandon':
        model.abandon(owner, action.upload);
        return { outcome: undefined, body: '' };
      case 'purge':
      case 'count':
        return { outcome: model[action.do](id), body: '' };
      case 'delete':
        return { outcome: model.delete(id, action.ifUnused, action.ifEmpty), body: '' };
    }
  }

  #checkDeliveries(effects: ShardEffects): void {
    const { driver, model } = this;
    const owners = effects.deliveries.consumers.map(({ node, incarnation }) => `${node}.${incarnation}`);
    for (const [i, delivery] of driver.deliveries(effects).entries()) model.delivered(owners[i]!, delivery);
    model.cancelled = [];
    for (const id of model.queues.keys()) {
      if (model.readyOf(id) > 0) expect(model.activeOf(id).filter(consumer => model.canTake(consumer))).toEqual([]);
    }
  }

  #checkState(): void {
    const { driver, model } = this;
    driver.machine.checkInvariants();
    const expected = [...model.queues].map(([id, queue]) => ({
      id,
      ready: model.readyOf(id),
      unacked: queue.messages.length - model.readyOf(id),
      consumers: model.activeOf(id).length,
      bytes: queue.messages.reduce((sum, { body }) => sum + blockBytes(body), 0),
    }));
    const { queues } = driver.machine.overview();
    expect(queues).toMatchObject(expected.sort((a, b) => a.id - b.id));
    expect(driver.machine.pendingNameRemovals().map(({ id }) => id)).toEqual([...model.deleted].sort((a, b) => a - b));
    for (const [key, consumer] of model.consumers) {
      const [owner, id] = key.split('/');
      const [node, incarnation] = owner!.split('.').map(Number);
      const held = driver.machine.unsettledAfter(node as never, incarnation as never, Number(id) as never, 0)!;
      const bodies = held.numbers.map((number, i) => [number, driver.bodyOf(held.bodyAt(i))]);
      expect(bodies).toEqual([...consumer.held].map(([number, { body }]) => [number, body]));
    }
    this.#checkLiveBytes();
  }

  #account(effects: ShardEffects): void {
    const { bodiesAdded, bodiesReleased } = effects;
    for (const [i, entry] of bodiesAdded.entries.entries()) this.#add(entry, bodiesAdded.bytes[i]!);
    for (const [i, entry] of bodiesReleased.entries.entries()) this.#add(entry, -bodiesReleased.bytes[i]!);
  }

  #add(entry: number, bytes: number): void {
    const sum = (this.#live.get(entry) ?? 0) + bytes;
    expect(sum).toBeGreaterThanOrEqual(0);
    if (sum === 0) this.#live.delete(entry);
    else this.#live.set(entry, sum);
  }

  #checkLiveBytes(): void {
    const counted = new Map<number, number>();
    for (const { entries, accounted } of this.driver.machine.liveReferences(0, Number.MAX_SAFE_INTEGER)) {
      for (const [i, entry] of entries.entries()) counted.set(entry, (counted.get(entry) ?? 0) + accounted[i]!);
    }
    expect([...counted].sort(([a], [b]) => a - b)).toEqual([...this.#live].sort(([a], [b]) => a - b));
  }
}

const creditOf = (action: { prefetch: number; through: number; bytesThrough: number }) => ({
  prefetch: action.prefetch,
  through: action.through,
  bytesThrough: action.bytesThrough,
});
