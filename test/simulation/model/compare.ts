import type { ShardEffects } from '../../../src/queue/effects.ts';
import type { Outcome } from '../../../src/queue/outcomes.ts';
import { accountedBytes } from '../../../src/queue/reference-chunks.ts';
import type { ShardMachine } from '../../../src/queue/shard-machine.ts';
import type { QueueOverview } from '../../../src/queue/shard-reading.ts';
import { type ModelConsumer, type ModelQueue, nameOf } from './model-state.ts';
import { isStream } from './model-streams.ts';
import type { Expected, ShardModel } from './shard-model.ts';

/** Where the effects of an entry are not what the model expects; undefined: nowhere. */
export function compareEffects(expected: Expected, effects: ShardEffects): string | undefined {
  const { answers, refusals, cancelled, deleted } = expected;
  return (
    compareAnswers(answers, effects.answers) ??
    compareFew('refusals', effects.refusals, refusals) ??
    compareFew('cancelled consumers', effects.consumersCancelled, cancelled) ??
    compareFew(
      'deleted queues',
      effects.queuesDeleted.map(({ id }) => id),
      deleted,
    ) ??
    (effects.divergence === undefined ? undefined : `it takes its own state at ${effects.divergence.index} for wrong`)
  );
}

/** Outcomes are rare: what has none is compared number by number. */
function compareAnswers(expected: Expected['answers'], found: Expected['answers']): string | undefined {
  const isPlainlySame =
    expected.length === found.length &&
    expected.every(({ node, incarnation, throughSequence, outcomes }, i) => {
      const other = found[i]!;
      return (
        node === other.node &&
        incarnation === other.incarnation &&
        throughSequence === other.throughSequence &&
        outcomes.length + other.outcomes.length === 0
      );
    });
  return isPlainlySame ? undefined : differs('answers', found.map(plainAnswer), expected.map(plainAnswer));
}

const compareFew = (what: string, found: readonly unknown[], expected: readonly unknown[]): string | undefined =>
  found.length + expected.length === 0 ? undefined : differs(what, found, expected);

/** Counts of the whole shard and of each queue. Cheap: for every entry. */
export function compareCounts(model: ShardModel, machine: ShardMachine): string | undefined {
  const { messages, queues, tombstones, sessions } = machine.overview();
  for (const name of Object.keys(messages) as (keyof typeof messages)[]) {
    if (messages[name] !== model.counters[name])
      return `${messages[name]} ${name}, but should be ${model.counters[name]}`;
  }
  if (queues.length !== model.queues.size) return `${queues.length} queues, but should be ${model.queues.size}`;
  for (const found of queues) {
    const queue = model.queues.get(found.id);
    if (queue === undefined) return `queue ${found.id} should not be there`;
    const wrong = compareQueue(found, queue);
    if (wrong !== undefined) return `queue ${found.id}: ${wrong}`;
  }
  if (tombstones !== model.tombstones.size) return `${tombstones} tombstones, but should be ${model.tombstones.size}`;
  return sessions === model.sessions ? undefined : `${sessions} sessions, but should be ${model.sessions}`;
}

function compareQueue(found: QueueOverview, queue: ModelQueue): string | undefined {
  const { config, ready, consumers } = queue;
  let unacked = 0;
  let consuming = 0;
  let bytes = 0;
  for (const message of ready) bytes += message.bytes;
  for (const { held, state } of consumers) {
    if (state === 'active' || state === 'waiting') consuming++;
    // Of a stream readers hold what is ready for all others.
    if (isStream(queue)) continue;
    unacked += held.size;
    for (const message of held.values()) bytes += message.bytes;
  }
  if (found.name !== config.name || found.vhost !== config.vhost) return `its name is ${found.name}`;
  if (found.ready !== ready.length) return `${found.ready} messages ready, but should be ${ready.length}`;
  if (found.unacked !== unacked) return `${found.unacked} messages held, but should be ${unacked}`;
  if (found.consumers !== consuming) return `${found.consumers} consumers, but should be ${consuming}`;
  return found.bytes === bytes ? undefined : `${found.bytes} bytes, but should be ${bytes}`;
}

/** Everything that can be asked of the machine. */
export function compareState(model: ShardModel, machine: ShardMachine): string | undefined {
  const names = machine.pendingNameRemovals().map(({ id }) => id);
  const different =
    compareCounts(model, machine) ??
    differs(
      'names to be removed',
      names,
      [...model.tombstones.named].sort((a, b) => a - b),
    );
  if (different !== undefined) return different;
  for (const session of model.members.all()) {
    const { node, incarnation, lastSequence, seenThrough } = session;
    const name = `session of node ${node}.${incarnation}`;
    const outcomes = machine.outcomesAfter(node, incarnation, seenThrough);
    const wrong =
      differs(`last sequence of the ${name}`, machine.lastSequenceOf(node, incarnation), lastSequence) ??
      differs(`outcomes of the ${name}`, outcomes.map(plainOutcome), session.outcomes.map(plainOutcome)) ??
      differs(
        `consumers of the ${name}`,
        machine.consumersOf(node, incarnation),
        [...session.consumers.values()].map(viewOf).sort((a, b) => a.consumer - b.consumer),
      );
    if (wrong !== undefined) return wrong;
    for (const consumer of session.consumers.values()) {
      const held = compareHeld(machine, consumer);
      if (held !== undefined) return held;
    }
  }
  for (const [node, through] of model.members.fenced()) {
    if (!machine.isFenced(node, through as never)) return `node ${node} was fenced through ${through}, and is not`;
    if (machine.isFenced(node, (through + 1) as never)) return `node ${node} is fenced above ${through}`;
  }
  return compareLiving(model, machine);
}

/** What a purge or a deletion has left behind is there until its bodies are released; nothing that lives is missing. */
function compareLiving(model: ShardModel, machine: ShardMachine): string | undefined {
  const [found, expected] = [livingOf(machine), livingIn(model)];
  if (!machine.continuationWanted) return differs('living bytes by entry', found, expected);
  const bytesIn = new Map(found);
  const missing = expected.find(([entry, bytes]) => (bytesIn.get(entry) ?? 0) < bytes);
  return missing && `${bytesIn.get(missing[0]) ?? 0} living bytes in entry ${missing[0]}, but should be ${missing[1]}`;
}

function compareHeld(machine: ShardMachine, consumer: ModelConsumer): string | undefined {
  const { node, incarnation } = consumer.session;
  const list = machine.unsettledAfter(node, incarnation, consumer.id, 0);
  if (list === undefined) return `${nameOf(consumer)} is unknown`;
  const found = list.numbers.map((number, i) => [number, list.entries[i], list.positions[i], list.deliveryCounts[i]]);
  const held = [...consumer.held].map(([number, { parts, attempts }]) => {
    const { entry, position } = parts[0]!;
    return [number, entry, position, attempts];
  });
  return differs(`what ${nameOf(consumer)} holds (number, entry, position, delivery count)`, found, held);
}

function viewOf(consumer: ModelConsumer) {
  const { id, queueId, tag, state, isExclusive, priority, credit, last, bytes, held, cursor } = consumer;
  const { prefetch, deliverThrough, bytesThrough } = credit;
  return {
    consumer: id,
    queue: queueId,
    tag,
    state,
    isExclusive,
    priority,
    prefetch,
    deliverThrough,
    bytesThrough,
    lastDelivery: last,
    bytesDelivered: bytes,
    unsettled: held.size,
    cursor: cursor === -1 ? undefined : cursor,
  };
}

/** Bytes by entry that messages which are alive refer to, as the machine says. */
function livingOf(machine: ShardMachine): [number, number][] {
  const living = new Map<number, number>();
  for (const { entries, accounted } of machine.liveReferences(0, Number.MAX_SAFE_INTEGER)) {
    for (const [i, entry] of entries.entries()) living.set(entry, (living.get(entry) ?? 0) + accounted[i]!);
  }
  return [...living].sort(([a], [b]) => a - b);
}

function livingIn(model: ShardModel): [number, number][] {
  const living = new Map<number, number>();
  const add = (entry: number, bytes: number): void => void living.set(entry, (living.get(entry) ?? 0) + bytes);
  const large = new Set<object>();
  for (const queue of model.queues.values()) {
    // Of a stream several may hold the same message, which may still be in it.
    const held = queue.consumers.flatMap(consumer => [...consumer.held.values()]);
    for (const message of new Set([...queue.ready, ...held])) {
      const { parts, shares } = message;
      if (parts.length === 1 && !message.isAssembled) add(parts[0]!.entry, accountedBytes(message.bytes, shares));
      else if (!large.has(parts)) for (const part of parts) add(part.entry, part.length);
      large.add(parts);
    }
  }
  for (const { uploads } of model.members.all()) {
    for (const { parts } of uploads.values()) for (const part of parts) add(part.entry, part.length);
  }
  return [...living].sort(([a], [b]) => a - b);
}

const plainAnswer = ({ node, incarnation, throughSequence, outcomes }: ShardEffects['answers'][number]) => ({
  node,
  incarnation,
  throughSequence,
  outcomes: outcomes.map(plainOutcome),
});

const plainOutcome = ({ sequence, outcome }: { readonly sequence: number; readonly outcome: Outcome }) => ({
  sequence,
  outcome,
});

/** Compares plain data; fields that are undefined do not count. */
function differs(what: string, found: unknown, expected: unknown): string | undefined {
  const [one, other] = [canonical(found), canonical(expected)];
  return one === other ? undefined : `${what}: ${one}, but should be ${other}`;
}

const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
