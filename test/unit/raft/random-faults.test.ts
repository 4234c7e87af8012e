import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8Encode } from '../../../src/lib/bytes.ts';
import { type NodeId, nodeId } from '../../../src/lib/ids.ts';
import { SeededRandom } from '../../../src/lib/random.ts';
import type { Membership, RaftMessage } from '../../../src/raft/messages.ts';
import { DEFAULT_OPTIONS, Replica } from '../../scenario/replica.ts';

interface Weights {
  readonly lose: number;
  readonly repeat: number;
  /** Of each write, per step: that it completes. */
  readonly disk: number;
  readonly crash: number;
  readonly compact: number;
  readonly change: number;
  readonly hint: number;
  readonly campaign: number;
  /** Of a delivered message: that it is any of those under way, not one of the oldest. */
  readonly late: number;
  /** Chance per step that one replica is cut off, or that all are connected again. */
  readonly cut: number;
  /** Chance per step that replica 1 loses entries that it had acknowledged (R16). */
  readonly damage: number;
}

/** A group of replicas, a network that keeps nothing in order, and the properties of Raft figure 3. */
class Group {
  readonly random: SeededRandom;
  readonly replicas: Replica[] = [];
  readonly #network: RaftMessage[] = [];
  readonly #leaders = new Map<number, NodeId>();
  /** What was applied first at each index, anywhere. */
  readonly #ledger: string[] = [];
  #seen = new Map<NodeId, number>();
  #proposals = 0;
  #isolated: NodeId | undefined;

  constructor(seed: number, size: number, spare: number) {
    this.random = new SeededRandom(seed);
    const ids = Array.from({ length: size + spare }, (_, at) => nodeId(at + 1));
    const membership: Membership = { voters: ids.slice(0, size), outgoing: [], learners: [] };
    for (const id of ids) {
      const options = { ...DEFAULT_OPTIONS, id, cachedBytesMax: 64, appendBytesMax: 40 };
      this.replicas.push(new Replica(options, membership, this.random.fork(`election:${id}`)));
    }
  }

  get ledger(): readonly string[] {
    return this.#ledger;
  }

  step(weights: Weights): void {
    const replica = this.#pick();
    const chance = (weight: number) => this.random.next() < weight;
    if (chance(weights.crash)) this.#crash(replica);
    else if (chance(weights.damage)) this.replicas[0]!.restartDamaged(this.random.integer(1, 3));
    else if (chance(weights.compact)) replica.compact();
    else if (chance(weights.change)) this.#changeMembership(replica);
    else if (chance(weights.hint)) this.#hint(replica);
    else if (chance(weights.campaign)) this.#campaign();
    else if (chance(weights.cut)) this.#isolated = this.#isolated === undefined ? replica.id : undefined;
    if (chance(0.3)) for (const each of this.replicas) each.raft.tick();
    if (chance(0.3)) for (const each of this.replicas) each.raft.propose(utf8Encode(`p${++this.#proposals}`));
    if (chance(0.1)) for (const each of this.replicas) each.raft.readIndex(this.#ledger.length);
    for (const each of this.replicas) if (chance(weights.disk)) each.completeWrite();
    for (let count = 2 * this.replicas.length; count > 0; count--) this.#deliver(weights);
    for (const each of this.replicas) each.run();
    this.#install();
    for (const each of this.replicas) this.#network.push(...each.outbox.splice(0));
    this.#check();
  }

  /** No faults any more: everything is delivered, written and ticked, in turns. */
  calm(rounds: number): void {
    for (let round = 0; round < rounds; round++) {
      for (const replica of this.replicas) {
        replica.raft.tick();
        replica.run();
        replica.completeWrites();
      }
      this.#install();
      for (const each of this.replicas) this.#network.push(...each.outbox.splice(0));
      for (const message of this.#network.splice(0)) this.#receive(message);
      this.#check();
    }
  }

  #pick(): Replica {
    return this.replicas[this.random.integer(0, this.replicas.length - 1)]!;
  }

  #deliver(weights: Weights): void {
    if (this.#network.length === 0) return;
    const among = this.random.next() < weights.late ? this.#network.length : Math.min(this.#network.length, 8);
    const at = this.random.integer(0, among - 1);
    const message = this.#network[at]!;
    const isCut = message.from === this.#isolated || message.to === this.#isolated;
    if (this.random.next() >= weights.repeat) this.#network.splice(at, 1);
    if (!isCut && this.random.next() >= weights.lose) this.#receive(message);
  }

  #receive(message: RaftMessage): void {
    const replica = this.replicas[message.to - 1]!;
    replica.raft.step(message);
    replica.run();
  }

  #install(): void {
    for (const replica of this.replicas) {
      const from = replica.raft.installing?.from;
      if (replica.install !== undefined && from !== undefined) replica.installFrom(this.replicas[from - 1]!);
    }
  }

  /** Rather one with writes under way, of which any number may have reached the disk. */
  #crash(picked: Replica): void {
    const replica = this.replicas.find(each => each.writes.length > 0 && this.random.next() < 0.5) ?? picked;
    replica.restart(this.random.integer(0, replica.writes.length));
  }

  /** Followers lose their leader, so that somebody can be elected; often several campaign at once. */
  #campaign(): void {
    for (const { id, raft } of this.replicas) {
      if (raft.leader !== undefined && raft.role === 'follower') raft.peerGone(raft.leader);
      if (id !== this.#isolated && this.random.next() < 0.5) raft.campaign('preferred');
    }
  }

  #changeMembership(replica: Replica): void {
    const voters = this.replicas.filter(() => this.random.next() < 0.7).map(each => each.id);
    const learners = this.replicas.map(each => each.id).filter(id => !voters.includes(id) && this.random.next() < 0.5);
    replica.raft.proposeMembership({ voters, outgoing: [], learners });
  }

  #hint(replica: Replica): void {
    const peer = this.#pick().id;
    const draw = this.random.next();
    if (draw < 0.4) replica.raft.peerGone(peer);
    else if (draw < 0.7) replica.raft.peerConnected(peer);
    else replica.raft.transferLeadership(peer);
  }

  #check(): void {
    for (const replica of this.replicas) {
      this.#checkApplied(replica);
      if (replica.raft.role === 'leader') this.#checkLeader(replica);
      for (const { context, index } of replica.reads.splice(0)) {
        if (index < context) throw new Error(`read at ${index}, when ${context} was applied before`);
      }
    }
  }

  /** State machine safety: one entry per index, for everybody, for ever. */
  #checkApplied({ id, history }: Replica): void {
    for (let seen = this.#seen.get(id) ?? 0; seen < history.length; seen++) {
      const { index, term, payload } = history[seen]!;
      const text = `${term}:${payload}`;
      this.#ledger[index - 1] ??= text;
      const known = this.#ledger[index - 1];
      if (known !== text) throw new Error(`entry ${index} is ${text} at ${id}, and ${known} elsewhere`);
    }
    this.#seen.set(id, history.length);
  }

  /** Election safety, and leader completeness by the terms of what was applied anywhere. */
  #checkLeader({ id, raft }: Replica): void {
    const known = this.#leaders.get(raft.term);
    if (known === id) return;
    if (known !== undefined) throw new Error(`${known} and ${id} lead term ${raft.term}`);
    this.#leaders.set(raft.term, id);
    for (let index = raft.base.index + 1; index <= this.#ledger.length; index++) {
      const term = Number(this.#ledger[index - 1]!.split(':')[0]);
      if (term < raft.term && raft.termAt(index) !== term) throw new Error(`leader ${id} lacks entry ${index}`);
    }
  }

  /** Log matching: where two logs have the same term at an index, they have it at every earlier one. */
  checkLogs(): void {
    for (const a of this.replicas) {
      for (const b of this.replicas) {
        let isEqual = false;
        const first = Math.max(a.raft.base.index, b.raft.base.index);
        for (let index = Math.min(a.raft.lastId.index, b.raft.lastId.index); index > first; index--) {
          const isSame = a.raft.termAt(index) === b.raft.termAt(index);
          if (isEqual && !isSame) throw new Error(`the logs of ${a.id} and ${b.id} differ at ${index}, not behind it`);
          isEqual ||= isSame;
        }
      }
    }
  }
}

const RUNS = 700;
const STEPS = 400;
/** An append brings an entry or a few: so many rounds bring a whole log. */
const CALM_ROUNDS_MAX = 600;
const ROUNDS_AT_ONCE = 30;

/** A fault is absent or has a rate up to `max`. */
const rate = (max: number) => fc.oneof({ weight: 1, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: upTo(max) });
const upTo = (max: number) => fc.integer({ min: 1, max: 100 }).map(percent => (percent * max) / 100);

const faults = {
  lose: rate(0.2),
  repeat: rate(0.3),
  late: rate(0.5),
  disk: upTo(1),
  crash: rate(0.06),
  compact: rate(0.02),
  hint: rate(0.01),
  campaign: rate(0.06),
  cut: rate(0.01),
};

/** Safety at every step; then calm, and everybody gets everything. */
function run(seed: number, size: number, spare: number, weights: Weights): void {
  const group = new Group(seed, size, spare);
  for (let at = 0; at < STEPS; at++) group.step(weights);
  group.checkLogs();
  let missing: string | undefined = 'calm';
  for (let rounds = 0; missing !== undefined && rounds < CALM_ROUNDS_MAX; rounds += ROUNDS_AT_ONCE) {
    group.calm(ROUNDS_AT_ONCE);
    missing = missingIn(group);
  }
  group.checkLogs();
  expect(missing).toBeUndefined();
}

/** What is not as it must become, as a sentence. */
function missingIn({ replicas, ledger }: Group): string | undefined {
  const leader = replicas.find(each => each.raft.role === 'leader');
  if (leader === undefined) return 'there is no leader';
  for (const voter of leader.raft.membership.voters) {
    const { applied, damaged } = replicas[voter - 1]!.raft;
    if (applied < ledger.length) return `${voter} has applied ${applied} of ${ledger.length}`;
    if (damaged) return `${voter} is damaged`;
  }
  return undefined;
}

describe('random faults', () => {
  it('never break election safety, log matching, leader completeness or state machine safety', () => {
    const weightsArb = fc.record({ ...faults, change: rate(0.02), damage: fc.constant(0) });
    fc.assert(fc.property(fc.noShrink(fc.integer()), fc.constantFrom(3, 3, 4, 5), fc.nat(1), weightsArb, run), {
      numRuns: RUNS,
    });
  }, 180_000);

  it('lose nothing when one replica loses what it had acknowledged (R16)', () => {
    const weightsArb = fc.record({ ...faults, change: fc.constant(0), damage: rate(0.01) });
    fc.assert(fc.property(fc.noShrink(fc.integer()), fc.constantFrom(3, 5), fc.constant(0), weightsArb, run), {
      numRuns: RUNS,
    });
  }, 180_000);
});
