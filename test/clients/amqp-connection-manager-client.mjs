// amqp-connection-manager over the death of the node that it is connected to: the arguments are the folder where it is
// installed and three broker URLs. `kill N` on standard output asks for kill -9 of a node.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { behaviour, check, name, until } from './node-behaviours.mjs';

const [folder, ...urls] = process.argv.slice(2);
const { connect } = createRequire(join(folder, 'package.json'))('amqp-connection-manager');
const RECOVERY_MS = 60_000;

/** What was on its way when the connection broke is rejected; its sender does not know, and sends it again. */
const confirmed = (channel, queue, body) =>
  until('confirm', () =>
    channel.sendToQueue(queue, Buffer.from(body), { persistent: true }).then(
      () => true,
      () => false,
    ),
  );

await behaviour('a-channel-goes-on-after-its-node-was-killed', async () => {
  const queue = name();
  const connection = connect(urls, { heartbeatIntervalInSeconds: 2, reconnectTimeInSeconds: 1 });
  let connectedTo;
  let connects = 0;
  connection.on('connect', ({ url }) => {
    connects++;
    connectedTo = typeof url === 'string' ? url : url.url;
  });
  const received = new Set();
  const channel = connection.createChannel({ setup: each => each.assertQueue(queue, { durable: true }) });
  const publish = async (first, end) => {
    for (let i = first; i < end; i++) await confirmed(channel, queue, `${i}`);
  };
  await channel.consume(queue, message => {
    received.add(`${message.content}`);
    channel.ack(message);
  });
  await channel.waitForConnect();
  await publish(0, 50);
  console.log(`kill ${urls.indexOf(connectedTo)}`);
  // What is published while there is no connection waits in the library until there is one again.
  await publish(50, 100);
  await until('second connection', () => connects >= 2, RECOVERY_MS);
  await publish(100, 150);
  await until('150 messages', () => received.size === 150, RECOVERY_MS);
  check(received.size === 150, `${received.size}`);
  // The library would consume again from a queue that is gone.
  await channel.cancelAll();
  await channel.deleteQueue(queue);
  await connection.close();
});

await behaviour('exclusive-queues-and-bindings-are-set-up-again', async () => {
  const exchange = name();
  const connection = connect(urls, { heartbeatIntervalInSeconds: 2, reconnectTimeInSeconds: 1 });
  let connectedTo;
  let connects = 0;
  connection.on('connect', ({ url }) => {
    connects++;
    connectedTo = typeof url === 'string' ? url : url.url;
  });
  const received = [];
  const channel = connection.createChannel({
    setup: async each => {
      // One with auto-delete would go with the dead node's binding, perhaps between its declaration and the next line.
      await each.assertExchange(exchange, 'topic', { durable: false });
      const { queue } = await each.assertQueue('', { exclusive: true });
      await each.bindQueue(queue, exchange, 'a.#');
      await each.consume(queue, message => received.push(`${message.content}`), { noAck: true });
    },
  });
  await channel.waitForConnect();
  await channel.publish(exchange, 'a.b', Buffer.from('before'));
  await until('first message', () => received.includes('before'));
  console.log(`kill ${urls.indexOf(connectedTo)}`);
  await until('second connection', () => connects >= 2, RECOVERY_MS);
  await channel.waitForConnect();
  await channel.publish(exchange, 'a.c', Buffer.from('after'));
  await until('message after the kill', () => received.includes('after'));
  await connection.close();
});

process.exit(0);
