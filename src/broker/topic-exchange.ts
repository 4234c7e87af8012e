import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { Routable, RouteCollector } from './route-collector.ts';
import { TopicTrie } from './topic-trie.ts';
import type { BindingRecord } from './topology-records.ts';

/** Words between dots; `*` stands for one word, `#` for any number of them (AMQP 0-9-1, 3.1.3.3). */
export const topicExchangeType: ExchangeType = {
  name: 'topic',
  reads: 'routing-key',
  checkExchange: () => undefined,
  checkBinding: () => undefined,
  createBindings: () => new TopicBindings(),
};

class TopicBindings implements ExchangeBindings {
  readonly #trie = new TopicTrie();

  add(binding: BindingRecord): void {
    this.#trie.add(binding.routingKey, binding.destination);
  }

  remove(binding: BindingRecord): void {
    this.#trie.remove(binding.routingKey, binding.destination);
  }

  route(message: Routable, into: RouteCollector): void {
    this.#trie.match(message.routingKey, into);
    for (const key of message.moreRoutingKeys) this.#trie.match(key, into);
  }
}
