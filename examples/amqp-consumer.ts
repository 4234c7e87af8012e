// Prints and acknowledges what arrives in the queue `hello`, over AMQP 0-9-1. Argument: URL of a node.
import { connect } from 'amqplib';

const connection = await connect(process.argv[2] ?? 'amqp://guest:guest@127.0.0.1:5672');
const channel = await connection.createChannel();
await channel.assertQueue('hello', { durable: true });
await channel.prefetch(100);
await channel.consume('hello', message => {
  if (message === null) return;
  console.log(message.content.toString());
  channel.ack(message);
});
