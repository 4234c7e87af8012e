// amqplib through the list of behaviours. It has no transactions.

import { connect } from 'amqplib';
import { runBehaviours } from './node-behaviours.mjs';

async function open(url) {
  const connection = await connect(url);
  connection.on('error', () => {});
  return { channel: async () => new Channel(connection, await connection.createChannel()) };
}

const taken = raw =>
  raw && {
    body: raw.content,
    redelivered: raw.fields.redelivered,
    exchange: raw.fields.exchange,
    properties: raw.properties,
    raw,
  };

/** The library has two kinds of channel: asking for confirms takes another one. */
class Channel {
  #connection;
  #channel;
  #fail;
  #failure = new Promise(resolve => {
    this.#fail = error => resolve({ code: error.code, text: error.message });
  });

  constructor(connection, channel) {
    this.#connection = connection;
    this.#channel = channel.on('error', this.#fail);
  }

  async confirmSelect() {
    this.#channel = (await this.#connection.createConfirmChannel()).on('error', this.#fail);
  }
  confirmed = () => this.#channel.waitForConfirms();
  failure = () => this.#failure;
  unknown = deliveryTag => ({ raw: { fields: { deliveryTag } } });

  declareQueue = async (queue, options) =>
    (await this.#channel.assertQueue(queue, { durable: false, ...options })).queue;
  checkQueue = async queue => (await this.#channel.checkQueue(queue)).messageCount;
  deleteQueue = async (queue, options) => (await this.#channel.deleteQueue(queue, options)).messageCount;
  purge = async queue => (await this.#channel.purgeQueue(queue)).messageCount;
  bind = (queue, exchange, key, args) => this.#channel.bindQueue(queue, exchange, key, args);
  declareExchange = (exchange, type, options) =>
    this.#channel.assertExchange(exchange, type, { durable: false, ...options });
  deleteExchange = (exchange, options) => this.#channel.deleteExchange(exchange, options);
  bindExchange = (destination, source, key) => this.#channel.bindExchange(destination, source, key);
  unbindExchange = (destination, source, key) => this.#channel.unbindExchange(destination, source, key);

  publish = (exchange, key, body, options) => this.#channel.publish(exchange, key, Buffer.from(body), options);
  get = async queue => taken(await this.#channel.get(queue));
  prefetch = count => this.#channel.prefetch(count);
  recover = () => this.#channel.recover();
  consume = async (queue, onMessage, options) =>
    (await this.#channel.consume(queue, raw => onMessage(taken(raw) ?? undefined), options)).consumerTag;
  cancel = tag => this.#channel.cancel(tag);
  ack = (message, { multiple }) => this.#channel.ack(message.raw, multiple);
  nack = (message, { requeue }) => this.#channel.nack(message.raw, false, requeue);
  onReturn = listener => this.#channel.on('return', ({ fields }) => listener(fields.replyCode));
  /** A cancelled consumer is called without a message. */
  onCancelled = () => {};
}

await runBehaviours(open, process.argv.slice(2), { transactions: false });
process.exit(0);
