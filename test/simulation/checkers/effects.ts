import { utf8Encode } from '../../../src/lib/bytes.ts';
import { crc32 } from '../../../src/lib/crc32.ts';
import type { NodeId } from '../../../src/lib/ids.ts';
import type { ConsumerAddress, ShardEffects } from '../../../src/queue/effects.ts';
import type { ApplyMeta } from '../../../src/raft/state-machine.ts';
import type { SimReplica } from '../sim-replica.ts';
import { Checker } from './checker.ts';

/**
 * Every replica computes the same effects for an entry; followers perform none of them, and within a term one node performs them, once.
 * That a change of leaders repeats unsettled deliveries only, and flagged, is what the auditor sees at the clients.
 */
export class EffectsChecker extends Checker {
  readonly title = 'effects';
  readonly #performed = new Map<string, NodeId>();
  /** By group and index. */
  readonly #computed = new Map<string, number>();

  override onApply(
    { group, node }: SimReplica,
    { index }: ApplyMeta,
    _payload: Uint8Array,
    effects: ShardEffects,
  ): void {
    const key = `${group}/${index}`;
    const hash = hashOf(effects);
    const known = this.#computed.get(key);
    if (known === undefined) this.#computed.set(key, hash);
    else if (known !== hash) this.fail(`node ${node.id} makes something else of entry ${index} of group ${group}`);
  }

  override onPerform({ raft, node, group }: SimReplica, { index }: ApplyMeta, _effects: ShardEffects): void {
    if (raft.role !== 'leader')
      this.fail(`node ${node.id} performs effects of ${index} in group ${group} as a ${raft.role}`);
    const key = `${group}/${index}/${raft.term}`;
    const known = this.#performed.get(key);
    if (known !== undefined)
      this.fail(`nodes ${known} and ${node.id} perform effects of ${index} in term ${raft.term}`);
    this.#performed.set(key, node.id);
  }
}

const FNV_PRIME = 0x01000193;

/** A hash of everything in it. */
export function hashOf(effects: ShardEffects): number {
  const { deliveries, answers, refusals, consumersCancelled, queuesDeleted, bodiesAdded, bodiesReleased } = effects;
  let hash = effects.continuationWanted ? 1 : 2;
  const mix = (value: number): void => {
    hash = Math.imul(hash ^ (value | 0), FNV_PRIME);
    if (value > 0x7fffffff) hash = Math.imul(hash ^ Math.floor(value / 0x1_0000_0000), FNV_PRIME);
  };
  const mixAll = (values: readonly number[]): void => {
    mix(values.length);
    for (let i = 0; i < values.length; i++) mix(values[i]!);
  };
  const mixAddress = ({ node, incarnation, consumer, queue }: ConsumerAddress): void => {
    mix(node);
    mix(incarnation);
    mix(consumer);
    mix(queue);
  };
  for (const address of deliveries.consumers) mixAddress(address);
  mixAll(deliveries.numbers);
  mixAll(deliveries.entries);
  mixAll(deliveries.positions);
  mixAll(deliveries.lengths);
  mixAll(deliveries.deliveryCounts);
  for (const [at, offset] of deliveries.offsets) {
    mix(at);
    mix(offset);
  }
  for (const { node, incarnation, throughSequence, outcomes } of answers) {
    mix(node);
    mix(incarnation);
    mix(throughSequence);
    if (outcomes.length > 0) mix(crc32(utf8Encode(JSON.stringify(outcomes))));
  }
  for (const address of consumersCancelled) mixAddress(address);
  for (const account of [bodiesAdded, bodiesReleased]) {
    mixAll(account.entries);
    mixAll(account.bytes);
  }
  const rare = [...deliveries.large, ...refusals, ...queuesDeleted];
  if (rare.length > 0) mix(crc32(utf8Encode(JSON.stringify(rare))));
  return hash;
}
