import type { Lane, NodeIdentity, PeerLink, TransportListener } from '../../src/cluster/transport/transport.ts';
import { crc32 } from '../../src/lib/crc32.ts';
import type { Random } from '../../src/lib/random.ts';
import type { Life, World } from './world.ts';

interface Place {
  readonly listener: TransportListener;
  readonly life: Life;
}

interface Frame {
  readonly kind: number;
  readonly group: number;
  readonly payload: Uint8Array;
}

/** One end of a link: lanes in order, each with delays of its own. */
class End implements PeerLink {
  readonly peer: NodeIdentity;
  readonly #network: Network;
  readonly #place: Place;
  readonly #lanes: Record<Lane, { frames: Frame[]; arrivesMs: number }>;
  other!: End;
  isOpen = true;
  /** The path between the two is cut, and nobody has noticed yet. */
  isCut = false;
  #held: (() => void)[] = [];

  constructor(network: Network, place: Place, peer: NodeIdentity) {
    this.#network = network;
    this.#place = place;
    this.peer = peer;
    const lane = () => ({ frames: [], arrivesMs: 0 });
    this.#lanes = { control: lane(), log: lane(), clients: lane() };
  }

  send(lane: Lane, kind: number, group: number, payload: Uint8Array, more: readonly Uint8Array[] = []): void {
    if (!this.isOpen || this.#place.life.isOver) return;
    const bytes = new Uint8Array(payload.length + more.reduce((sum, piece) => sum + piece.length, 0));
    bytes.set(payload);
    let at = payload.length;
    for (const piece of more) {
      bytes.set(piece, at);
      at += piece.length;
    }
    const out = this.#lanes[lane];
    out.frames.push({ kind, group, payload: bytes });
    if (out.frames.length > 1) return;
    const { world } = this.#network;
    out.arrivesMs = Math.max(out.arrivesMs, world.nowMs + this.#network.delayMs());
    world.schedule(out.arrivesMs - world.nowMs, () => this.#arrive(lane, out.frames.splice(0)));
  }

  queuedBytes(lane: Lane): number {
    return this.#lanes[lane].frames.reduce((sum, { payload }) => sum + payload.length, 0);
  }

  #arrive(lane: Lane, frames: readonly Frame[]): void {
    if (this.isCut) {
      this.#held.push(() => this.#arrive(lane, frames));
      return;
    }
    const { listener, life } = this.other.#place;
    const receive = (): void => {
      for (const { kind, group, payload } of frames) {
        if (!this.other.isOpen) return;
        this.#network.world.note(crc32(payload));
        listener.received(this.other, lane, kind, group, payload);
      }
    };
    this.#network.world.schedule(0, receive, life);
  }

  heal(): void {
    this.isCut = false;
    for (const arrive of this.#held.splice(0)) arrive();
  }

  /** Tells this side that the link is gone; what was on its way is lost. */
  close(reason: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#held = [];
    this.#network.world.schedule(0, () => this.#place.listener.disconnected(this, reason), this.#place.life);
  }
}

/** Links between the processes of a world: they can be cut, in silence at first, and come back. */
export class Network {
  readonly world: World;
  readonly #random: Random;
  readonly #places = new Map<string, Place>();
  readonly #links = new Map<string, readonly [End, End]>();
  readonly #cuts = new Set<string>();
  /** Longest delay of a message beyond the shortest. */
  delayMsMax = 1;

  constructor(world: World, random: Random) {
    this.world = world;
    this.#random = random;
  }

  delayMs(): number {
    return 0.1 + this.#random.next() * this.delayMsMax;
  }

  join(name: string, listener: TransportListener, life: Life): void {
    this.#places.set(name, { listener, life });
    for (const other of this.#places.keys()) if (other !== name) this.#tryLink(name, other);
  }

  /** The process is gone: the others notice at once, as with a connection that is reset. */
  leave(name: string): void {
    this.#places.delete(name);
    for (const [key, ends] of this.#links) {
      if (!key.split('|').includes(name)) continue;
      this.#links.delete(key);
      const isCut = this.#cuts.has(key);
      for (const end of ends) {
        this.world.schedule(isCut ? 3_000 : this.delayMs(), () => {
          end.close('the connection was reset');
          const place = this.#places.get(key.split('|').find(part => part !== name)!);
          if (!isCut && !this.#places.has(name)) {
            this.world.schedule(this.delayMs(), () => place?.listener.processGone(name), place?.life);
          }
        });
      }
    }
  }

  /** Nothing arrives any more. Both sides notice after `noticedMs`, unless it was healed before. */
  cut(a: string, b: string, noticedMs: number): void {
    const key = keyOf(a, b);
    this.#cuts.add(key);
    const ends = this.#links.get(key);
    if (ends === undefined) return;
    for (const end of ends) end.isCut = true;
    this.world.schedule(noticedMs, () => this.#noticed(key, ends));
  }

  #noticed(key: string, ends: readonly [End, End]): void {
    if (this.#links.get(key) !== ends || !this.#cuts.has(key)) return;
    this.#links.delete(key);
    for (const end of ends) end.close('no answer');
  }

  /** Nothing arrives any more at `to` from `from`. Both sides notice after `noticedMs`, unless it was healed before. */
  cutOneWay(from: string, to: string, noticedMs: number): void {
    const key = keyOf(from, to);
    const ends = this.#links.get(key);
    if (ends === undefined) return;
    this.#cuts.add(key);
    for (const end of ends) if (end.peer.nodeName === to) end.isCut = true;
    this.world.schedule(noticedMs, () => this.#noticed(key, ends));
  }

  heal(a: string, b: string): void {
    const key = keyOf(a, b);
    if (!this.#cuts.delete(key)) return;
    const ends = this.#links.get(key);
    if (ends === undefined) this.#tryLink(a, b);
    else for (const end of ends) end.heal();
  }

  /** The link breaks and is made anew: what was on its way is lost. */
  reset(a: string, b: string): void {
    const ends = this.#links.get(keyOf(a, b));
    if (ends === undefined || this.#cuts.has(keyOf(a, b))) return;
    this.#links.delete(keyOf(a, b));
    for (const end of ends) end.close('the connection was reset');
    this.#tryLink(a, b);
  }

  #tryLink(a: string, b: string): void {
    this.world.schedule(this.delayMs() * 5, () => {
      const key = keyOf(a, b);
      const [here, there] = [this.#places.get(a), this.#places.get(b)];
      if (here === undefined || there === undefined || this.#cuts.has(key) || this.#links.has(key)) return;
      if (here.life.isPaused || there.life.isPaused) {
        this.world.schedule(100, () => this.#tryLink(a, b));
        return;
      }
      const [hereId, thereId] = [here.listener.identity(), there.listener.identity()];
      const decisions = [
        [here, there.listener, hereId],
        [there, here.listener, thereId],
      ] as const;
      for (const [from, by, identity] of decisions) {
        const decision = by.decide(identity);
        if (decision.accept) continue;
        by.refused(identity.nodeName, decision.reason);
        from.listener.refused(identity.nodeName, decision.reason);
        return;
      }
      const ends = [new End(this, here, thereId), new End(this, there, hereId)] as const;
      ends[0].other = ends[1];
      ends[1].other = ends[0];
      this.#links.set(key, ends);
      this.world.schedule(0, () => here.listener.connected(ends[0]), here.life);
      this.world.schedule(0, () => there.listener.connected(ends[1]), there.life);
    });
  }
}

export const keyOf = (a: string, b: string): string => [a, b].sort().join('|');
