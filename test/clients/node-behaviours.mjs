// The list of behaviours for clients in JavaScript: one text, and for each library an adapter that says each step in the
// library's own words. Arguments are three broker URLs; one line per behaviour on standard output.

import { randomUUID } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';

const LIMIT_MS = 10_000;

export const name = () => `clients-${randomUUID()}`;

export function check(condition, text) {
  if (!condition) throw new Error(text);
}

/** Until the condition gives something. */
export async function until(what, condition, limitMs = LIMIT_MS) {
  const end = performance.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`no ${what} within ${limitMs} ms`);
    await after(10);
  }
}

export async function behaviour(title, body) {
  try {
    await body();
    console.log(`ok ${title}`);
  } catch (error) {
    const line = /-behaviours\.mjs:(\d+)/.exec(error.stack)?.[1];
    console.log(`failed ${title}: ${String(error.message ?? error).replaceAll('\n', ' ')} (line ${line})`);
  }
}

/**
 * `connect(url)` gives a connection with `channel()`. A channel that the broker closed rejects what waits with the code or its name,
 * and the text; when nothing waits, `failure()` resolves with both. Messages are `{ body, redelivered, exchange, properties, raw }`.
 */
export async function runBehaviours(connect, urls, { transactions }) {
  const open = async (number = 0) => (await connect(urls[number % urls.length])).channel();

  async function drain(channel, queue, count) {
    const messages = [];
    const tag = await channel.consume(queue, message => messages.push(message), { noAck: true });
    await until(`${count} messages`, () => messages.length >= count);
    await channel.cancel(tag);
    return messages;
  }

  async function refused(code, text, action, number = 0) {
    const channel = await open(number);
    const rejected = action(channel).then(
      () => channel.failure(),
      error => ({ code: error.code, text: error.message }),
    );
    const failure = await Promise.race([rejected, after(LIMIT_MS, { code: 0, text: 'not refused' })]);
    check(code.includes(failure.code) && failure.text.includes(text), `${failure.code} ${failure.text}`);
  }

  await behaviour('publish-through-one-node-consume-through-another', async () => {
    const queue = name();
    const channel = await open();
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    for (let i = 0; i < 50; i++) channel.publish('', queue, `${i}`, { persistent: true, mandatory: true });
    await channel.confirmed();
    const bodies = (await drain(await open(1), queue, 50)).map(({ body }) => `${body}`);
    check(
      bodies.every((body, i) => body === `${i}`),
      `order ${bodies}`,
    );
    await channel.deleteQueue(queue);
  });

  await behaviour('properties-and-headers-come-back', async () => {
    const queue = name();
    const channel = await open();
    await channel.declareQueue(queue, {});
    const headers = { text: 'é', number: 2 ** 40, true: true, list: [1, 'two'], table: { deep: 1.5 }, none: null };
    const sent = {
      contentType: 'application/octet-stream',
      contentEncoding: 'utf-8',
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      expiration: '60000',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'guest',
      appId: 'a',
    };
    channel.publish('', queue, Buffer.from([0, 255]), { ...sent, headers });
    const [{ body, properties }] = await drain(channel, queue, 1);
    check(Buffer.from([0, 255]).equals(body), `body ${body}`);
    for (const key of Object.keys(sent)) check(properties[key] === sent[key], `${key}: ${properties[key]}`);
    check(JSON.stringify(properties.headers) === JSON.stringify(headers), JSON.stringify(properties.headers));
    await channel.deleteQueue(queue);
  });

  await behaviour('an-unroutable-mandatory-message-is-returned', async () => {
    const channel = await open();
    const codes = [];
    channel.onReturn(code => codes.push(code));
    channel.publish('', name(), 'x', { mandatory: true });
    await until('return', () => codes.length === 1);
    check(codes[0] === 312, `code ${codes[0]}`);
  });

  await behaviour('a-requeued-message-is-redelivered', async () => {
    const queue = name();
    const channel = await open();
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    channel.publish('', queue, 'again', {});
    await channel.confirmed();
    const first = await channel.get(queue);
    check(!first.redelivered, 'first delivery is marked redelivered');
    channel.nack(first, { requeue: true });
    const [second] = await drain(channel, queue, 1);
    check(second.redelivered && `${second.body}` === 'again', 'after nack');
    await channel.deleteQueue(queue);
  });

  await behaviour('prefetch-bounds-what-is-unacknowledged', async () => {
    const queue = name();
    const channel = await open(1);
    await channel.declareQueue(queue, { autoDelete: true });
    for (let i = 0; i < 10; i++) channel.publish('', queue, `${i}`, {});
    await channel.prefetch(3);
    const messages = [];
    await channel.consume(queue, message => messages.push(message), {});
    for (const count of [3, 6]) {
      await until(`${count} messages`, () => messages.length >= count);
      await channel.checkQueue(queue);
      check(messages.length === count, `${messages.length} messages instead of ${count}`);
      channel.ack(messages.at(-1), { multiple: true });
    }
    await channel.deleteQueue(queue);
  });

  await behaviour('errors-have-the-codes-and-texts-that-clients-match', async () => {
    const queue = name();
    const owner = await open();
    await owner.declareQueue(queue, { durable: true });
    const NOT_FOUND = [404, 'NOT_FOUND'];
    const PRECONDITION = [406, 'PRECONDITION_FAILED'];
    await refused(NOT_FOUND, `no queue '${queue}-missing' in vhost '/'`, c => c.checkQueue(`${queue}-missing`));
    const inequivalent = `inequivalent arg 'durable' for queue '${queue}' in vhost '/'`;
    await refused(PRECONDITION, inequivalent, c => c.declareQueue(queue, {}), 1);
    const exclusive = await owner.declareQueue('', { exclusive: true });
    const locked = `cannot obtain exclusive access to locked queue '${exclusive}'`;
    await refused([405, 'RESOURCE_LOCKED'], locked, c => c.checkQueue(exclusive), 2);
    await refused([403, 'ACCESS_REFUSED'], 'amq.mine', c => c.declareQueue('amq.mine', {}));
    const unknown = async channel => channel.ack(channel.unknown(99), {});
    await refused(PRECONDITION, 'unknown delivery tag 99', unknown);
    await owner.deleteQueue(queue);
  });

  await behaviour('exchanges-route-by-their-type', async () => {
    const channel = await open();
    const queues = [
      await channel.declareQueue('', { exclusive: true }),
      await channel.declareQueue('', { exclusive: true }),
    ];
    for (const [kind, keys, routed, missed] of [
      ['direct', ['a', 'b'], 'a', 'c'],
      ['topic', ['*.x.#', 'y.#'], '1.x.2.3', '1.z'],
      ['fanout', ['', 'q'], 'any', undefined],
    ]) {
      const exchange = name();
      await channel.declareExchange(exchange, kind, { autoDelete: true });
      for (const [i, queue] of queues.entries()) await channel.bind(queue, exchange, keys[i], {});
      if (missed !== undefined) channel.publish(exchange, missed, 'missed', {});
      channel.publish(exchange, routed, kind, {});
      check(`${(await drain(channel, queues[0], 1))[0].body}` === kind, kind);
      await channel.deleteExchange(exchange, {});
    }
    const exchange = name();
    await channel.declareExchange(exchange, 'headers', { autoDelete: true });
    await channel.bind(queues[0], exchange, '', { 'x-match': 'all', a: 1, b: 'two' });
    channel.publish(exchange, '', 'no', { headers: { a: 1 } });
    channel.publish(exchange, '', 'yes', { headers: { a: 1, b: 'two', c: 3 } });
    check(`${(await drain(channel, queues[0], 1))[0].body}` === 'yes', 'headers');
  });

  await behaviour('counts-purge-and-delete', async () => {
    const queue = name();
    const publisher = await open();
    const other = await open(1);
    await publisher.confirmSelect();
    await publisher.declareQueue(queue, { durable: true });
    for (let i = 0; i < 7; i++) publisher.publish('', queue, 'x', {});
    await publisher.confirmed();
    check((await other.checkQueue(queue)) === 7, 'count');
    check((await other.purge(queue)) === 7, 'purged');
    publisher.publish('', queue, 'x', {});
    await publisher.confirmed();
    check((await other.deleteQueue(queue)) === 1, 'deleted');
  });

  await behaviour('a-consumer-hears-that-its-queue-is-gone', async () => {
    const queue = name();
    const channel = await open();
    await channel.declareQueue(queue, {});
    const cancelled = [];
    channel.onCancelled(() => cancelled.push(true));
    await channel.consume(queue, message => message === undefined && cancelled.push(true), {});
    await (await open(1)).deleteQueue(queue);
    await until('basic.cancel', () => cancelled.length > 0);
  });

  await behaviour('a-message-of-four-mebibytes-passes', async () => {
    const queue = name();
    const channel = await open();
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    const sent = Buffer.alloc(4 << 20, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
    channel.publish('', queue, sent, {});
    await channel.confirmed();
    check(sent.equals((await drain(await open(1), queue, 1))[0].body), 'another body');
    await channel.deleteQueue(queue);
  });

  await behaviour('what-a-cancelled-consumer-holds-can-be-acknowledged', async () => {
    const queue = name();
    const channel = await open(1);
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    for (let i = 0; i < 3; i++) channel.publish('', queue, `${i}`, {});
    await channel.confirmed();
    const held = [];
    const tag = await channel.consume(queue, message => held.push(message), {});
    await until('3 messages', () => held.length === 3);
    await channel.cancel(tag);
    channel.ack(held[1], {});
    channel.nack(held[2], { requeue: false });
    channel.nack(held[0], { requeue: true });
    const [message] = await drain(channel, queue, 1);
    check(message.redelivered && `${message.body}` === '0', `${message.body} came back`);
    check((await channel.deleteQueue(queue)) === 0, 'messages are left');
  });

  await behaviour('recover-brings-back-what-is-unacknowledged', async () => {
    const queue = name();
    const channel = await open();
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    channel.publish('', queue, 'again', {});
    await channel.confirmed();
    check(!(await channel.get(queue)).redelivered, 'first delivery is marked redelivered');
    await channel.recover();
    const [message] = await drain(channel, queue, 1);
    check(message.redelivered && `${message.body}` === 'again', 'after recover');
    await channel.deleteQueue(queue);
  });

  await behaviour('an-exclusive-consumer-keeps-others-out', async () => {
    const queue = name();
    const channel = await open();
    await channel.declareQueue(queue, { durable: true });
    const refusal = `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`;
    const tag = await channel.consume(queue, () => {}, { exclusive: true });
    await refused([403, 'ACCESS_REFUSED'], refusal.slice(17), c => c.consume(queue, () => {}, {}), 1);
    await channel.cancel(tag);
    await (await open(1)).consume(queue, () => {}, {});
    await refused([403, 'ACCESS_REFUSED'], refusal.slice(17), c => c.consume(queue, () => {}, { exclusive: true }), 2);
    await channel.deleteQueue(queue);
  });

  await behaviour('an-auto-delete-queue-goes-with-its-last-consumer', async () => {
    const channel = await open();
    const queue = await channel.declareQueue(name(), { autoDelete: true });
    const tags = [await channel.consume(queue, () => {}, {}), await channel.consume(queue, () => {}, {})];
    await channel.cancel(tags[0]);
    await channel.checkQueue(queue);
    await channel.cancel(tags[1]);
    await refused([404, 'NOT_FOUND'], `no queue '${queue}'`, c => c.checkQueue(queue));
  });

  await behaviour('a-queue-in-use-or-with-messages-is-not-deleted-on-condition', async () => {
    const queue = name();
    const channel = await open();
    const PRECONDITION = [406, 'PRECONDITION_FAILED'];
    await channel.confirmSelect();
    await channel.declareQueue(queue, { durable: true });
    channel.publish('', queue, 'x', {});
    await channel.confirmed();
    const place = `queue '${queue}' in vhost '/'`;
    await refused(PRECONDITION, `${place} not empty`, c => c.deleteQueue(queue, { ifEmpty: true }), 1);
    await channel.purge(queue);
    const tag = await channel.consume(queue, () => {}, {});
    await refused(PRECONDITION, `${place} in use`, c => c.deleteQueue(queue, { ifUnused: true }), 1);
    await channel.cancel(tag);
    await channel.deleteQueue(queue, { ifUnused: true, ifEmpty: true });
    const exchange = name();
    await channel.declareExchange(exchange, 'fanout', {});
    await channel.bind(await channel.declareQueue('', { exclusive: true }), exchange, '', {});
    const used = `exchange '${exchange}' in vhost '/' in use`;
    await refused(PRECONDITION, used, c => c.deleteExchange(exchange, { ifUnused: true }), 1);
    await channel.deleteExchange(exchange, {});
  });

  if (transactions) {
    await behaviour('a-transaction-is-all-or-nothing', async () => {
      const queue = name();
      const channel = await open();
      const other = await open(1);
      await channel.declareQueue(queue, { durable: true });
      await channel.txSelect();
      for (const [end, wanted] of [
        ['txRollback', 0],
        ['txCommit', 2],
      ]) {
        for (const body of ['1', '2']) channel.publish('', queue, body, {});
        check((await other.checkQueue(queue)) === 0, 'published before the commit');
        await channel[end]();
        check((await other.checkQueue(queue)) === wanted, `not ${wanted} messages`);
      }
      const message = await channel.get(queue);
      channel.ack(message, {});
      await channel.txRollback();
      channel.ack(message, {});
      await channel.txCommit();
      await channel.close();
      check((await other.deleteQueue(queue)) === 1, 'one acknowledged message stays');
    });
  }

  await behaviour('an-exchange-passes-on-to-a-bound-exchange', async () => {
    const [source, destination] = [name(), name()];
    const channel = await open();
    await channel.declareExchange(source, 'topic', {});
    await channel.declareExchange(destination, 'fanout', {});
    const queue = await channel.declareQueue('', { exclusive: true });
    await channel.bind(queue, destination, '', {});
    await channel.bindExchange(destination, source, 'a.*');
    channel.publish(source, 'b.c', 'missed', {});
    channel.publish(source, 'a.b', 'routed', {});
    const [message] = await drain(channel, queue, 1);
    check(`${message.body}` === 'routed' && message.exchange === source, `${message.body} from ${message.exchange}`);
    await channel.unbindExchange(destination, source, 'a.*');
    let returns = 0;
    channel.onReturn(() => returns++);
    channel.publish(source, 'a.b', 'x', { mandatory: true });
    await until('return', () => returns === 1);
    for (const exchange of [source, destination]) await channel.deleteExchange(exchange, {});
  });

  await behaviour('an-alternate-exchange-takes-what-has-no-route', async () => {
    const [exchange, alternate] = [name(), name()];
    const channel = await open();
    await channel.declareExchange(alternate, 'fanout', {});
    await channel.declareExchange(exchange, 'direct', { arguments: { 'alternate-exchange': alternate } });
    const queue = await channel.declareQueue('', { exclusive: true });
    await channel.bind(queue, alternate, '', {});
    channel.publish(exchange, 'nobody', 'caught', { mandatory: true });
    check(`${(await drain(channel, queue, 1))[0].body}` === 'caught', 'another message');
    for (const each of [exchange, alternate]) await channel.deleteExchange(each, {});
  });

  await behaviour('a-request-is-answered-through-direct-reply-to', async () => {
    const queue = name();
    const asking = await open();
    const serving = await open(1);
    await serving.declareQueue(queue, {});
    const answers = [];
    await asking.consume('amq.rabbitmq.reply-to', ({ body }) => answers.push(`${body}`), { noAck: true });
    asking.publish('', queue, '2', { replyTo: 'amq.rabbitmq.reply-to' });
    const [request] = await drain(serving, queue, 1);
    serving.publish('', request.properties.replyTo, `${request.body}${request.body}`, {});
    await until('answer', () => answers.length === 1);
    check(answers[0] === '22', answers[0]);
    await serving.deleteQueue(queue);
  });

  await behaviour('a-stream-is-read-from-its-first-message-twice', async () => {
    const queue = name();
    const publisher = await open();
    await publisher.confirmSelect();
    await publisher.declareQueue(queue, { durable: true, arguments: { 'x-queue-type': 'stream', 'x-max-age': '1h' } });
    for (let i = 0; i < 50; i++) publisher.publish('', queue, String(i), {});
    await publisher.confirmed();
    for (const number of [1, 2]) {
      const channel = await open(number);
      await channel.prefetch(5);
      const seen = [];
      const take = message => {
        seen.push(`${message.properties.headers['x-stream-offset']}:${message.body}:${message.redelivered}`);
        channel.ack(message, {});
      };
      await channel.consume(queue, take, { arguments: { 'x-stream-offset': 'first' } });
      await until('50 messages', () => seen.length >= 50);
      check(`${seen}` === `${Array.from({ length: 50 }, (_, i) => `${i}:${i}:false`)}`, `${seen}`);
    }
    const refusal = `consumer prefetch count is not set for 'queue '${queue}' in vhost '/''`;
    await refused([406, 'PRECONDITION_FAILED'], refusal, c => c.consume(queue, () => {}, {}));
    await publisher.deleteQueue(queue);
  });
}
