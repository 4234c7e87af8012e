import { assert } from '../../lib/assert.ts';
import type { Clock } from '../../lib/clock.ts';
import type { LogIndex, NodeId, QueueId } from '../../lib/ids.ts';
import { PAYLOAD_HEADER_BYTES } from '../../queue/entry-codec.ts';
import { ShardMachine } from '../../queue/shard-machine.ts';
import type { TurnTask } from '../group/group-host.ts';
import { ProposalBuffer } from '../group/proposal-buffer.ts';
import { BodyReader } from './body-reader.ts';
import { writePayloadHead } from './payload-head.ts';
import { ShardLeader } from './shard-leader.ts';
import { ShardTime } from './shard-time.ts';
import { type SpillFile, VolatileLog } from './volatile-log.ts';

export interface VolatileShardOptions {
  readonly entryBytesMax: number;
  readonly waitingBytesMax: number;
  readonly memoryBytesMax: number;
  /** How long one turn may apply entries before the event loop goes on (R10). */
  readonly sliceMs: number;
}

export interface VolatileShardDependencies {
  readonly spill: SpillFile;
  readonly fenced: () => readonly { readonly node: NodeId; readonly through: number }[];
  readonly removeName: (queue: QueueId) => Promise<number>;
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs' | 'after'>;
  readonly wake: (shard: TurnTask) => void;
}

/**
 * The home of a node's exclusive and non-durable queues (R4): the machine of a shard behind a log in this node's memory.
 * It leads itself, for as long as the node's incarnation lives; a confirm means "in the memory of one node".
 */
export class VolatileShard implements TurnTask {
  readonly machine = new ShardMachine();
  readonly leader: ShardLeader;
  readonly #log: VolatileLog;
  readonly #proposals: ProposalBuffer;
  readonly #time: ShardTime;
  readonly #sliceMs: number;
  readonly #deps: VolatileShardDependencies;
  #isClosed = false;

  constructor(options: VolatileShardOptions, deps: VolatileShardDependencies) {
    this.#deps = deps;
    this.#sliceMs = options.sliceMs;
    this.#time = new ShardTime(deps.clock.wallMs(), deps.clock.monotonicMs());
    this.#log = new VolatileLog(options, deps.spill);
    this.#proposals = new ProposalBuffer(
      {
        entryBytesMax: options.entryBytesMax,
        waitingBytesMax: options.waitingBytesMax,
        headBytes: PAYLOAD_HEADER_BYTES,
      },
      { allocate: bytes => new Uint8Array(bytes), writeHead: writePayloadHead },
    );
    this.leader = new ShardLeader({
      machine: this.machine,
      bodies: new BodyReader(
        { cacheBytesMax: 0 },
        {
          inMemory: (entry: LogIndex) => this.#log.payload(entry),
          fromJournal: (_entry, done) => done(undefined),
          fromStragglers: (_part, done) => done(undefined),
          lost: ({ entry }) => assert(false, () => `volatile entry ${entry} is gone while messages in it live`),
        },
      ),
      propose: batch => this.#propose(batch),
      fenced: deps.fenced,
      removeName: deps.removeName,
      timeMs: () => this.#timeMs(),
      after: (delayMs, callback) => deps.clock.after(delayMs, callback),
    });
    this.leader.serve();
  }

  #timeMs(): number {
    const { clock } = this.#deps;
    return this.#time.now(clock.monotonicMs(), [clock.wallMs()], 1);
  }

  #propose(batch: Uint8Array): boolean {
    if (this.#isClosed || !this.#proposals.add(batch)) return false;
    this.#deps.wake(this);
    return true;
  }

  /** The incarnation is over: its queues are gone, with all that is in them. */
  close(): void {
    this.#isClosed = true;
    this.leader.stop();
    this.#proposals.clear();
    this.#log.close();
  }

  process(): void {
    if (this.#isClosed) return;
    const { clock } = this.#deps;
    const deadlineMs = clock.monotonicMs() + this.#sliceMs;
    while (!this.#proposals.isEmpty) {
      if (clock.monotonicMs() > deadlineMs) {
        this.#deps.wake(this);
        return;
      }
      const payload = this.#proposals.takeEntry(this.#timeMs());
      const index = this.#log.append(payload);
      const effects = this.machine.apply({ index, term: 1 }, payload);
      this.leader.perform(effects);
      this.#log.account(index, effects.bodiesAdded, effects.bodiesReleased);
    }
  }
}
