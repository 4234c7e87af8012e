import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadedCheckpoint } from '../../src/cluster/group/node-store.ts';
import {
  decodeChunk,
  decodeRequest,
  encodeChunk,
  encodeRequest,
  type SnapshotChunk,
} from '../../src/cluster/snapshot/snapshot-codec.ts';
import { SnapshotSink } from '../../src/cluster/snapshot/snapshot-sink.ts';
import { SnapshotSource } from '../../src/cluster/snapshot/snapshot-source.ts';
import { groupId, nodeId } from '../../src/lib/ids.ts';
import { type Random, SeededRandom } from '../../src/lib/random.ts';
import type { Page } from '../../src/raft/checkpoint.ts';
import type { Entry, SnapshotMeta } from '../../src/raft/messages.ts';
import type { Raft } from '../../src/raft/raft.ts';
import { TransferStore } from '../support/transfer-store.ts';

const group = groupId(3);
const LEADER = nodeId(1);
const FOLLOWER = nodeId(2);
const membership = { voters: [LEADER, FOLLOWER], outgoing: [], learners: [] };
const logger = { info: () => {}, warn: () => {}, error: () => {} };
const nextTurn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

interface Plan {
  readonly seed: number;
  readonly pages: number;
  readonly bodies: number;
  readonly stragglers: number;
  /** Of the bodies the follower has. */
  readonly heldShare: number;
  readonly lossShare: number;
  /** A record of another history lies where the leader has only stragglers. */
  readonly foreignRecords: boolean;
  /** One of the follower's records is damaged. */
  readonly damagedRecord: boolean;
}

/** A leader and a follower over a link that loses frames, with the parts of the core that matter to them. */
class Transfer {
  readonly random: Random;
  readonly leader = new TransferStore();
  readonly follower = new TransferStore();
  readonly pages: Page[];
  readonly source: SnapshotSource;
  readonly sink: SnapshotSink;
  readonly link: (() => void)[] = [];
  installed: LoadedCheckpoint | undefined;
  suspended = 0;
  bodiesSent = 0;
  #installing: { readonly from: typeof LEADER; readonly snapshot: SnapshotMeta } | undefined;
  #nowMs = 0;
  #cutsOpen = 0;
  #sent: SnapshotChunk | undefined;

  constructor(plan: Plan) {
    this.random = new SeededRandom(plan.seed);
    const { random } = this;
    const content = (): Uint8Array => new Uint8Array(random.integer(1, 60)).fill(random.integer(0, 255));
    this.pages = Array.from({ length: plan.pages }, (_, number) => ({
      key: { space: 0, kind: 1, number },
      bytes: content(),
    }));
    const entries: number[] = [];
    for (let i = 0; i < plan.bodies; i++) {
      const entry: Entry = { kind: 1, index: 10 + 2 * i, term: 1, payload: content() };
      this.leader.records.set(entry.index, entry);
      entries.push(entry.index);
      if (random.next() < plan.heldShare) this.follower.records.set(entry.index, entry);
    }
    for (let i = 0; i < plan.stragglers; i++) {
      const index = 11 + 2 * i;
      this.leader.stragglers.set(`${index}/0`, content());
      entries.push(index);
      const foreign = { kind: 1 as const, index, term: 9, payload: content() };
      if (plan.foreignRecords) this.follower.records.set(index, foreign);
    }
    const held = [...this.follower.records.keys()].find(index => index % 2 === 0);
    if (plan.damagedRecord && held !== undefined) {
      const entry = this.follower.records.get(held)!;
      this.follower.records.set(held, { ...entry, payload: new Uint8Array(entry.payload.length + 1) });
    }
    const self = this;
    const isLost = (): boolean => random.next() < plan.lossShare;
    this.source = new SnapshotSource(
      { group, chunkBytes: 64, pageBytes: 100, pinnedBytesMax: 1, idleMs: 1_000_000 },
      {
        driver: {
          applied: { term: 2, index: 500 },
          raft: {
            role: 'leader',
            durable: 500,
            commit: 500,
            base: { term: 2, index: 400 },
            membershipAt: () => membership,
            status: () => ({ peers: [{ peer: FOLLOWER, match: self.installed ? 500 : 0, recentlyActive: true }] }),
            snapshotStarted: (_: unknown, snapshot: SnapshotMeta) => {
              if (self.#installing !== undefined) return;
              self.#installing = { from: LEADER, snapshot };
              self.sink.begin(self.#installing);
            },
          } as unknown as Raft,
        },
        machine: { cut: (_, at) => self.#cut(at) },
        liveReferences: () => [
          {
            entries,
            positions: entries.map(() => 0),
            lengths: entries.map(() => 1),
            accounted: entries.map(() => 1),
          },
        ],
        store: this.leader,
        send: (_, chunk) => {
          const frame = encodeChunk(chunk).slice();
          this.#sent = decodeChunk(frame);
          if (!isLost()) this.link.push(() => this.sink.received(LEADER, decodeChunk(frame)));
        },
        wake: () => {},
        nextTurn,
        monotonicMs: () => this.#nowMs,
        random: random.fork('source'),
        logger,
      },
    );
    this.sink = new SnapshotSink(
      { group, chunksAhead: 3, repeatMs: 100 },
      {
        driver: {
          raft: {
            get installing() {
              return self.#installing;
            },
          } as unknown as Raft,
          switchTo: (_, generation, replaceMachine) => {
            this.follower.install(generation);
            // The answer to a request that was repeated: the leader knows that it was needed no more.
            setImmediate(() => this.sink.received(LEADER, { ...this.#sent!, bytes: undefined }));
            setImmediate(replaceMachine);
            return true;
          },
          snapshotFailed: () => {
            expect(this.follower.generationOf(), 'the switch had begun').toBe(0);
            this.#installing = undefined;
          },
        },
        checkpointer: {
          suspend: async () => void this.suspended++,
          resume: () => {
            this.suspended = 0;
          },
        },
        store: this.follower,
        committed: () => 300,
        prepare: loaded => () => {
          this.installed = loaded;
        },
        send: (_, request) => {
          const frame = encodeRequest(request).slice();
          if (!isLost()) this.link.push(() => this.source.requested(FOLLOWER, decodeRequest(frame)));
        },
        monotonicMs: () => this.#nowMs,
        logger,
      },
    );
  }

  get isOver(): boolean {
    return this.installed !== undefined && this.source.offered === undefined;
  }

  get cutsOpen(): number {
    return this.#cutsOpen;
  }

  async run(): Promise<void> {
    for (let turn = 0; turn < 20_000 && !this.isOver; turn++) {
      if (this.#installing === undefined && this.installed === undefined) this.source.wanted([FOLLOWER]);
      for (const deliver of this.link.splice(0, this.random.integer(0, 4))) deliver();
      if (this.random.next() < 0.02) {
        this.link.length = 0;
        this.sink.connected(LEADER);
      }
      this.#nowMs += 20;
      this.source.tick();
      this.sink.tick();
      await nextTurn();
    }
  }

  #cut(at: { readonly term: number; readonly index: number }) {
    this.#cutsOpen++;
    let next = 0;
    const close = (): void => {
      this.#cutsOpen--;
    };
    return {
      at,
      nextPages: () => {
        next += 2;
        return this.pages.slice(next - 2, next);
      },
      completed: close,
      abandoned: close,
    };
  }
}

const plan: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(),
  pages: fc.integer({ min: 0, max: 20 }),
  bodies: fc.integer({ min: 0, max: 30 }),
  stragglers: fc.integer({ min: 0, max: 10 }),
  heldShare: fc.constantFrom(0, 0.5, 1),
  lossShare: fc.constantFrom(0, 0.1, 0.4),
  foreignRecords: fc.boolean(),
  damagedRecord: fc.boolean(),
});

describe('a snapshot transfer over a link that loses frames and breaks', () => {
  it('ends with everything the leader has, and holds nothing afterwards', async () => {
    await fc.assert(
      fc.asyncProperty(plan, async one => {
        const transfer = new Transfer(one);
        const { leader, follower } = transfer;
        await transfer.run();
        expect(transfer.installed?.pages).toEqual(transfer.pages);
        for (const [index, entry] of leader.records) expect(follower.records.get(index)).toEqual(entry);
        for (const [key, bytes] of leader.stragglers) {
          expect(follower.stragglers.get(key)).toEqual(bytes);
          expect(follower.hasRecord(group, Number(key.split('/')[0]))).toBe(false);
        }
        expect([leader.pins, follower.pins, transfer.cutsOpen, transfer.suspended]).toEqual([0, 0, 0, 0]);
      }),
      { numRuns: 60 },
    );
  }, 30_000);
});
