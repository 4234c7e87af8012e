import { assert } from '../lib/assert.ts';
import { ByteReader } from '../lib/bytes.ts';
import type { ConsumerId, Incarnation, LogIndex, NodeId, QueueId } from '../lib/ids.ts';
import { reached } from '../lib/reached.ts';
import type { Checkpointable, CheckpointCut, CheckpointScope, Page } from '../raft/checkpoint.ts';
import type { EntryId } from '../raft/messages.ts';
import type { ApplyMeta, StateMachine } from '../raft/state-machine.ts';
import { checkoutTouched } from './checkout.ts';
import { CommandKind, type DecodedCommand, Settlement } from './commands.ts';
import { cancel, consume, get, release, setCredit } from './consumer-commands.ts';
import { NEVER } from './deadlines.ts';
import { pruneTombstones } from './deletion.ts';
import {
  type ConsumerAddress,
  type DeliveryList,
  type NamedQueue,
  type SequencedOutcome,
  ShardEffects,
} from './effects.ts';
import { addPart, dropUpload, enqueue } from './enqueue.ts';
import { type BatchHeader, PAYLOAD_FORMAT, readBatchHeader, readCommand } from './entry-codec.ts';
import { expireDue, isExpiryDue } from './expire-due.ts';
import { checkInvariants } from './invariants.ts';
import { applyLeaderCommand } from './leader-commands.ts';
import { STEP_SHARES, type StepShares } from './limits.ts';
import type { Outcome } from './outcomes.ts';
import { countQueue, deleteQueueIf, ensureQueue, purgeQueue } from './queue-commands.ts';
import { continueDrops } from './reference-drop.ts';
import { restoreState } from './restore.ts';
import type { HashMark } from './running-hash.ts';
import type { Session } from './sessions.ts';
import { continueReturns, settleRange } from './settlement.ts';
import {
  type ConsumerView,
  consumersOf,
  type LiveReferences,
  liveReferences,
  type MessageCounts,
  overview,
  type QueueCounts,
  queueCounts,
  type ShardOverview,
  unsettledAfter,
} from './shard-reading.ts';
import { ShardState } from './shard-state.ts';

/** Commands whose outcome depends on what is ready. */
const LOOK_AT_READY: ReadonlySet<CommandKind> = new Set([
  CommandKind.consume,
  CommandKind.get,
  CommandKind.purge,
  CommandKind.count,
  CommandKind.deleteQueue,
  CommandKind.cancel,
]);

/** The state machine of one shard: many queues behind one log. Pure; see `ShardEffects` for what comes out. */
export class ShardMachine implements StateMachine<ShardEffects>, Checkpointable {
  #state: ShardState;
  readonly #shares: StepShares;

  constructor(state = new ShardState(), shares = STEP_SHARES) {
    this.#state = state;
    this.#shares = shares;
  }

  /** A machine equal to the one whose pages these are; `pages` in any order, each key once. */
  static restore(pages: Iterable<Page>, at: EntryId, shares?: StepShares): ShardMachine {
    const state = restoreState(pages);
    assert(state.applied <= at.index, () => `pages of entry ${state.applied} for a checkpoint at ${at.index}`);
    return new ShardMachine(state, shares);
  }

  /** From here on this machine is what `other` was: a snapshot was installed. `other` is not used any more. */
  become(other: ShardMachine): void {
    this.#state = other.#state;
  }

  get applied(): LogIndex {
    return this.#state.applied;
  }

  get timeMs(): number {
    return this.#state.timeMs;
  }

  get version(): number {
    return this.#state.version;
  }

  /** Work is left over: the leader proposes `continue` until this is false. Kept in the state, so no leader forgets it. */
  get continuationWanted(): boolean {
    return !this.#state.pending.isEmpty || isExpiryDue(this.#state);
  }

  /** Shard time at which something here ends by itself, which the machine learns from the next entry; `NEVER` without. */
  get nextDeadlineMs(): number {
    return this.#state.deadlines.first?.atMs ?? NEVER;
  }

  /** What the leader puts into `check`; undefined before the first mark. */
  get latestMark(): HashMark | undefined {
    return this.#state.hash.marks.at(-1);
  }

  /**
   * Applies a committed entry. Its batches passed `checkBatch` before they were proposed: damage here is a broken
   * invariant. An empty payload changes nothing.
   */
  apply(meta: ApplyMeta, payload: Uint8Array): ShardEffects {
    const state = this.#state;
    assert(meta.index > state.applied, () => `entry ${meta.index} is applied behind ${state.applied}`);
    const effects = new ShardEffects();
    state.effects = effects;
    state.tracker.touch(state);
    state.tracker.touch(state.sessions);
    state.tracker.touch(state.pending);
    const previous = state.applied;
    state.applied = meta.index;
    if (payload.length > 0) this.#applyPayload(payload);
    state.hash.mixWide(state.counters.ready);
    state.hash.mixWide(state.counters.checkedOut);
    state.hash.markAt(previous, meta.index);
    effects.continuationWanted = this.continuationWanted;
    return effects;
  }

  cut(scope: CheckpointScope, at: EntryId): CheckpointCut {
    assert(at.index >= this.#state.applied, () => `a cut at ${at.index} of a state at ${this.#state.applied}`);
    return this.#state.tracker.open(scope, at, () => this.#state.pages());
  }

  /** Last sequence executed for this incarnation; undefined if it has no session here, because it is new or fenced. */
  lastSequenceOf(node: NodeId, incarnation: Incarnation): number | undefined {
    return this.#liveSession(node, incarnation)?.lastSequence;
  }

  isFenced(node: NodeId, incarnation: Incarnation): boolean {
    return this.#state.sessions.isFenced(node, incarnation);
  }

  /** Recorded outcomes with a sequence above `sequence`, ascending; the others up to the last one are default outcomes. */
  outcomesAfter(node: NodeId, incarnation: Incarnation, sequence: number): readonly SequencedOutcome[] {
    return this.#liveSession(node, incarnation)?.outcomesAfter(sequence) ?? [];
  }

  /** Ascending by consumer id. Consumers of state `queue-deleted` are still to be told. */
  consumersOf(node: NodeId, incarnation: Incarnation): ConsumerView[] {
    const session = this.#liveSession(node, incarnation);
    return session ? consumersOf(session) : [];
  }

  /**
   * What a consumer holds with a number above `number`, ascending (R25). Numbers up to its last delivery that are not
   * among them were settled or withdrawn. Undefined: the consumer is unknown.
   */
  unsettledAfter(
    node: NodeId,
    incarnation: Incarnation,
    consumer: ConsumerId,
    number: number,
  ): DeliveryList | undefined {
    const found = this.#liveSession(node, incarnation)?.consumers.get(consumer);
    return found && unsettledAfter(this.#state, found, number);
  }

  /** Deleted queues whose names group 0 still has to remove, ascending by id; the leader repeats it until `nameRemoved`. */
  pendingNameRemovals(): readonly NamedQueue[] {
    return this.#state.tombstones.pendingNameRemovals();
  }

  /** The same one by one, in no particular order: there may be tens of thousands. */
  namesToRemove(): IterableIterator<NamedQueue> {
    return this.#state.tombstones.named();
  }

  isNameRemovalPending(queue: QueueId): boolean {
    return this.#state.tombstones.isNamed(queue);
  }

  /** Live references whose entry is in [fromIndex, toIndex], in pieces; entries may be applied between two pieces. */
  liveReferences(fromIndex: LogIndex, toIndex: LogIndex): IterableIterator<LiveReferences> {
    return liveReferences(this.#state, fromIndex, toIndex);
  }

  /** Undefined for a queue that nobody has used yet, or that is gone. */
  queueCounts(id: QueueId): QueueCounts | undefined {
    const queue = this.#state.queues.get(id);
    return queue && queueCounts(queue);
  }

  /** Of all queues together. */
  get messageCounts(): MessageCounts {
    const { ready, checkedOut } = this.#state.counters;
    return { ready, unacked: checkedOut };
  }

  /** Who takes messages from a queue with a single active consumer. */
  singleActive(id: QueueId): ConsumerAddress | undefined {
    return this.#state.queues.get(id)?.singleActive?.address;
  }

  overview(): ShardOverview {
    return overview(this.#state);
  }

  /** Recounts everything; for tests and for diagnosis. Fails by assertion. */
  checkInvariants(): void {
    checkInvariants(this.#state);
  }

  #liveSession(node: NodeId, incarnation: Incarnation): Session | undefined {
    const session = this.#state.sessions.find(node, incarnation);
    return session?.isEnded ? undefined : session;
  }

  #applyPayload(payload: Uint8Array): void {
    const state = this.#state;
    const reader = new ByteReader(payload);
    const format = reader.u8();
    assert(format === PAYLOAD_FORMAT, () => `payload of format ${format}`);
    state.timeMs = Math.max(state.timeMs, reader.f64());
    this.#beginStep();
    expireDue(state);
    while (reader.remaining > 0) {
      const end = reader.u32() + reader.position;
      this.#applyBatch(reader, end);
      this.#handOut();
    }
    this.#handOut();
  }

  /** What is left over has shares of its own: however much it is, the entry's own work begins, too. */
  #beginStep(): void {
    const state = this.#state;
    const { settlements, drops, deliveries, expiries, dueQueues } = this.#shares;
    state.settlementsLeft = settlements;
    state.dropsLeft = drops;
    continueReturns(state);
    continueDrops(state);
    state.settlementsLeft = settlements;
    state.dropsLeft = drops;
    state.deliveriesLeft = deliveries;
    state.expiriesLeft = expiries;
    state.dueQueuesLeft = dueQueues;
  }

  /** Consumers come first: what expires at once is theirs, or nobody's. */
  #handOut(): void {
    checkoutTouched(this.#state);
    expireDue(this.#state);
  }

  #applyBatch(reader: ByteReader, end: number): void {
    const header = readBatchHeader(reader);
    if (header.node === 0) {
      for (let i = 0; i < header.commandCount; i++) {
        reader.u32();
        applyLeaderCommand(this.#state, readCommand(reader, reader.u8() as CommandKind));
      }
    } else {
      const session = this.#admit(header);
      if (session) this.#executeBatch(session, header, reader);
      reader.skip(end - reader.position);
    }
    assert(reader.position === end, 'a batch of another length');
  }

  /** The session that takes this batch; undefined if it is refused (R23, R24). */
  #admit(header: BatchHeader): Session | undefined {
    const { sessions, effects } = this.#state;
    const { node, incarnation, firstSequence } = header;
    if (sessions.isFenced(node, incarnation)) {
      reached('shard.fenced-batch-refused');
      effects.refusals.push({ reason: 'fenced', node, incarnation });
      return undefined;
    }
    const known = sessions.find(node, incarnation);
    const expectedSequence = (known?.lastSequence ?? 0) + 1;
    if (firstSequence > expectedSequence) {
      reached('shard.gap-refused');
      effects.refusals.push({ reason: 'gap', node, incarnation, expectedSequence });
      return undefined;
    }
    return known ?? sessions.open(node, incarnation);
  }

  #executeBatch(session: Session, header: BatchHeader, reader: ByteReader): void {
    const state = this.#state;
    this.#noteSeen(session, header);
    const { firstSequence, commandCount } = header;
    for (let i = 0; i < commandCount; i++) {
      const end = reader.u32() + reader.position;
      const sequence = firstSequence + i;
      if (sequence > session.lastSequence) {
        session.lastSequence = sequence;
        const outcome = this.#execute(session, reader, end);
        if (outcome) session.record(sequence, outcome);
      }
      reader.skip(end - reader.position);
    }
    state.hash.mixWide(session.lastSequence);
    state.effects.answers.push({
      node: session.node,
      incarnation: session.incarnation,
      throughSequence: session.lastSequence,
      outcomes: session.outcomesAfter(firstSequence - 1),
    });
  }

  #noteSeen(session: Session, header: BatchHeader): void {
    for (const { outcome } of session.seen(header.seenThrough)) {
      if (outcome.kind === 'message' && outcome.autoSettle) this.#settleSeen(session, outcome.consumer, outcome.number);
    }
    if (header.topologyIndex <= session.topologyIndex) return;
    session.topologyIndex = header.topologyIndex;
    pruneTombstones(this.#state);
  }

  #settleSeen(session: Session, id: ConsumerId, number: number): void {
    const consumer = session.consumer(id);
    if (consumer) settleRange(this.#state, consumer, Settlement.settle, number, number);
  }

  /** Undefined is the default outcome: accepted, done. */
  #execute(session: Session, reader: ByteReader, end: number): Outcome | undefined {
    const kind = reader.u8() as CommandKind;
    switch (kind) {
      case CommandKind.enqueue:
        return enqueue(this.#state, session, reader, end);
      case CommandKind.settle:
        this.#settle(session, reader, end);
        return undefined;
      case CommandKind.part:
        return addPart(this.#state, session, reader, end);
      default:
        return this.#executeDecoded(session, readCommand(reader, kind));
    }
  }

  #settle(session: Session, reader: ByteReader, end: number): void {
    const how = reader.u8() as Settlement;
    const consumer = session.consumer(reader.u32() as ConsumerId);
    while (reader.position < end) {
      const first = reader.u48();
      const last = reader.u48();
      if (consumer) settleRange(this.#state, consumer, how, first, last);
      else this.#state.counters.ignoredSettlements++;
    }
  }

  #executeDecoded(session: Session, command: DecodedCommand): Outcome | undefined {
    const state = this.#state;
    // A consumer that waits comes before whoever asks later: what it takes is not there to be got, counted or purged. One
    // that is cancelled has first what its acknowledgements made room for.
    if (LOOK_AT_READY.has(command.kind)) this.#handOut();
    switch (command.kind) {
      case CommandKind.ensureQueue:
        return ensureQueue(state, session, command);
      case CommandKind.abandonUpload:
        dropUpload(state, session, command.upload);
        return undefined;
      case CommandKind.consume:
        return consume(state, session, command);
      case CommandKind.credit:
        setCredit(state, session, command);
        return undefined;
      case CommandKind.cancel:
        cancel(state, session, command);
        return undefined;
      case CommandKind.release:
        release(state, session, command);
        return undefined;
      case CommandKind.get:
        return get(state, session, command);
      case CommandKind.purge:
        return purgeQueue(state, command);
      case CommandKind.count:
        return countQueue(state, command);
      case CommandKind.deleteQueue:
        return deleteQueueIf(state, command);
      default:
        assert(false, () => `command ${command.kind} from a node`);
    }
  }
}
