import type { Clock } from '../lib/clock.ts';
import type { NodeId } from '../lib/ids.ts';
import { FrameKind } from './frames.ts';
import { decodeNews, encodeNews, type Shortages } from './metadata/lease-frames.ts';
import type { Peers } from './peers.ts';

export interface NodeNewsDependencies {
  readonly self: NodeId;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly own: () => Shortages;
}

/** What the nodes tell each other with each renewal of their leases, and at once when it changes. */
export class NodeNews {
  readonly #deps: NodeNewsDependencies;
  readonly #others = new Map<NodeId, Shortages & { readonly wallMs: number; readonly heardMs: number }>();
  /** What the others heard last: at full speed the next regular news may come too late. */
  #told: Shortages = { disk: false, memory: false };
  /** Asked with every publish. */
  #isAnyShortOfMemory = false;

  constructor(deps: NodeNewsDependencies) {
    this.#deps = deps;
  }

  received(from: NodeId, payload: Uint8Array): void {
    this.#others.set(from, { ...decodeNews(payload), heardMs: this.#deps.clock.monotonicMs() });
    this.#review();
  }

  tell(): void {
    const { clock, peers, own } = this.#deps;
    this.#told = own();
    const news = encodeNews(clock.wallMs(), this.#told);
    for (const node of peers.nodes()) peers.send(node, 'control', FrameKind.news, 0, news);
  }

  get isAnyShortOfMemory(): boolean {
    return this.#isAnyShortOfMemory;
  }

  tick(): void {
    this.#review();
    const { disk, memory } = this.#deps.own();
    if (disk !== this.#told.disk || memory !== this.#told.memory) this.tell();
  }

  /** Of the nodes that are linked, and this one. */
  nodesShortOf(what: keyof Shortages): NodeId[] {
    const { self, peers, own } = this.#deps;
    const others = [...this.#others].filter(([node, news]) => news[what] && peers.link(node) !== undefined);
    return [...(own()[what] ? [self] : []), ...others.map(([node]) => node)];
  }

  #review(): void {
    this.#isAnyShortOfMemory = this.nodesShortOf('memory').length > 0;
  }

  /** Wall clocks of those that are known, as of now (R28). */
  wallClocksMs(nodes: readonly NodeId[]): number[] {
    const { self, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const clocks: number[] = [];
    for (const node of nodes) {
      const news = this.#others.get(node);
      if (node === self) clocks.push(clock.wallMs());
      else if (news !== undefined) clocks.push(news.wallMs + nowMs - news.heardMs);
    }
    return clocks;
  }
}
