// Publishes ten messages over AMQP 0-9-1 and waits for their confirms. Argument: URL of a node.
import { connect } from 'amqplib';

const connection = await connect(process.argv[2] ?? 'amqp://guest:guest@127.0.0.1:5672');
const channel = await connection.createConfirmChannel();
await channel.assertQueue('hello', { durable: true });
for (let i = 1; i <= 10; i++) channel.sendToQueue('hello', Buffer.from(`message ${i}`), { persistent: true });
await channel.waitForConfirms();
console.log('all confirmed');
await connection.close();
