import { assert } from '../../lib/assert.ts';
import type { ByteReader, ByteWriter } from '../../lib/bytes.ts';
import { type Incarnation, incarnation, type NodeId, nodeId } from '../../lib/ids.ts';

/** A node name with a data directory (R9), and where it is reached as `host:port`. */
export interface Participant {
  readonly name: string;
  readonly directoryId: string;
  readonly address: string;
}

export interface MemberRecord extends Participant {
  readonly id: NodeId;
  /** Given last; 0 before the first start. */
  readonly lastIncarnation: number;
  /** Incarnations up to this one are fenced for ever (R24). */
  readonly fencedThrough: number;
  /** The participant that had this name before: its place in each group is this one's to take. */
  readonly replaces: NodeId | undefined;
  /** The participant that took over the name: this one is retired and never comes back. */
  readonly replacedBy: NodeId | undefined;
  /** The latest starts, oldest first, so that a late repeat of one does not count as another. */
  readonly starts: readonly { readonly token: string; readonly incarnation: Incarnation }[];
}

/** A repeat of a start is recognised as long as so few came after it. */
const STARTS_KEPT = 16;

export type MemberListView = Omit<MemberList, 'add' | 'replace' | 'updateAddress' | 'start' | 'fence' | 'restore'>;

/** Everybody who ever took part. Node ids ascend in the order of joining and are never given again. */
export class MemberList {
  readonly #byId = new Map<NodeId, MemberRecord>();
  readonly #byName = new Map<string, NodeId>();

  /** Ascending by id; with those that were replaced. */
  all(): MemberRecord[] {
    return [...this.#byId.values()];
  }

  /** Ascending by id; who takes part today. */
  list(): MemberRecord[] {
    return this.all().filter(member => member.replacedBy === undefined);
  }

  get(id: NodeId): MemberRecord | undefined {
    return this.#byId.get(id);
  }

  /** Who has this name today. */
  named(name: string): MemberRecord | undefined {
    const id = this.#byName.get(name);
    return id === undefined ? undefined : this.#byId.get(id);
  }

  /** The participant, also when it was replaced since. */
  participant(name: string, directoryId: string): MemberRecord | undefined {
    return this.all().find(member => member.name === name && member.directoryId === directoryId);
  }

  /** Undefined: the node has not started yet, or its last start is fenced. */
  currentIncarnation(node: NodeId): Incarnation | undefined {
    const member = this.#byId.get(node);
    if (member === undefined || member.lastIncarnation <= member.fencedThrough) return undefined;
    return incarnation(member.lastIncarnation);
  }

  /** 0: none is. */
  fencedThrough(node: NodeId): number {
    return this.#byId.get(node)?.fencedThrough ?? 0;
  }

  isCurrent(start: { readonly node: NodeId; readonly incarnation: Incarnation }): boolean {
    return this.currentIncarnation(start.node) === start.incarnation;
  }

  /** The next free id, if none is given. The name is free. */
  add(participant: Participant, id = this.#nextId()): MemberRecord {
    assert(id >= this.#nextId(), () => `node id ${id} was given before`);
    const { name, directoryId, address } = participant;
    const member: MemberRecord = {
      id,
      name,
      directoryId,
      address,
      lastIncarnation: 0,
      fencedThrough: 0,
      replaces: undefined,
      replacedBy: undefined,
      starts: [],
    };
    this.#set(member);
    return member;
  }

  /** Another data directory came with the name of `old`. */
  replace(old: MemberRecord, participant: Participant): MemberRecord {
    const member: MemberRecord = { ...this.add(participant), replaces: old.id };
    this.#set(member);
    this.#byId.set(old.id, { ...this.#byId.get(old.id)!, replacedBy: member.id });
    return member;
  }

  updateAddress(id: NodeId, address: string): void {
    this.#byId.set(id, { ...this.#byId.get(id)!, address });
  }

  /** A new incarnation, or the one that this token already got. Does not fence. */
  start(id: NodeId, token: string): Incarnation {
    const member = this.#byId.get(id)!;
    const repeated = member.starts.find(start => start.token === token);
    if (repeated !== undefined) return repeated.incarnation;
    const given = incarnation(member.lastIncarnation + 1);
    const starts = [...member.starts, { token, incarnation: given }].slice(-STARTS_KEPT);
    this.#byId.set(id, { ...member, lastIncarnation: given, starts });
    return given;
  }

  fence(id: NodeId, through: number): void {
    this.#byId.set(id, { ...this.#byId.get(id)!, fencedThrough: through });
  }

  encode(out: ByteWriter): void {
    out.u32(this.#byId.size);
    for (const member of this.#byId.values()) {
      out.u32(member.id);
      out.string(member.name);
      out.string(member.directoryId);
      out.string(member.address);
      out.u32(member.lastIncarnation);
      out.u32(member.fencedThrough);
      out.u32(member.replaces ?? 0);
      out.u32(member.replacedBy ?? 0);
      out.u8(member.starts.length);
      for (const start of member.starts) {
        out.string(start.token);
        out.u32(start.incarnation);
      }
    }
  }

  restore(reader: ByteReader): void {
    const count = reader.u32();
    for (let i = 0; i < count; i++) {
      this.#set({
        id: nodeId(reader.u32()),
        name: reader.string(),
        directoryId: reader.string(),
        address: reader.string(),
        lastIncarnation: reader.u32(),
        fencedThrough: reader.u32(),
        replaces: optionalNode(reader.u32()),
        replacedBy: optionalNode(reader.u32()),
        starts: Array.from({ length: reader.u8() }, () => ({
          token: reader.string(),
          incarnation: incarnation(reader.u32()),
        })),
      });
    }
  }

  #nextId(): NodeId {
    let last = 0;
    for (const id of this.#byId.keys()) last = id;
    return nodeId(last + 1);
  }

  #set(member: MemberRecord): void {
    this.#byId.set(member.id, member);
    if (member.replacedBy === undefined) this.#byName.set(member.name, member.id);
  }
}

const optionalNode = (id: number): NodeId | undefined => (id === 0 ? undefined : nodeId(id));
