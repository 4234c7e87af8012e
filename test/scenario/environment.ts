import { assert } from '../../src/lib/assert.ts';
import { utf8Decode, utf8Encode } from '../../src/lib/bytes.ts';
import { type NodeId, nodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import { decodeMembership } from '../../src/raft/membership.ts';
import { type Entry, type EntryId, EntryKind, type Membership, type RaftMessage } from '../../src/raft/messages.ts';
import type { Write } from '../../src/raft/ready.ts';
import { DEFAULT_OPTIONS, Replica } from './replica.ts';

const ROUNDS_MAX = 200;

/** Always the middle, so that a reader can count ticks: every election timeout is 14 ticks, every hint's delay 1 or 2. */
const MIDDLE: Random = {
  next: () => 0.5,
  integer: (min, max) => Math.floor((min + max) / 2),
  fork: () => MIDDLE,
};

/**
 * Interprets the commands of a transcript. Messages wait in the network until they are delivered or dropped, writes wait
 * at their replica until they are processed, so that a transcript decides on every order of events.
 *
 *   group COUNT [spare COUNT] [append-bytes COUNT]
 *                                  replicas 1 to COUNT are the voters, spares know of them and are no members
 *   campaign N [leader-gone]       propose N TEXT...      read N CONTEXT      transfer N TO
 *   membership N VOTERS [LEARNERS] lists like 1,2,3
 *   tick N COUNT                   process N [COUNT]      all pending writes of N, or the COUNT oldest
 *   deliver N [from M] [drop]      what waits for N, in order
 *   power-loss N                   restarts N with what is on its disk
 *   lose-acknowledged N COUNT      the same, and its last COUNT entries were damaged there
 *   compact N   install N   peer-gone N M   peer-connected N M
 *   stabilize [N...]               process and deliver among these (all) until nothing moves; the rest waits
 *   raft-state   peers N   log N   applied N   reads N   network
 */
export class Environment {
  #replicas: Replica[] = [];
  #network: RaftMessage[] = [];
  #written = new Map<NodeId, number>();
  #output: string[] = [];

  /** One command; what it printed. */
  execute(line: string): string[] {
    this.#output = [];
    const [command, ...words] = line.split(' ');
    this.#run(command!, words);
    this.#collect(command !== 'stabilize');
    return this.#output;
  }

  #run(command: string, words: readonly string[]): void {
    const numbers = words.map(Number);
    switch (command) {
      case 'group':
        this.#create(numbers[0]!, words);
        return;
      case 'stabilize':
        this.#stabilize(numbers.length === 0 ? this.#replicas.map(each => each.id) : numbers.map(nodeId));
        return;
      case 'raft-state':
        for (const replica of this.#replicas) this.#print(describeState(replica));
        return;
      case 'network':
        for (const message of this.#network) this.#print(describeMessage(message));
        return;
    }
    const replica = this.#replica(numbers[0]!);
    this.#runAt(replica, command, words.slice(1));
    replica.run();
  }

  #runAt(replica: Replica, command: string, words: readonly string[]): void {
    const { raft } = replica;
    const numbers = words.map(Number);
    switch (command) {
      case 'campaign':
        raft.campaign(words[0] === 'leader-gone' ? 'leader-gone' : 'preferred');
        return;
      case 'propose':
        for (const word of words) this.#printProposed(raft.propose(utf8Encode(word)));
        return;
      case 'membership':
        this.#printProposed(
          raft.proposeMembership({ voters: parseIds(words[0]), outgoing: [], learners: parseIds(words[1]) }),
        );
        return;
      case 'read':
        if (!raft.readIndex(numbers[0]!)) this.#print('not the leader');
        return;
      case 'transfer':
        if (!raft.transferLeadership(nodeId(numbers[0]!))) this.#print('refused');
        return;
      case 'tick':
        for (let count = numbers[0]!; count > 0; count--) raft.tick();
        return;
      case 'process':
        for (let count = numbers[0] ?? replica.writes.length; count > 0; count--) replica.completeWrite();
        return;
      case 'deliver':
        this.#deliver(replica, words);
        return;
      case 'power-loss':
        this.#written.delete(replica.id);
        replica.restart();
        return;
      case 'lose-acknowledged':
        this.#written.delete(replica.id);
        replica.restartDamaged(numbers[0]!);
        return;
      case 'compact':
        replica.compact();
        return;
      case 'install':
        this.#install(replica);
        return;
      case 'peer-gone':
        raft.peerGone(nodeId(numbers[0]!));
        return;
      case 'peer-connected':
        raft.peerConnected(nodeId(numbers[0]!));
        return;
      default:
        this.#show(replica, command);
        return;
    }
  }

  #show(replica: Replica, what: string): void {
    switch (what) {
      case 'peers':
        for (const { peer, state, match, next } of replica.raft.status().peers) {
          this.#print(`${peer}: ${state} match=${match} next=${next}`);
        }
        return;
      case 'log':
        this.#print(`base ${describeId(replica.raft.base)}`);
        for (const entry of replica.durableLog) this.#print(describeEntry(entry));
        return;
      case 'applied':
        this.#print(replica.state.join(' ') || '(nothing)');
        return;
      case 'reads':
        for (const { context, index } of replica.reads) this.#print(`read ${context} at index ${index}`);
        return;
      default:
        assert(false, `unknown command ${what}`);
    }
  }

  #create(voters: number, words: readonly string[]): void {
    const given = (name: string, otherwise: number) => {
      return words.includes(name) ? Number(words[words.indexOf(name) + 1]) : otherwise;
    };
    const ids = Array.from({ length: voters + given('spare', 0) }, (_, at) => nodeId(at + 1));
    const membership: Membership = { voters: ids.slice(0, voters), outgoing: [], learners: [] };
    const appendBytesMax = given('append-bytes', DEFAULT_OPTIONS.appendBytesMax);
    this.#replicas = ids.map(id => new Replica({ ...DEFAULT_OPTIONS, id, appendBytesMax }, membership, MIDDLE));
  }

  #deliver(replica: Replica, words: readonly string[]): void {
    const from = words[0] === 'from' ? Number(words[1]) : undefined;
    const isDropped = words.at(-1) === 'drop';
    for (const message of this.#take(it => it.to === replica.id && (from === undefined || it.from === from))) {
      if (isDropped) {
        this.#print(`dropped ${describeMessage(message)}`);
        continue;
      }
      replica.raft.step(message);
    }
  }

  #install(replica: Replica): void {
    const from = replica.raft.installing?.from;
    const installed = from !== undefined && replica.installFrom(this.#replica(from));
    this.#print(installed ? `installed ${describeId(replica.raft.base)}` : 'not installed');
  }

  #stabilize(ids: readonly NodeId[]): void {
    const has = (id: NodeId) => ids.includes(id);
    for (let round = 0; round < ROUNDS_MAX; round++) {
      const messages = this.#take(it => has(it.from) && has(it.to));
      for (const message of messages) {
        const replica = this.#replica(message.to);
        replica.raft.step(message);
        replica.run();
      }
      let moved = messages.length > 0;
      for (const id of ids) {
        const replica = this.#replica(id);
        moved ||= replica.writes.length > 0;
        replica.completeWrites();
      }
      this.#collect(false);
      if (!moved) return;
    }
    assert(false, 'nothing became stable');
  }

  /** New messages go to the network; new writes and messages are printed if asked for. */
  #collect(isPrinted: boolean): void {
    for (const replica of this.#replicas) {
      const seen = this.#written.get(replica.id) ?? 0;
      for (const write of replica.writes) {
        if (write.number <= seen) continue;
        this.#written.set(replica.id, write.number);
        if (isPrinted) this.#print(`${replica.id} ${describeWrite(write)}`);
      }
      for (const message of replica.outbox.splice(0)) {
        this.#network.push(message);
        if (isPrinted) this.#print(describeMessage(message));
      }
    }
  }

  #take(wanted: (message: RaftMessage) => boolean): RaftMessage[] {
    const taken = this.#network.filter(wanted);
    this.#network = this.#network.filter(message => !wanted(message));
    return taken;
  }

  #replica(id: number): Replica {
    const replica = this.#replicas[id - 1];
    assert(replica !== undefined, () => `no replica ${id}`);
    return replica;
  }

  #printProposed(result: ReturnType<Replica['raft']['propose']>): void {
    if (!result.proposed) this.#print(`not proposed, leader ${result.leader ?? '-'}`);
  }

  #print(line: string): void {
    this.#output.push(line);
  }
}

function parseIds(list: string | undefined): NodeId[] {
  return list === undefined ? [] : list.split(',').map(id => nodeId(Number(id)));
}

const describeId = ({ term, index }: EntryId): string => `${index}:${term}`;

function describeState({ raft }: Replica): string {
  const { id, role, term, vote, leader, commit, last, damaged, membership } = raft.status();
  const known = leader === undefined ? '-' : leader;
  return [
    `${id}: ${role.padEnd(13)} term=${term} vote=${vote ?? '-'} leader=${known} commit=${commit}`,
    `last=${describeId(last)}`,
    describeMembership(membership),
    damaged ? 'damaged' : '',
  ]
    .filter(part => part !== '')
    .join(' ');
}

function describeMembership({ voters, outgoing, learners }: Membership): string {
  const both = outgoing.length === 0 ? '' : `&${outgoing.join(',')}`;
  const extra = learners.length === 0 ? '' : ` learners=${learners.join(',')}`;
  return `voters=${voters.join(',')}${both}${extra}`;
}

function describeEntry(entry: Entry): string {
  const membership = entry.kind === EntryKind.configuration ? decodeMembership(entry.payload) : undefined;
  const content = membership === undefined ? utf8Decode(entry.payload) : describeMembership(membership);
  return `${describeId(entry)} ${content === '' ? '(empty)' : content}`;
}

const describeEntries = (entries: readonly Entry[]): string =>
  entries.length === 0 ? 'nothing' : `[${entries.map(describeEntry).join(', ')}]`;

function describeWrite({ number, hardState, entries, release }: Write): string {
  const state = hardState === undefined ? '' : ` term=${hardState.term} vote=${hardState.vote ?? '-'}`;
  const held = release.length === 0 ? '' : ` then ${release.map(describeMessage).join('; ')}`;
  return `write ${number}:${state} ${describeEntries(entries)}${held}`;
}

function describeMessage(message: RaftMessage): string {
  return `${message.from}>${message.to} ${message.type} term=${message.term}${describeContent(message)}`;
}

function describeContent(message: RaftMessage): string {
  switch (message.type) {
    case 'vote-request':
    case 'pre-vote-request':
      return ` last=${describeId(message.last)}${message.force ? ' force' : ''}`;
    case 'vote-response':
    case 'pre-vote-response':
      return message.granted ? ' granted' : ' refused';
    case 'append-request':
      return ` after ${describeId(message.previous)} ${describeEntries(message.entries)} commit=${message.commit}`;
    case 'append-response':
      return message.accepted
        ? ` match=${message.match}`
        : ` rejected=${message.match} hint=${describeId(message.hint)}`;
    case 'heartbeat':
      return ` commit=${message.commit} round=${message.readRound}`;
    case 'heartbeat-response':
      return ` round=${message.readRound} last=${message.lastIndex}`;
    case 'snapshot-offer':
      return ` ${describeId(message.snapshot.last)}`;
    case 'snapshot-response':
      return ` ${message.installed ? 'installed' : 'failed'} match=${message.match}`;
    case 'timeout-now':
      return '';
  }
}
