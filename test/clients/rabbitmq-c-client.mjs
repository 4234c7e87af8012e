// The tools of rabbitmq-c (amqp-publish, amqp-consume, ...) through a list of their own: arguments are three broker URLs; one
// line per behaviour on standard output.

import { spawn } from 'node:child_process';
import { behaviour, check, name, until } from './node-behaviours.mjs';

const urls = process.argv.slice(2);

/** Runs `amqp-TOOL` against one of the nodes; resolves with its output and exit status. */
function amqp(tool, args, { number = 0, input = '' } = {}) {
  const child = spawn(`amqp-${tool}`, ['-u', urls[number % urls.length], ...args]);
  const ended = { out: '', error: '' };
  child.stdout.on('data', chunk => {
    ended.out += chunk;
  });
  child.stderr.on('data', chunk => {
    ended.error += chunk;
  });
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', status => resolve({ ...ended, status }));
  });
}

async function works(tool, args, options) {
  const { out, error, status } = await amqp(tool, args, options);
  check(status === 0, `amqp-${tool}: ${status} ${error}`);
  return out;
}

await behaviour('a-declared-queue-takes-a-message-and-gives-it', async () => {
  const queue = name();
  check((await works('declare-queue', ['-q', queue, '-d'])).trim() === queue, 'another queue');
  await works('publish', ['-r', queue, '-p', '-C', 'text/plain', '-H', 'key: value', '-b', 'one']);
  const body = await until('message', async () => (await amqp('get', ['-q', queue], { number: 1 })).out);
  check(body === 'one', body);
  await works('delete-queue', ['-q', queue]);
});

await behaviour('an-empty-queue-has-the-status-of-its-own', async () => {
  const queue = name();
  await works('declare-queue', ['-q', queue]);
  check((await amqp('get', ['-q', queue])).status === 2, 'another status');
  await works('delete-queue', ['-q', queue]);
});

await behaviour('each-line-is-a-message-and-consuming-ends-at-a-count', async () => {
  const queue = name();
  await works('declare-queue', ['-q', queue, '-d']);
  await works('publish', ['-r', queue, '-l'], { input: 'a\nb\nc\nd\n' });
  const bodies = await works('consume', ['-q', queue, '-c', '3', '-p', '1', 'cat'], { number: 1 });
  check(bodies.replaceAll('\n', '') === 'abc', bodies);
  check((await works('delete-queue', ['-q', queue], { number: 2 })).trim() === '1', 'another count is deleted');
});

await behaviour('a-consumer-binds-an-exclusive-queue', async () => {
  const key = name();
  const consumed = works('consume', ['-e', 'amq.topic', '-r', `${key}.#`, '-x', '-A', '-c', '1', 'cat'], { number: 1 });
  let body;
  void consumed.then(out => {
    body = out;
  });
  await until('message', async () => {
    await works('publish', ['-e', 'amq.topic', '-r', `${key}.a.b`, '-b', 'routed']);
    return body !== undefined;
  });
  check((await consumed) === 'routed', body);
});

await behaviour('a-refusal-ends-the-tool-with-the-brokers-text', async () => {
  const queue = name();
  const missing = await amqp('get', ['-q', queue]);
  check(missing.status === 1 && missing.error.includes(`NOT_FOUND - no queue '${queue}' in vhost '/'`), missing.error);
  await works('declare-queue', ['-q', queue, '-d']);
  await works('publish', ['-r', queue, '-b', 'x']);
  await until('refusal', async () => {
    const { status, error } = await amqp('delete-queue', ['-q', queue, '-e']);
    return status === 1 && error.includes(`PRECONDITION_FAILED - queue '${queue}' in vhost '/' not empty`);
  });
  await works('delete-queue', ['-q', queue]);
});
