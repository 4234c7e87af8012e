import type { PeerLink } from '../../src/cluster/transport/transport.ts';
import { groupId, incarnation, type NodeId } from '../../src/lib/ids.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Frame } from './packet.ts';
import type { Statistics } from './statistics.ts';
import type { World } from './world.ts';

/** A stream on which nothing arrives for so long is given up. */
const STALL_MS = 2_000;
const RETRY_MS = 50;
const REDIAL_MS = { min: 20, max: 200 };

export interface StreamPort {
  isUp(node: NodeId): boolean;
  isCut(from: NodeId, to: NodeId): boolean;
  /** Nothing arrives before this time. */
  cloggedUntilMs(from: NodeId, to: NodeId): number;
  /** How long the next packet takes. */
  delayMs(from: NodeId, to: NodeId): number;
  deliver(from: NodeId, to: NodeId, frame: Frame): void;
  connected(node: NodeId, peer: NodeId): void;
  disconnected(node: NodeId, peer: NodeId): void;
}

interface Connection {
  readonly low: NodeId;
  readonly high: NodeId;
  /** Counts the lives of the connection; undefined while there is none. */
  epoch: number;
  isOpen: boolean;
  /** Per direction, in order: `false` is low to high. */
  readonly queues: Map<boolean, { readonly frame: Frame; readonly arrivalMs: number }[]>;
}

/**
 * One connection per pair of nodes with ordered streams in both directions, as TCP gives them: nothing is lost or repeated while the
 * connection lives; when it ends, what was under way is lost and both sides are told.
 */
export class SimStreams {
  readonly #world: World;
  readonly #port: StreamPort;
  readonly #statistics: Statistics;
  readonly #random: Random;
  readonly #connections = new Map<number, Connection>();
  /** Probability per packet that the connection ends with it. */
  #breakRate: number;

  constructor(world: World, breakRate: number | undefined, statistics: Statistics, port: StreamPort) {
    this.#world = world;
    this.#port = port;
    this.#statistics = statistics;
    this.#random = world.random('streams');
    this.#breakRate = breakRate ?? 0;
  }

  /** Names one life of the connection between two nodes; undefined while there is none. */
  epochOf(node: NodeId, peer: NodeId): number | undefined {
    const connection = this.#connection(node, peer);
    return connection.isOpen ? connection.epoch : undefined;
  }

  /** The present connection as the transport shows it to `node`; undefined while there is none. */
  link(node: NodeId, peer: NodeId): PeerLink | undefined {
    const connection = this.#connection(node, peer);
    if (!connection.isOpen) return undefined;
    const { epoch } = connection;
    const isOpen = (): boolean => connection.isOpen && connection.epoch === epoch;
    return {
      peer: identityOf(peer),
      get isOpen() {
        return isOpen();
      },
      send: (_lane, kind, group, payload, more = []) => {
        if (isOpen())
          this.#send(connection, node, peer, { kind, group: groupId(group), payload: concatenate([payload, ...more]) });
      },
      queuedBytes: () => 0,
    };
  }

  #send(connection: Connection, from: NodeId, to: NodeId, frame: Frame): void {
    if (this.#breakRate > 0 && this.#random.next() < this.#breakRate) {
      this.breakLink(from, to);
      return;
    }
    const queue = connection.queues.get(from < to)!;
    const arrivalMs = Math.max(this.#world.nowMs + this.#port.delayMs(from, to), queue.at(-1)?.arrivalMs ?? 0);
    queue.push({ frame, arrivalMs });
    if (queue.length === 1) this.#schedule(connection, from, to, arrivalMs - this.#world.nowMs);
  }

  /** The connection of two nodes ends, with what was under way. */
  breakLink(node: NodeId, peer: NodeId): void {
    const connection = this.#connection(node, peer);
    if (!connection.isOpen) return;
    this.#statistics.linksBroken++;
    this.#break(connection);
  }

  /** A node went away: the others notice within `delayMs`. */
  nodeDown(node: NodeId, delayMs: number): void {
    for (const connection of this.#connections.values()) {
      if (connection.low !== node && connection.high !== node) continue;
      const { epoch } = connection;
      this.#world.after(this.#random.next() * delayMs, () => {
        if (connection.epoch === epoch) this.#break(connection);
      });
    }
  }

  /** A node that starts has no connections; those of its previous life end now. */
  nodeUp(node: NodeId, peers: readonly NodeId[]): void {
    for (const peer of peers) {
      if (peer === node) continue;
      const connection = this.#connection(node, peer);
      if (connection.isOpen) this.#break(connection);
      else this.#redial(connection);
    }
  }

  endFaults(): void {
    this.#breakRate = 0;
  }

  #schedule(connection: Connection, from: NodeId, to: NodeId, delayMs: number): void {
    const { epoch } = connection;
    this.#world.after(delayMs, () => {
      if (connection.isOpen && connection.epoch === epoch) this.#arrive(connection, from, to);
    });
  }

  #arrive(connection: Connection, from: NodeId, to: NodeId): void {
    const queue = connection.queues.get(from < to)!;
    const { epoch } = connection;
    const { nowMs } = this.#world;
    if (this.#port.isCut(from, to) || !this.#port.isUp(to)) {
      if (nowMs - queue[0]!.arrivalMs >= STALL_MS) this.#break(connection);
      else this.#schedule(connection, from, to, RETRY_MS);
      return;
    }
    const cloggedMs = this.#port.cloggedUntilMs(from, to) - nowMs;
    if (cloggedMs > 0) {
      this.#schedule(connection, from, to, cloggedMs);
      return;
    }
    while (queue.length > 0 && queue[0]!.arrivalMs <= nowMs) {
      const { frame } = queue.shift()!;
      this.#port.deliver(from, to, frame);
      if (!connection.isOpen || connection.epoch !== epoch) return;
    }
    if (queue.length > 0) this.#schedule(connection, from, to, queue[0]!.arrivalMs - nowMs);
  }

  #break(connection: Connection): void {
    if (connection.isOpen) {
      connection.isOpen = false;
      this.#world.log('connection n{} n{} ends', connection.low, connection.high);
      this.#port.disconnected(connection.low, connection.high);
      this.#port.disconnected(connection.high, connection.low);
    }
    connection.epoch++;
    for (const queue of connection.queues.values()) queue.length = 0;
    this.#redial(connection);
  }

  #redial(connection: Connection): void {
    const { low, high } = connection;
    const epoch = ++connection.epoch;
    const { min, max } = REDIAL_MS;
    this.#world.after(min + (max - min) * this.#random.next(), () => {
      if (connection.isOpen || connection.epoch !== epoch) return;
      const port = this.#port;
      if (!port.isUp(low) || !port.isUp(high)) return;
      if (port.isCut(low, high) || port.isCut(high, low)) {
        this.#redial(connection);
        return;
      }
      connection.isOpen = true;
      this.#world.log('connection n{} n{} is open', low, high);
      port.connected(low, high);
      port.connected(high, low);
    });
  }

  #connection(node: NodeId, peer: NodeId): Connection {
    const [low, high] = node < peer ? [node, peer] : [peer, node];
    const key = low * 1000 + high;
    let connection = this.#connections.get(key);
    if (connection === undefined) {
      connection = {
        low,
        high,
        epoch: 0,
        isOpen: false,
        queues: new Map([
          [false, []],
          [true, []],
        ]),
      };
      this.#connections.set(key, connection);
    }
    return connection;
  }
}

const identityOf = (node: NodeId): PeerLink['peer'] => ({
  nodeName: `node-${node}`,
  directoryId: `directory-${node}`,
  clusterName: 'simulated',
  clusterId: 'simulated',
  nodeId: node,
  incarnation: incarnation(1),
  isDirectoryEmpty: false,
  address: `node-${node}:1`,
  clusterState: new Uint8Array(0),
});

/** A copy: what is on the wire does not change any more. */
function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
