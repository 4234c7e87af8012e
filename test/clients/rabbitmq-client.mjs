// rabbitmq-client through the list of behaviours; the folder where it is installed is the first argument.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { runBehaviours } from './node-behaviours.mjs';

const { Connection } = createRequire(join(process.argv[2], 'package.json'))('rabbitmq-client');

async function open(url) {
  const connection = new Connection(url);
  // An error that no call waits for is the connection's.
  const failure = new Promise(resolve => {
    connection.on('error', ({ code, message }) => resolve({ code, text: message }));
  });
  return { channel: async () => adapted(await connection.acquire(), failure) };
}

const taken = raw => raw && { ...raw, properties: raw, raw };

function adapted(channel, failure) {
  let published = [];
  return {
    failure: () => failure,
    confirmSelect: () => channel.confirmSelect(),
    confirmed: async () => {
      await Promise.all(published);
      published = [];
    },
    unknown: deliveryTag => ({ raw: { deliveryTag } }),

    declareQueue: async (queue, options) => (await channel.queueDeclare({ queue, ...options })).queue,
    checkQueue: async queue => (await channel.queueDeclare({ queue, passive: true })).messageCount,
    deleteQueue: async (queue, options) => (await channel.queueDelete({ queue, ...options })).messageCount,
    purge: async queue => (await channel.queuePurge({ queue })).messageCount,
    bind: (queue, exchange, routingKey, args) => channel.queueBind({ queue, exchange, routingKey, arguments: args }),
    declareExchange: (exchange, type, options) => channel.exchangeDeclare({ exchange, type, ...options }),
    deleteExchange: (exchange, options) => channel.exchangeDelete({ exchange, ...options }),
    bindExchange: (destination, source, routingKey) => channel.exchangeBind({ destination, source, routingKey }),
    unbindExchange: (destination, source, routingKey) => channel.exchangeUnbind({ destination, source, routingKey }),

    publish: (exchange, routingKey, body, { persistent, ...options }) => {
      const sent = channel.basicPublish({ exchange, routingKey, durable: persistent, ...options }, Buffer.from(body));
      sent.catch(() => {});
      published.push(sent);
    },
    get: async queue => taken(await channel.basicGet({ queue })),
    prefetch: prefetchCount => channel.basicQos({ prefetchCount }),
    recover: () => channel.basicRecover({ requeue: true }),
    consume: async (queue, onMessage, options) =>
      (await channel.basicConsume({ queue, ...options }, raw => onMessage(taken(raw)))).consumerTag,
    cancel: consumerTag => channel.basicCancel({ consumerTag }),
    ack: ({ raw }, { multiple = false }) => channel.basicAck({ deliveryTag: raw.deliveryTag, multiple }),
    nack: ({ raw }, { requeue }) => channel.basicNack({ deliveryTag: raw.deliveryTag, requeue }),
    onReturn: listener => channel.on('basic.return', ({ replyCode }) => listener(replyCode)),
    onCancelled: listener => channel.on('basic.cancel', listener),
    txSelect: () => channel.txSelect(),
    txCommit: () => channel.txCommit(),
    txRollback: () => channel.txRollback(),
    close: () => channel.close(),
  };
}

await runBehaviours(open, process.argv.slice(3), { transactions: true });
process.exit(0);
