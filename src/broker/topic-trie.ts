import { DestinationCounts } from './destination-counts.ts';
import type { RouteCollector } from './route-collector.ts';
import type { Destination } from './topology-records.ts';

/** One word of a binding key, below the words before it. */
class TopicNode {
  readonly isHash: boolean;
  readonly words = new Map<string, TopicNode>();
  readonly destinations = new DestinationCounts();
  /** The step of a match in which this node was last taken in; each match and word has a number of its own. */
  seenInStep = 0;

  constructor(isHash: boolean) {
    this.isHash = isHash;
  }

  get isUnused(): boolean {
    return this.words.size === 0 && this.destinations.isEmpty;
  }
}

/**
 * Binding keys of a topic exchange as a trie of words. A match walks all ways through the trie at once, word by word, and
 * takes each node at most once per word: its cost is bounded by words times nodes met, also for keys with many `#`.
 */
export class TopicTrie {
  readonly #root = new TopicNode(false);
  #step = 0;

  add(bindingKey: string, destination: Destination): void {
    let node = this.#root;
    for (const word of wordsOf(bindingKey)) {
      let next = node.words.get(word);
      if (next === undefined) {
        next = new TopicNode(word === '#');
        node.words.set(word, next);
      }
      node = next;
    }
    node.destinations.add(destination);
  }

  remove(bindingKey: string, destination: Destination): void {
    const words = wordsOf(bindingKey);
    const path = [this.#root];
    for (const word of words) {
      const next = path[path.length - 1]!.words.get(word);
      if (next === undefined) return;
      path.push(next);
    }
    path[path.length - 1]!.destinations.remove(destination);
    for (let depth = words.length; depth > 0 && path[depth]!.isUnused; depth--) {
      path[depth - 1]!.words.delete(words[depth - 1]!);
    }
  }

  match(routingKey: string, into: RouteCollector): void {
    this.#step++;
    let nodes: TopicNode[] = [];
    this.#take(this.#root, nodes);
    for (const word of wordsOf(routingKey)) {
      this.#step++;
      const next: TopicNode[] = [];
      for (const node of nodes) {
        if (node.isHash) this.#take(node, next);
        // A routing key may hold `*` or `#` as plain words; the branches of these names are wildcards and no words.
        if (word !== '*' && word !== '#') this.#take(node.words.get(word), next);
        this.#take(node.words.get('*'), next);
      }
      nodes = next;
    }
    for (const node of nodes) node.destinations.addTo(into);
  }

  /** `#` stands for no word too: whoever is at a node is also at the `#` below it. */
  #take(node: TopicNode | undefined, into: TopicNode[]): void {
    for (let at = node; at !== undefined && at.seenInStep !== this.#step; at = at.words.get('#')) {
      at.seenInStep = this.#step;
      into.push(at);
    }
  }
}

/** The empty key has no words, as in RabbitMQ: `#` matches it, `*` does not. */
function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.');
}
