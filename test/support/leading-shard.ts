import { BodyReader } from '../../src/cluster/shard/body-reader.ts';
import { ShardLeader } from '../../src/cluster/shard/shard-leader.ts';
import { assert } from '../../src/lib/assert.ts';
import { ByteWriter } from '../../src/lib/bytes.ts';
import type { NodeId, QueueId } from '../../src/lib/ids.ts';
import type { ShardEffects } from '../../src/queue/effects.ts';
import { writePayloadHeader } from '../../src/queue/entry-codec.ts';
import { ShardMachine } from '../../src/queue/shard-machine.ts';
import { ManualClock } from './manual-clock.ts';

/** One shard: its machine, the log that it applied, and whoever leads it at the moment. Nothing happens by itself. */
export class LeadingShard {
  readonly machine = new ShardMachine();
  readonly log = new Map<number, Uint8Array>();
  readonly clock = new ManualClock();
  leader: ShardLeader;
  fenced: { readonly node: NodeId; readonly through: number }[] = [];
  /** Decides what becomes of a name that is to be removed. */
  removeName: (queue: QueueId) => Promise<number> = () => new Promise(() => {});
  /** Whether `inMemory` finds bodies; otherwise they have to be loaded, which `readBodies` does. */
  areBodiesAtHand = true;
  isFull = false;
  #proposed: Uint8Array[] = [];
  #reads: (() => void)[] = [];
  #index = 0;

  constructor() {
    this.leader = this.#newLeader();
    this.leader.serve();
  }

  get index(): number {
    return this.#index;
  }

  get timeMs(): number {
    return this.clock.monotonicMs();
  }

  get hasProposals(): boolean {
    return this.#proposed.length > 0;
  }

  /** What was proposed becomes one entry, is applied, and its effects are performed. */
  commit(): ShardEffects {
    const out = new ByteWriter();
    writePayloadHeader(out, this.timeMs);
    for (const batch of this.#proposed.splice(0)) out.bytes(batch);
    const payload = out.finish();
    this.log.set(++this.#index, payload);
    const effects = this.machine.apply({ index: this.#index, term: 1 }, payload);
    this.leader.perform(effects);
    return effects;
  }

  /** Entries until nothing is proposed any more. */
  commitAll(): void {
    while (this.hasProposals) this.commit();
  }

  /** Another replica leads: what was only proposed is gone. */
  changeLeader(): void {
    this.leader.stop();
    this.#proposed = [];
    this.leader = this.#newLeader();
    this.leader.serve();
  }

  /** The bodies that were asked for are there. */
  readBodies(): void {
    for (const done of this.#reads.splice(0)) done();
  }

  #newLeader(): ShardLeader {
    return new ShardLeader({
      machine: this.machine,
      bodies: new BodyReader(
        { cacheBytesMax: 1_000 },
        {
          inMemory: entry => (this.areBodiesAtHand ? this.log.get(entry) : undefined),
          fromJournal: (entry, done) => this.#reads.push(() => done(this.log.get(entry)?.slice())),
          fromStragglers: (_part, done) => this.#reads.push(() => done(undefined)),
          lost: ({ entry }) => assert(false, () => `the body of entry ${entry} is nowhere`),
        },
      ),
      propose: batch => {
        if (this.isFull) return false;
        this.#proposed.push(batch.slice());
        return true;
      },
      fenced: () => this.fenced,
      removeName: queue => this.removeName(queue),
      timeMs: () => this.timeMs,
      after: (delayMs, callback) => this.clock.after(delayMs, callback),
    });
  }
}
