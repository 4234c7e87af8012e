import type { AccessView } from '../broker/access/access-control.ts';
import type { LoadCount, LoadKind, NodeLoad } from '../broker/access/load.ts';
import { ByteReader, ByteWriter } from '../lib/bytes.ts';
import type { NodeId } from '../lib/ids.ts';
import { FrameKind } from './frames.ts';
import type { Peers } from './peers.ts';

/** Kinds on the wire, for ever. */
const KINDS: readonly LoadKind[] = ['vhost-connections', 'user-connections', 'user-channels'];
const FRAME_BYTES_MAX = 64 * 1024;

export interface LoadExchangeDependencies {
  readonly peers: Peers;
  readonly access: () => AccessView;
  /** What this node's clients hold now; undefined while it serves none. */
  readonly own: () => NodeLoad | undefined;
}

/**
 * The nodes tell each other how many connections and channels they have, of those vhosts and users that have a limit: with
 * each tick what has changed, and everything after a link came up or limits were set. So a limit counts the whole cluster,
 * up to one tick and the way there: of connections that come to two nodes at the same moment one too many may enter.
 */
export class LoadExchange {
  readonly #deps: LoadExchangeDependencies;
  readonly #others = new Map<NodeId, Map<string, number>>();
  /** Nodes that have to hear everything. */
  readonly #behind = new Set<NodeId>();
  #told: { readonly load: NodeLoad; readonly version: number } | undefined;

  constructor(deps: LoadExchangeDependencies) {
    this.#deps = deps;
  }

  othersCount(kind: LoadKind, name: string): number {
    let count = 0;
    for (const counts of this.#others.values()) count += counts.get(keyOf(kind, name)) ?? 0;
    return count;
  }

  connected(node: NodeId): void {
    this.#behind.add(node);
  }

  disconnected(node: NodeId): void {
    this.#behind.delete(node);
    this.#others.delete(node);
  }

  received(from: NodeId, payload: Uint8Array): void {
    const reader = new ByteReader(payload);
    const isAll = reader.u8() === 1;
    let counts = this.#others.get(from);
    if (counts === undefined || isAll) {
      counts = new Map();
      this.#others.set(from, counts);
    }
    while (reader.remaining > 0) {
      const kind = KINDS[reader.u8()];
      const name = reader.string();
      const count = reader.u32();
      if (kind === undefined) continue;
      if (count === 0) counts.delete(keyOf(kind, name));
      else counts.set(keyOf(kind, name), count);
    }
  }

  tick(): void {
    const load = this.#deps.own();
    if (load === undefined) return;
    const access = this.#deps.access();
    const changed = load.takeChanged();
    if (this.#told?.load !== load || this.#told.version !== access.version) {
      this.#told = { load, version: access.version };
      for (const node of this.#deps.peers.nodes()) this.#behind.add(node);
    }
    const news = encode(limited(changed, access), { isAll: false });
    const all = this.#behind.size > 0 ? encode(limited(load.all(), access), { isAll: true }) : [];
    for (const node of this.#deps.peers.nodes()) {
      const frames = this.#behind.delete(node) ? all : news;
      for (const frame of frames) this.#deps.peers.send(node, 'control', FrameKind.load, 0, frame);
    }
  }
}

const keyOf = (kind: LoadKind, name: string): string => `${kind}/${name}`;

function limited(counts: readonly LoadCount[], access: AccessView): LoadCount[] {
  return counts.filter(({ kind, name }) => {
    if (kind === 'vhost-connections') return access.vhost(name)?.limits.connectionsMax !== undefined;
    const limits = access.user(name)?.limits;
    return (kind === 'user-connections' ? limits?.connectionsMax : limits?.channelsMax) !== undefined;
  });
}

/** Frames of u8 whether they begin anew, then per count u8 kind, name, u32 count. Nothing to say is no frame. */
function encode(counts: readonly LoadCount[], { isAll }: { readonly isAll: boolean }): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let out: ByteWriter | undefined;
  const finish = (): void => {
    if (out !== undefined) frames.push(out.finish());
    out = undefined;
  };
  const begin = (): ByteWriter => {
    const writer = new ByteWriter(256);
    writer.u8(isAll && frames.length === 0 ? 1 : 0);
    return writer;
  };
  if (isAll) out = begin();
  for (const { kind, name, count } of counts) {
    out ??= begin();
    out.u8(KINDS.indexOf(kind));
    out.string(name);
    out.u32(count);
    if (out.length > FRAME_BYTES_MAX) finish();
  }
  finish();
  return frames;
}
