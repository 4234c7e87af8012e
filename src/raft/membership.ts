import { assert } from '../lib/assert.ts';
import { ByteReader, ByteWriter, TruncatedError } from '../lib/bytes.ts';
import { type LogIndex, type NodeId, nodeId } from '../lib/ids.ts';
import type { Membership } from './messages.ts';

const FORMAT_VERSION = 1;
const BYTES_PER_ID = 6;

/** A replica that was started to join a group and has not heard of anybody yet. */
export const NO_MEMBERS: Membership = { voters: [], outgoing: [], learners: [] };

/** The payload of a configuration entry: version, then three lists, each a u16 count and u48 ids. */
export function encodeMembership(membership: Membership): Uint8Array {
  const { voters, outgoing, learners } = membership;
  const writer = new ByteWriter(1 + 3 * 2 + BYTES_PER_ID * (voters.length + outgoing.length + learners.length));
  writer.u8(FORMAT_VERSION);
  for (const list of [voters, outgoing, learners]) {
    writer.u16(list.length);
    for (const member of list) writer.u48(member);
  }
  return writer.finish();
}

/** Undefined: not a membership that this version understands. The bytes come from a peer or from disk. */
export function decodeMembership(payload: Uint8Array): Membership | undefined {
  try {
    const reader = new ByteReader(payload);
    if (reader.u8() !== FORMAT_VERSION) return undefined;
    const membership = { voters: readIds(reader), outgoing: readIds(reader), learners: readIds(reader) };
    return reader.remaining === 0 && isValidMembership(membership) ? membership : undefined;
  } catch (error) {
    if (error instanceof TruncatedError) return undefined;
    throw error;
  }
}

function readIds(reader: ByteReader): NodeId[] {
  const ids: NodeId[] = [];
  for (let count = reader.u16(); count > 0; count--) ids.push(nodeId(reader.u48()));
  return ids;
}

/**
 * Somebody votes, lists ascend without repeats, no learner is among the incoming voters. An outgoing voter may be a
 * learner: that is how a voter is demoted, it counts in the old majority until the change is over.
 */
export function isValidMembership(membership: Membership): boolean {
  const { voters, outgoing, learners } = membership;
  if (voters.length === 0) return false;
  if (!isAscending(voters) || !isAscending(outgoing) || !isAscending(learners)) return false;
  return !learners.some(learner => voters.includes(learner));
}

function isAscending(ids: readonly NodeId[]): boolean {
  let previous = 0;
  for (const id of ids) {
    if (id <= previous) return false;
    previous = id;
  }
  return true;
}

const sameIds = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every((id, at) => id === b[at]);

export const sameMembership = (a: Membership, b: Membership): boolean =>
  sameIds(a.voters, b.voters) && sameIds(a.outgoing, b.outgoing) && sameIds(a.learners, b.learners);

/** Two majorities are needed until the leader has appended what `leaveJoint` gives (Raft 6). */
export const isJoint = (membership: Membership): boolean => membership.outgoing.length > 0;

/** Counts in elections and commits: in the incoming or the outgoing majority. */
export const isVoter = (membership: Membership, id: NodeId): boolean =>
  membership.voters.includes(id) || membership.outgoing.includes(id);

/** Everybody who receives the log, ascending. */
export function membersOf(membership: Membership): NodeId[] {
  const members = new Set([...membership.voters, ...membership.outgoing, ...membership.learners]);
  return [...members].sort((a, b) => a - b);
}

/**
 * The first step from `current` to `target`: another voter set takes effect by way of joint consensus, other learners
 * directly, since they count for nothing. Undefined where there is no such step.
 */
export function changeTowards(current: Membership, target: Membership): Membership | undefined {
  if (isJoint(current) || isJoint(target) || !isValidMembership(target)) return undefined;
  if (sameMembership(current, target)) return undefined;
  if (sameIds(current.voters, target.voters)) return target;
  return { voters: target.voters, outgoing: current.voters, learners: target.learners };
}

/** The last step of a joint change. */
export function leaveJoint(joint: Membership): Membership {
  assert(isJoint(joint), 'left a joint membership that is none');
  return { voters: joint.voters, outgoing: [], learners: joint.learners };
}

interface Change {
  readonly index: LogIndex;
  readonly membership: Membership;
}

/**
 * Which membership holds where in the log. A change is in force from its entry on, committed or not (Raft 6), and is
 * forgotten when that entry is truncated.
 */
export class MembershipHistory {
  #base: Change;
  #changes: Change[];

  constructor(base: LogIndex, membership: Membership, changes: readonly Change[]) {
    this.#base = { index: base, membership };
    this.#changes = [];
    for (const change of changes) this.append(change.index, change.membership);
  }

  /** The latest in the log, which every decision uses. */
  get current(): Membership {
    return this.#latest().membership;
  }

  /** Index of the entry that brought the current one, or of the log's base. */
  get currentIndex(): LogIndex {
    return this.#latest().index;
  }

  append(index: LogIndex, membership: Membership): void {
    assert(index > this.currentIndex, () => `membership at ${index} after the one at ${this.currentIndex}`);
    this.#changes.push({ index, membership });
  }

  truncateFrom(index: LogIndex): void {
    assert(index > this.#base.index, 'membership truncated at or below the base of the log');
    while (this.#changes.length > 0 && this.#changes.at(-1)!.index >= index) this.#changes.pop();
  }

  /** The membership in force at `index`, which is not below the base. */
  at(index: LogIndex): Membership {
    assert(index >= this.#base.index, () => `membership at ${index}, below the base ${this.#base.index}`);
    return (this.#changes.findLast(change => change.index <= index) ?? this.#base).membership;
  }

  /** Votes in the membership that holds at `commit`, or in one behind it. */
  isVoterFrom(commit: LogIndex, id: NodeId): boolean {
    return (
      isVoter(this.at(commit), id) || this.#changes.some(each => each.index > commit && isVoter(each.membership, id))
    );
  }

  compactTo(index: LogIndex): void {
    this.#base = { index, membership: this.at(index) };
    this.#changes = this.#changes.filter(change => change.index > index);
  }

  /** A snapshot takes the place of everything up to `index`; what the log holds behind it stays. */
  restore(index: LogIndex, membership: Membership): void {
    this.#base = { index, membership };
    this.#changes = this.#changes.filter(change => change.index > index);
  }

  #latest(): Change {
    return this.#changes.at(-1) ?? this.#base;
  }
}
