import { assert } from '../../src/lib/assert.ts';
import { type GroupId, groupId, type LogIndex, nodeId } from '../../src/lib/ids.ts';
import { type Random, SeededRandom } from '../../src/lib/random.ts';
import type { GroupWrite, LogBase, RecoveredGroup } from '../../src/raft/log-store.ts';
import type { Entry, HardState } from '../../src/raft/messages.ts';
import type { Journal } from '../../src/storage/journal.ts';
import { bytesAt, decodeEntryAt, type RecoveryReport, recoverJournal } from '../../src/storage/journal-recovery.ts';
import { type JournalOptions, type JournalWork, segmentFile } from '../../src/storage/journal-work.ts';
import { damageSegment } from './segment-records.ts';
import { SimulatedFiles } from './simulated-files.ts';

/** Nobody's, to fill segments. */
const FILLER = groupId(999);
const MEMBERSHIP = { voters: [nodeId(1), nodeId(2)], outgoing: [], learners: [] };

/** The machine's state that matters here: which entries hold a message that is alive. */
interface Checkpoint {
  readonly at: LogIndex;
  readonly live: ReadonlySet<LogIndex>;
}

interface ModelGroup {
  readonly id: GroupId;
  hardState: HardState;
  base: LogBase;
  /** By index; also those at or below the base, for comparing bodies. */
  entries: Map<LogIndex, Entry>;
  lastIndex: LogIndex;
  lastTerm: number;
  durableIndex: LogIndex;
  applied: LogIndex;
  live: Set<LogIndex>;
  readonly checkpoints: Map<number, Checkpoint>;
  readonly stragglers: Set<LogIndex>;
}

const describe = (group: Pick<ModelGroup, 'id' | 'hardState' | 'base' | 'entries' | 'lastIndex'>): string => {
  const { hardState, base, entries } = group;
  const log: string[] = [];
  for (let index = base.last.index + 1; index <= group.lastIndex; index++) log.push(label(entries.get(index)!));
  return `${group.id}: ${JSON.stringify(hardState)} ${JSON.stringify(base)} ${log.join(' ')}`;
};

const label = ({ term, index, kind, payload }: Entry): string =>
  `${index}@${term}/${kind}:${payload.length}:${payload[0] ?? ''}`;

/** What a message in an entry counts; the smallest counts one byte. */
const liveBytes = (group: ModelGroup, index: LogIndex): number => 1 + group.entries.get(index)!.payload.length;

/**
 * A journal on a simulated disk beside a naive picture of it, with a machine in which every other entry is a message
 * that a later entry settles. `restart` compares what recovery gives with what had been asked for.
 */
export class JournalModel {
  readonly files: SimulatedFiles;
  readonly #options: JournalOptions;
  readonly #random: Random;
  #journal: Journal;
  groups = new Map<GroupId, ModelGroup>();
  /** All states since the last acknowledged one, as text; one per record. */
  #history: { readonly text: string; readonly sequence: number }[] = [];
  /** Groups whose end is not durable yet. */
  readonly #dropped = new Map<GroupId, ModelGroup>();
  #work: JournalWork | undefined;

  constructor(seed: number, options: JournalOptions) {
    this.#random = new SeededRandom(seed);
    this.files = new SimulatedFiles(this.#random.fork('disk'));
    this.#options = options;
    this.#journal = this.#recover().journal;
    this.#history = [{ text: this.#describe(), sequence: 0 }];
    this.complete();
  }

  get journal(): Journal {
    return this.#journal;
  }

  group(id: number): ModelGroup {
    const group = groupId(id);
    let model = this.groups.get(group);
    if (model !== undefined) return model;
    if (this.#dropped.has(group)) this.complete();
    model = {
      id: group,
      hardState: { term: 0, vote: undefined, commit: 0 },
      base: { last: { term: 0, index: 0 }, membership: { voters: [], outgoing: [], learners: [] }, generation: 0 },
      entries: new Map(),
      lastIndex: 0,
      lastTerm: 0,
      durableIndex: 0,
      applied: 0,
      live: new Set(),
      checkpoints: new Map([[0, { at: 0, live: new Set() }]]),
      stragglers: new Set(),
    };
    this.groups.set(group, model);
    return model;
  }

  /** Appends entries, replacing up to `replaced` of those that were not applied. */
  append(id: number, sizes: readonly number[], replaced: number): void {
    const group = this.group(id);
    this.#note();
    const first = Math.max(group.lastIndex + 1 - replaced, group.applied + 1, group.base.last.index + 1);
    const term = first <= group.lastIndex ? group.hardState.term + 1 : Math.max(1, group.hardState.term);
    const hardState = { term, vote: nodeId(1 + (term % 3)), commit: group.applied };
    group.hardState = hardState;
    group.durableIndex = Math.min(group.durableIndex, first - 1);
    this.#note();
    const entries = sizes.map(
      (size, i): Entry => ({
        kind: 1,
        index: first + i,
        term,
        payload: new Uint8Array(size).fill(this.#random.integer(0, 255)),
      }),
    );
    for (const entry of entries) {
      group.entries.set(entry.index, entry);
      group.lastIndex = entry.index;
      group.lastTerm = term;
      this.#note();
    }
    this.#write({ group: group.id, hardState, entries, base: undefined });
  }

  /** The machine takes in entries; every second one is a message, which a later entry settles. */
  apply(id: number, count: number): void {
    const group = this.groups.get(groupId(id));
    if (group === undefined) return;
    for (let left = count; left > 0 && group.applied < group.lastIndex; left--) {
      const at = ++group.applied;
      if (at % 2 === 0) this.#enter(group, at);
      const settled = at - 1 - ((at * 7) % 23);
      if (group.live.delete(settled)) {
        this.#journal.space.releaseLive(group.id, settled, liveBytes(group, settled), at);
      }
    }
  }

  /** A durable checkpoint of what is applied and durable, then the base moves behind it. */
  checkpoint(id: number, trailing: number): void {
    const group = this.groups.get(groupId(id));
    if (group === undefined) return;
    const { generation } = group.base;
    if (group.applied > group.durableIndex || group.applied === 0) return;
    group.checkpoints.set(generation, { at: group.applied, live: new Set(group.live) });
    this.#journal.space.checkpointed(group.id, group.applied);
    const index = Math.max(group.applied - trailing, group.base.last.index);
    const term = index === group.base.last.index ? group.base.last.term : group.entries.get(index)!.term;
    this.#setBase(group, { last: { term, index }, membership: MEMBERSHIP, generation });
  }

  /** A snapshot transfer of a state that is `ahead` entries further: bodies, then the switch of generation. */
  install(id: number, ahead: number, bodies: number): void {
    const group = this.group(id);
    this.files.capacityBytes = Number.POSITIVE_INFINITY;
    this.complete();
    const generation = group.base.generation + 1;
    const term = group.hardState.term + 1;
    const index = group.lastIndex + ahead;
    const live = new Set([...group.live].filter(at => at <= group.hardState.commit));
    for (let at = Math.max(1, index - bodies + 1); at <= index; at += 2) {
      const known = at <= group.hardState.commit ? group.entries.get(at) : undefined;
      const entry: Entry = known ?? { kind: 1, index: at, term, payload: new Uint8Array(90).fill(at % 251) };
      this.#note();
      this.#journal.appendBody(group.id, generation, entry);
      group.entries.set(at, entry);
      live.add(at);
    }
    group.checkpoints.set(generation, { at: index, live });
    group.applied = index;
    group.live = live;
    this.#setBase(group, { last: { term, index }, membership: MEMBERSHIP, generation });
    group.durableIndex = index;
    this.#journal.space.resetLive(group.id);
    this.#account(group, group.checkpoints.get(generation)!);
  }

  drop(id: number): void {
    const group = this.groups.get(groupId(id));
    if (group === undefined) return;
    this.groups.delete(group.id);
    this.#dropped.set(group.id, group);
    const sequence = this.#journal.dropGroup(groupId(id));
    this.#history.push({ text: this.#describe(), sequence });
  }

  clean(): void {
    const candidate = this.#journal.space.wanted()?.candidate;
    if (candidate === undefined) return;
    for (const { group: id, first, last } of candidate.ranges) {
      const group = this.groups.get(id)!;
      for (const index of group.live) {
        const location = this.#journal.locate(id, index);
        if (index < first || index > last || location?.segment !== candidate.segment) continue;
        this.#checkBody(group, index);
        group.stragglers.add(index);
      }
    }
    this.#journal.space.cleaned(candidate);
  }

  /** Takes the next work and leaves it under way. */
  begin(): void {
    this.#work ??= this.#journal.takeWork();
  }

  idle(): void {
    this.#work ??= this.#journal.takeIdleWork();
  }

  /** Does all work there is, unless the disk is full. */
  complete(): void {
    for (this.begin(); this.#work !== undefined; this.begin()) if (!this.finish()) return;
  }

  /** Does the work under way; false if there was no room for it. */
  finish(): boolean {
    const work = this.#work;
    if (work === undefined) return true;
    this.#work = undefined;
    const done = this.files.perform(work);
    assert(done.outcome !== 'failed', 'no sync fails here');
    if (done.outcome === 'full') return this.#journal.workFull(work.number, done.at);
    this.#journal.workCompleted(work.number);
    this.#acknowledge();
    return true;
  }

  /** From now on there is room for so many more bytes. */
  limitSpace(bytes: number): void {
    this.files.capacityBytes = this.files.bytesUsed + bytes;
  }

  #acknowledge(): void {
    const through = this.#journal.durableThrough;
    const acknowledged = this.#history.findLastIndex(state => state.sequence <= through);
    this.#history = this.#history.slice(Math.max(0, acknowledged));
    if (this.#history.length > 1) return;
    for (const group of this.groups.values()) group.durableIndex = group.lastIndex;
    this.#dropped.clear();
  }

  /** Ends the process, recovers, and checks that nothing that was acknowledged is missing and nothing else is there. */
  restart(loss: 'process' | 'power'): void {
    if (this.#work !== undefined) this.files.performPartly(this.#work);
    this.#work = undefined;
    this.files.crash(loss);
    this.files.capacityBytes = Number.POSITIVE_INFINITY;
    const recovery = this.#recover();
    this.#journal = recovery.journal;
    const text = recovery.groups
      .map(group => this.#describeRecovered(group))
      .sort()
      .join('\n');
    if (!this.#history.some(state => state.text === text)) {
      throw new Error(`recovered\n${text}\nbut expected one of\n${this.#history.map(one => one.text).join('\n--\n')}`);
    }
    assert(recovery.report.damages.length === 0, () => `damages: ${recovery.report.damages.join(', ')}`);
    this.complete();
    this.#adopt(recovery.groups);
    this.#history = [{ text, sequence: 0 }];
  }

  /** Reads every living message and compares it. */
  checkBodies(): void {
    this.files.capacityBytes = Number.POSITIVE_INFINITY;
    this.complete();
    for (const group of this.groups.values()) {
      for (const index of group.live) this.#checkBody(group, index);
    }
  }

  /**
   * Ends the process in a quiet moment, damages what was acknowledged, and recovers, again and again. Each group is as it was, or is
   * marked damaged, or the damaged entry shows when it is read; or the whole journal says that it is lost. Who was found whole once
   * stays so.
   */
  checkDamage(): void {
    this.checkBodies();
    this.idle();
    this.finish();
    const segments = this.#segments();
    const first = this.#random.integer(0, segments.length - 1);
    const second = this.#random.integer(0, segments.length - 1);
    for (const which of new Set([first, second])) {
      damageSegment(this.files, segments[which]!.name, which === segments.length - 1, this.#random);
    }
    let whole: ReadonlySet<GroupId> | undefined;
    for (let restarts = 3; restarts > 0; restarts--) {
      const recovery = recoverJournal(this.files, this.#options);
      if (!recovery.recovered) return;
      this.#journal = recovery.journal;
      this.complete();
      this.#checkDamaged(recovery.groups, recovery.report);
      const isWhole = ({ group, damaged }: RecoveredGroup): boolean => this.groups.has(group) && !damaged;
      const found = new Set(recovery.groups.filter(isWhole).map(({ group }) => group));
      const worse = [...(whole ?? [])].filter(id => !found.has(id));
      assert(worse.length === 0, () => `group ${worse} was whole, and is not any more: ${recovery.report.damages}`);
      whole = found;
      this.#beginSegment();
    }
  }

  #checkDamaged(groups: readonly RecoveredGroup[], report: RecoveryReport): void {
    for (const group of this.groups.values()) {
      const recovered = groups.find(one => one.group === group.id);
      assert(recovered !== undefined || report.damages.length > 0, () => `group ${group.id} vanished silently`);
      if (recovered === undefined || recovered.damaged) continue;
      const text = this.#describeRecovered(recovered, group);
      assert(text === describe(group), () => `recovered\n${text}\nbut expected\n${describe(group)}`);
      for (const index of group.live) {
        if (group.stragglers.has(index) || !this.#journal.space.addLive(group.id, index, 1)) continue;
        const found = this.#tryRead(group.id, index);
        const expected = label(group.entries.get(index)!);
        assert(found === undefined || label(found) === expected, () => `group ${group.id}: ${index} is another`);
      }
    }
  }

  #segments(): { readonly name: string }[] {
    return this.files.list().filter(file => file.name.endsWith('.segment'));
  }

  /** By what a group of its own writes. */
  #beginSegment(): void {
    const newest = (): string | undefined => this.#segments().at(-1)?.name;
    const before = newest();
    for (let term = 1; newest() === before && term < 200; term++) {
      const hardState = { term, vote: undefined, commit: 0 };
      this.#journal.append([{ group: FILLER, hardState, entries: [], base: undefined }]);
      this.complete();
    }
  }

  #adopt(recovered: readonly RecoveredGroup[]): void {
    const groups = new Map<GroupId, ModelGroup>();
    for (const { group: id, hardState, base } of recovered) {
      const view = this.#journal.group(id)!;
      const previous = (this.groups.get(id) ?? this.#dropped.get(id))!;
      const { lastIndex, lastTerm } = view;
      const group: ModelGroup = { ...previous, hardState, base, lastIndex, lastTerm, durableIndex: lastIndex };
      groups.set(id, group);
      for (let index = base.last.index + 1; index <= lastIndex; index++)
        group.entries.set(index, this.#read(id, index));
      this.#account(group, group.checkpoints.get(base.generation)!);
    }
    this.groups = groups;
    this.#dropped.clear();
  }

  #account(group: ModelGroup, checkpoint: Checkpoint): void {
    group.live = new Set();
    group.applied = checkpoint.at;
    for (const index of checkpoint.live) this.#enter(group, index);
    this.#journal.space.checkpointed(group.id, checkpoint.at);
    this.#journal.space.accounted(group.id);
  }

  #enter(group: ModelGroup, index: LogIndex): void {
    group.live.add(index);
    const isThere = this.#journal.space.addLive(group.id, index, liveBytes(group, index));
    assert(isThere || group.stragglers.has(index), () => `group ${group.id}: the body of ${index} is gone`);
  }

  #checkBody(group: ModelGroup, index: LogIndex): void {
    if (group.stragglers.has(index) && this.#journal.locate(group.id, index) === undefined) return;
    const expected = label(group.entries.get(index)!);
    const found = label(this.#read(group.id, index));
    assert(found === expected, () => `group ${group.id}: found ${found} instead of ${expected}`);
  }

  #read(id: GroupId, index: LogIndex): Entry {
    const entry = this.#tryRead(id, index);
    assert(entry !== undefined, () => `group ${id}: ${index} is not there or damaged`);
    return entry;
  }

  #tryRead(id: GroupId, index: LogIndex): Entry | undefined {
    const location = this.#journal.locate(id, index);
    if (location === undefined) return undefined;
    const record = this.files.read(segmentFile(location.segment), location.position, bytesAt(location));
    return decodeEntryAt(location, record);
  }

  #setBase(group: ModelGroup, base: LogBase): void {
    this.#note();
    group.base = base;
    if (group.lastIndex <= base.last.index) {
      group.lastIndex = base.last.index;
      group.lastTerm = base.last.term;
    }
    this.#note();
    this.#write({ group: group.id, hardState: undefined, entries: [], base });
    if (base.generation > 0) this.complete();
  }

  #write(write: GroupWrite): void {
    const sequence = this.#journal.append([write]);
    this.#history = this.#history.map(state =>
      state.sequence === Number.POSITIVE_INFINITY ? { ...state, sequence } : state,
    );
  }

  #note(): void {
    this.#history.push({ text: this.#describe(), sequence: Number.POSITIVE_INFINITY });
  }

  #describe(): string {
    return [...this.groups.values()].map(describe).sort().join('\n');
  }

  /** `expected`: stands in for entries whose damage shows only when they are read. */
  #describeRecovered(recovered: RecoveredGroup, expected?: ModelGroup): string {
    const entries = new Map<LogIndex, Entry>();
    let lastIndex = recovered.base.last.index;
    for (const run of recovered.log) {
      for (let index = run.first; index <= run.last; index++) {
        const entry = this.#tryRead(recovered.group, index) ?? expected?.entries.get(index);
        assert(entry !== undefined, () => `group ${recovered.group}: ${index} cannot be read`);
        entries.set(index, entry);
      }
      lastIndex = run.last;
    }
    return describe({ ...recovered, id: recovered.group, entries, lastIndex });
  }

  #recover(): { journal: Journal; groups: readonly RecoveredGroup[]; report: RecoveryReport } {
    const recovery = recoverJournal(this.files, this.#options);
    assert(recovery.recovered, () => (recovery.recovered ? '' : recovery.reason));
    return recovery;
  }
}
