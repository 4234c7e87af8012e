import type { QueueId } from '../lib/ids.ts';
import type { ExchangeBindings, ExchangeType } from './exchange-type.ts';
import type { FieldTable } from './field-table.ts';
import { TopicTrie } from './topic-trie.ts';
import type { BindingRecord } from './topology-records.ts';

/** Words between dots; `*` stands for one word, `#` for any number of them (AMQP 0-9-1, 3.1.3.3). */
export const topicExchangeType: ExchangeType = {
  name: 'topic',
  reads: 'routing-key',
  checkBinding: () => undefined,
  createBindings: () => new TopicBindings(),
};

class TopicBindings implements ExchangeBindings {
  readonly #trie = new TopicTrie();

  add(binding: BindingRecord): void {
    this.#trie.add(binding.routingKey, binding.queue);
  }

  remove(binding: BindingRecord): void {
    this.#trie.remove(binding.routingKey, binding.queue);
  }

  route(routingKey: string, _headers: () => FieldTable | undefined, into: Set<QueueId>): void {
    this.#trie.match(routingKey, into);
  }
}
