import { EnvelopeReader } from '../../src/cluster/transport/envelope-codec.ts';
import { CalledHandshake, CallerHandshake, type HandshakeOptions } from '../../src/cluster/transport/handshake.ts';
import { LaneWriter } from '../../src/cluster/transport/lane-writer.ts';
import { Refusals } from '../../src/cluster/transport/refusals.ts';
import {
  type Decision,
  LANES,
  type Lane,
  MESSAGE_BYTES_MAX,
  type NodeIdentity,
  type PeerAddress,
  type PeerLink,
  type StartResult,
  type Transport,
  type TransportListener,
} from '../../src/cluster/transport/transport.ts';
import { assert } from '../../src/lib/assert.ts';

const QUEUED_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Places that transports of one process listen at. Work is handed to `schedule`, once per step, and nothing else moves
 * it: a simulation decides when and in which order.
 */
export class MemoryNetwork {
  readonly schedule: (step: () => void) => void;
  readonly #listening = new Map<string, MemoryTransport>();
  readonly #waiting = new Set<() => void>();

  constructor(schedule: (step: () => void) => void = setImmediate) {
    this.schedule = schedule;
  }

  at(address: string): MemoryTransport | undefined {
    return this.#listening.get(address);
  }

  listen(address: string, transport: MemoryTransport): boolean {
    if (this.#listening.has(address)) return false;
    this.#listening.set(address, transport);
    for (const retry of [...this.#waiting]) this.schedule(retry);
    return true;
  }

  leave(address: string): void {
    this.#listening.delete(address);
  }

  /** Calls `retry` whenever somebody begins to listen, until the returned function is called. */
  onListening(retry: () => void): () => void {
    this.#waiting.add(retry);
    return () => this.#waiting.delete(retry);
  }
}

/** One end of a link. A message that is written arrives at the other end in a later step, lane by lane. */
class MemoryLink implements PeerLink {
  readonly peer: NodeIdentity;
  readonly #owner: MemoryTransport;
  readonly #network: MemoryNetwork;
  readonly #writers: Record<Lane, LaneWriter>;
  #other: MemoryLink | undefined;
  #isOpen = true;
  #isDirty = false;

  constructor(owner: MemoryTransport, peer: NodeIdentity, network: MemoryNetwork) {
    this.peer = peer;
    this.#owner = owner;
    this.#network = network;
    const writer = (lane: Lane) =>
      new LaneWriter(lane, QUEUED_BYTES_MAX, (message, done) => this.#write(lane, message.slice(), done));
    this.#writers = { control: writer('control'), log: writer('log'), clients: writer('clients') };
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  join(other: MemoryLink): void {
    this.#other = other;
  }

  send(lane: Lane, kind: number, group: number, payload: Uint8Array, more?: readonly Uint8Array[]): void {
    if (!this.#isOpen) return;
    this.#writers[lane].append(kind, group, payload, more);
    if (this.#isDirty) return;
    this.#isDirty = true;
    this.#network.schedule(() => {
      this.#isDirty = false;
      for (const dirty of LANES) if (this.#isOpen) this.#writers[dirty].flush();
    });
  }

  queuedBytes(lane: Lane): number {
    return this.#writers[lane].queuedBytes;
  }

  end(reason: string): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#owner.ended(this, reason);
    const other = this.#other;
    if (other !== undefined) this.#network.schedule(() => other.end('the link broke'));
  }

  #write(lane: Lane, message: Buffer, done: () => void): void {
    assert(message.length <= MESSAGE_BYTES_MAX, 'message above the limit');
    this.#network.schedule(() => {
      this.#other?.receive(lane, message);
      if (this.#isOpen) done();
    });
  }

  receive(lane: Lane, message: Uint8Array): void {
    if (this.#isOpen) this.#owner.received(this, lane, message);
  }
}

/** The transport's promises without sockets, for tests and simulations of what is above it. */
export class MemoryTransport implements Transport {
  readonly #network: MemoryNetwork;
  readonly #address: string;
  readonly #secret: string;
  readonly #listener: TransportListener;
  readonly #refusals: Refusals;
  readonly #peers = new Map<string, string>();
  readonly #links = new Map<string, MemoryLink>();
  readonly #mayBeGone = new Set<string>();
  readonly #stopWaiting: () => void;
  readonly #reader = new EnvelopeReader();
  #isClosed = false;

  constructor(network: MemoryNetwork, address: string, secret: string, listener: TransportListener) {
    this.#network = network;
    this.#address = address;
    this.#secret = secret;
    this.#listener = listener;
    this.#refusals = new Refusals((peer, reason) => listener.refused(peer, reason));
    this.#stopWaiting = network.onListening(() => this.#dialAll());
  }

  async start(): Promise<StartResult> {
    return this.#network.listen(this.#address, this)
      ? { ok: true, port: 0 }
      : { ok: false, code: 'port-in-use', text: `${this.#address} is in use` };
  }

  addPeer(peer: PeerAddress): void {
    this.#peers.set(peer.nodeName, peer.address);
    this.#dialLater(peer.nodeName);
  }

  removePeer(nodeName: string): void {
    this.#peers.delete(nodeName);
    this.#links.get(nodeName)?.end('the peer was removed here');
  }

  link(nodeName: string): PeerLink | undefined {
    return this.#links.get(nodeName);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopWaiting();
    if (this.#network.at(this.#address) === this) this.#network.leave(this.#address);
    for (const link of [...this.#links.values()]) link.end('the other node has closed');
  }

  ended(link: MemoryLink, reason: string): void {
    if (this.#links.get(link.peer.nodeName) === link) this.#links.delete(link.peer.nodeName);
    if (this.#isClosed) return;
    this.#mayBeGone.add(link.peer.nodeName);
    this.#listener.disconnected(link, reason);
    this.#dialLater(link.peer.nodeName);
  }

  received(link: MemoryLink, lane: Lane, message: Uint8Array): void {
    this.#reader.read(message);
    while (this.#reader.next()) {
      this.#listener.received(link, lane, this.#reader.kind, this.#reader.group, this.#reader.payload);
      if (!link.isOpen) return;
    }
    this.#listener.receivedAll(link, lane, message.length);
  }

  #dialAll(): void {
    for (const nodeName of this.#peers.keys()) this.#dial(nodeName);
  }

  #dialLater(nodeName: string): void {
    this.#network.schedule(() => this.#dial(nodeName));
  }

  /** Both sides may dial: in one process there is no crossing of calls. */
  #dial(nodeName: string): void {
    const address = this.#peers.get(nodeName);
    if (this.#isClosed || address === undefined || this.#links.has(nodeName)) return;
    const called = this.#network.at(address);
    if (called === undefined) {
      if (this.#mayBeGone.delete(nodeName)) this.#listener.processGone(nodeName);
      return;
    }
    const caller = new CallerHandshake(this.#handshakeOptions(), nodeName, address);
    const outcome = called.answer(caller, this.#address);
    if (outcome.peer === undefined) {
      this.#refusals.report(nodeName, outcome.reason);
      this.#listener.turnedAway(nodeName, outcome.reason);
      return;
    }
    const own = new MemoryLink(this, outcome.peer, this.#network);
    own.join(called.linkedBy(own, this.#listener.identity()));
    this.#linked(own);
  }

  /** Runs both sides of a handshake. */
  answer(caller: CallerHandshake, callerAddress: string): { peer: NodeIdentity } | { peer: undefined; reason: string } {
    const called = new CalledHandshake(this.#handshakeOptions(), callerAddress);
    let message: Uint8Array | undefined = caller.start();
    while (message !== undefined) {
      const answer = called.receive(message);
      if (answer.outcome?.done === 'refused') {
        this.#refusals.report(answer.outcome.peer ?? callerAddress, answer.outcome.reason);
      }
      if (answer.reply === undefined) break;
      const progress = caller.receive(answer.reply);
      if (progress.outcome?.done === 'agreed') return { peer: progress.outcome.peer };
      if (progress.outcome?.done === 'refused') {
        if (progress.reply !== undefined) {
          const told = called.receive(progress.reply).outcome;
          if (told?.done === 'refused') this.#refusals.report(told.peer ?? callerAddress, told.reason);
        }
        return { peer: undefined, reason: progress.outcome.reason };
      }
      message = progress.reply;
    }
    return { peer: undefined, reason: 'the handshake was not understood' };
  }

  linkedBy(callers: MemoryLink, caller: NodeIdentity): MemoryLink {
    this.#links.get(caller.nodeName)?.end('the other node made a new link');
    const link = new MemoryLink(this, caller, this.#network);
    link.join(callers);
    this.#peers.set(caller.nodeName, caller.address);
    this.#linked(link);
    return link;
  }

  #linked(link: MemoryLink): void {
    this.#links.set(link.peer.nodeName, link);
    this.#mayBeGone.delete(link.peer.nodeName);
    this.#refusals.forget(link.peer.nodeName);
    this.#listener.connected(link);
  }

  #handshakeOptions(): HandshakeOptions {
    return { secret: this.#secret, identity: this.#listener.identity(), decide: peer => this.#decide(peer) };
  }

  #decide(peer: NodeIdentity): Decision {
    const linked = this.#links.get(peer.nodeName)?.peer;
    if (linked !== undefined && linked.directoryId !== peer.directoryId) {
      const both = `data directories ${linked.directoryId} at ${linked.address} and ${peer.directoryId}`;
      return {
        accept: false,
        reason: `two nodes are named '${peer.nodeName}': ${both} at ${peer.address}; rename one`,
      };
    }
    return this.#listener.decide(peer);
  }
}
