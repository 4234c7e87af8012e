import { FrameKind } from '../../src/cluster/frames.ts';
import type { PeerLink } from '../../src/cluster/transport/transport.ts';
import { ByteReader, ByteWriter } from '../../src/lib/bytes.ts';
import type { LogIndex, NodeId } from '../../src/lib/ids.ts';
import type { CheckpointCut, Page } from '../../src/raft/checkpoint.ts';
import type { Entry, EntryKind, SnapshotMeta } from '../../src/raft/messages.ts';
import type { SnapshotInstall } from '../../src/raft/ready.ts';
import type { Pin } from '../../src/storage/journal-space.ts';
import type { SimReplica } from './sim-replica.ts';
import { takePages } from './sim-store.ts';

const CHUNK_BYTES_MAX = 4_096;
/** A snapshot that nobody asked for during this time is given up. */
const PINNED_MS = 10_000;
const REQUEST_TIMEOUT_MS = 1_500;
const SLICE_PAUSE_MS = 0.1;

interface Pinned {
  readonly snapshot: SnapshotMeta;
  readonly items: readonly Uint8Array[];
  readonly pin: Pin;
  usedMs: number;
}

/** What a snapshot consists of: the machine's pages, and the entries with messages that are alive in it. */
export interface ReceivedSnapshot {
  readonly pages: readonly Page[];
  readonly bodies: readonly Entry[];
}

/** The leader's half of snapshot transfers (R17): pages of a cut and the bodies they refer to, kept while peers pull them. */
export class SnapshotSource {
  readonly #replica: SimReplica;
  #pinned: Pinned | undefined;
  #cut: CheckpointCut | undefined;
  #peers: NodeId[] = [];

  constructor(replica: SimReplica) {
    this.#replica = replica;
  }

  /** A machine has one cut of its whole state at a time. */
  get isCutting(): boolean {
    return this.#cut !== undefined;
  }

  /** Offers the snapshot that is there, or begins a new one. */
  wanted(peers: readonly NodeId[]): void {
    this.#expire();
    for (const peer of peers) if (!this.#peers.includes(peer)) this.#peers.push(peer);
    const { raft } = this.#replica;
    if (this.#pinned !== undefined && this.#pinned.snapshot.last.index >= raft.base.index) this.#offer();
    else if (this.#cut === undefined) this.#begin();
  }

  /** Answers a request with one chunk: the items from `item` on. An empty one says that the snapshot is gone. */
  serve(link: PeerLink, payload: Uint8Array): void {
    const { index, item } = decodeRequest(payload);
    const pinned = this.#pinned;
    const out = new ByteWriter();
    const isHere = pinned !== undefined && pinned.snapshot.last.index === index;
    out.u48(index);
    out.u32(item);
    out.u32(isHere ? pinned.items.length : 0);
    if (isHere) {
      pinned.usedMs = this.#nowMs;
      for (let i = item; i < pinned.items.length && out.length < CHUNK_BYTES_MAX; i++) out.block(pinned.items[i]!);
    }
    link.send('log', FrameKind.snapshotChunk, this.#replica.group, out.finish());
  }

  stop(): void {
    this.#cut?.abandoned();
    this.#cut = undefined;
    this.#release();
  }

  get #nowMs(): number {
    return this.#replica.node.cluster.world.nowMs;
  }

  #begin(): void {
    const replica = this.#replica;
    const { node, raft, machine } = replica;
    this.#release();
    const last = replica.applied;
    const snapshot = { last, membership: raft.membershipAt(last.index) };
    const indexes = new Set<LogIndex>();
    for (const { entries } of machine.liveReferences(0, last.index)) for (const entry of entries) indexes.add(entry);
    const pin = node.disk.journal.space.pin(replica.group);
    const cut = machine.cut('all', last);
    this.#cut = cut;
    const pause = (next: () => void): void => node.cluster.world.after(SLICE_PAUSE_MS, node.entry(next));
    takePages(cut, node.cluster.swarm.limits.pageBytesMax, pause, pages => {
      if (this.#cut !== cut) {
        node.disk.journal.space.unpin(pin);
        return;
      }
      cut.completed();
      this.#cut = undefined;
      const bodies = [...indexes].sort((a, b) => a - b).map(index => replica.entryAt(index));
      this.#pinned = {
        snapshot,
        items: [...pages.map(encodePage), ...bodies.map(encodeBody)],
        pin,
        usedMs: this.#nowMs,
      };
      this.#offer();
    });
  }

  #offer(): void {
    const peers = this.#peers;
    this.#peers = [];
    for (const peer of peers) this.#replica.raft.snapshotStarted(peer, this.#pinned!.snapshot);
    this.#replica.wake();
  }

  #expire(): void {
    if (this.#pinned !== undefined && this.#nowMs - this.#pinned.usedMs > PINNED_MS) this.#release();
  }

  #release(): void {
    if (this.#pinned !== undefined) this.#replica.node.disk.journal.space.unpin(this.#pinned.pin);
    this.#pinned = undefined;
  }
}

/** The follower's half: pulls chunk by chunk, begins again at the same place when the connection broke. */
export class SnapshotSink {
  readonly #replica: SimReplica;
  #install: SnapshotInstall | undefined;
  #items: Uint8Array[] = [];
  #requests = 0;

  constructor(replica: SimReplica) {
    this.#replica = replica;
  }

  begin(install: SnapshotInstall): void {
    this.#install = install;
    this.#items = [];
    this.#request();
  }

  receive(from: NodeId, payload: Uint8Array): void {
    const install = this.#install;
    const reader = new ByteReader(payload);
    const [index, first, count] = [reader.u48(), reader.u32(), reader.u32()];
    if (install === undefined || install.from !== from || install.snapshot.last.index !== index) return;
    if (this.#replica.raft.installing?.snapshot !== install.snapshot) {
      this.#install = undefined;
      return;
    }
    if (count === 0) {
      this.#install = undefined;
      this.#replica.snapshotFailed();
      return;
    }
    if (first !== this.#items.length) return;
    while (reader.remaining > 0) this.#items.push(reader.block().slice());
    if (this.#items.length < count) {
      this.#request();
      return;
    }
    this.#install = undefined;
    this.#replica.installSnapshot(install.snapshot, decodeItems(this.#items));
  }

  /** Asks for what follows; again after a while if nothing comes. */
  #request(): void {
    const install = this.#install;
    if (install === undefined) return;
    const { node, group } = this.#replica;
    const { world, streams } = node.cluster;
    const payload = encodeRequest(install.snapshot.last.index, this.#items.length);
    streams.link(node.id, install.from)?.send('log', FrameKind.snapshotRequest, group, payload);
    const request = ++this.#requests;
    const again = (): void => {
      if (this.#requests === request && this.#replica.raft.installing?.snapshot === install.snapshot) this.#request();
    };
    world.after(REQUEST_TIMEOUT_MS, node.entry(again));
  }
}

const PAGE = 1;
const BODY = 2;

function encodePage({ key, bytes }: Page): Uint8Array {
  const out = new ByteWriter();
  out.u8(PAGE);
  out.u48(key.space);
  out.u8(key.kind);
  out.u32(key.number);
  out.bytes(bytes!);
  return out.finish();
}

function encodeBody({ index, term, kind, payload }: Entry): Uint8Array {
  const out = new ByteWriter();
  out.u8(BODY);
  out.u48(index);
  out.u48(term);
  out.u8(kind);
  out.bytes(payload);
  return out.finish();
}

function decodeItems(items: readonly Uint8Array[]): ReceivedSnapshot {
  const pages: Page[] = [];
  const bodies: Entry[] = [];
  for (const item of items) {
    const reader = new ByteReader(item);
    if (reader.u8() === PAGE) {
      const key = { space: reader.u48(), kind: reader.u8(), number: reader.u32() };
      pages.push({ key, bytes: reader.bytes(reader.remaining) });
    } else {
      const [index, term, kind] = [reader.u48(), reader.u48(), reader.u8() as EntryKind];
      bodies.push({ index, term, kind, payload: reader.bytes(reader.remaining) });
    }
  }
  return { pages, bodies };
}

function encodeRequest(index: LogIndex, item: number): Uint8Array {
  const out = new ByteWriter(16);
  out.u48(index);
  out.u32(item);
  return out.finish();
}

function decodeRequest(payload: Uint8Array): { readonly index: LogIndex; readonly item: number } {
  const reader = new ByteReader(payload);
  return { index: reader.u48(), item: reader.u32() };
}
