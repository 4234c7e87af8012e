import { describe, expect, it } from 'vitest';
import { methodBytes, readAll } from '../../support/amqp-client.ts';
import { expectTranscript, openConnection } from '../../support/amqp-transcript.ts';

describe('a channel with transactions', () => {
  it('keeps messages back until they are committed', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 tx.select
      < 1 tx.select-ok
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish routingKey=q body=one
      > 1 basic.publish routingKey=nowhere mandatory=true body=lost
      > 1 queue.declare queue=q passive=true
      < 1 queue.declare-ok queue=q
      > 1 tx.commit
      < 1 basic.return replyCode=312 replyText=NO_ROUTE routingKey=nowhere body=lost
      < 1 tx.commit-ok
      = settled
      > 1 basic.get queue=q noAck=true
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=one
      > 1 tx.commit
      < 1 tx.commit-ok
      = settled
      > 1 basic.get queue=q noAck=true
      < 1 basic.get-empty
      `,
    );
  });

  it('forgets messages that are rolled back, and those of a channel that closes', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish routingKey=q body=one
      > 1 tx.rollback
      < 1 tx.rollback-ok
      > 1 tx.commit
      < 1 tx.commit-ok
      = settled
      > 1 basic.publish routingKey=q body=two
      > 1 channel.close
      < 1 channel.close-ok
      > 1 channel.open
      < 1 channel.open-ok
      > 1 basic.get queue=q
      < 1 basic.get-empty
      `,
    );
  });

  it('keeps settlements back too, and rolls them back to unsettled', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=a
      > 1 basic.publish routingKey=q body=b
      > 1 basic.publish routingKey=q body=c
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.consume queue=q consumerTag=t
      < 1 basic.consume-ok consumerTag=t
      < 1 basic.deliver consumerTag=t deliveryTag=1 routingKey=q body=a
      < 1 basic.deliver consumerTag=t deliveryTag=2 routingKey=q body=b
      < 1 basic.deliver consumerTag=t deliveryTag=3 routingKey=q body=c
      > 1 basic.ack deliveryTag=2 multiple=true
      > 1 basic.reject deliveryTag=3
      > 1 tx.rollback
      < 1 tx.rollback-ok
      > 1 basic.ack deliveryTag=1
      > 1 basic.nack deliveryTag=3
      > 1 tx.commit
      < 1 tx.commit-ok
      = settle 1 1-1
      = discard 1 3-3
      = settled
      > 1 basic.ack deliveryTag=1
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - unknown delivery tag 1 classId=60 methodId=80
      * report PRECONDITION_FAILED - unknown delivery tag 1
      `,
    );
  });

  it('recovers what is unsettled at once, but not what the transaction settles', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=a
      > 1 basic.publish routingKey=q body=b
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.get queue=q
      < 1 basic.get-ok deliveryTag=1 routingKey=q messageCount=1 body=a
      > 1 basic.get queue=q
      < 1 basic.get-ok deliveryTag=2 routingKey=q body=b
      > 1 basic.ack deliveryTag=1
      > 1 basic.recover requeue=true
      < 1 basic.recover-ok
      = return 1 2-2
      > 1 tx.commit
      < 1 tx.commit-ok
      = settle 1 1-1
      = settled
      `,
    );
  });

  it('refuses at once what is refused without a transaction', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish exchange=none body=x
      < 1 channel.close replyCode=404 replyText=NOT_FOUND - no exchange 'none' in vhost '/' classId=60 methodId=40
      * report NOT_FOUND - no exchange 'none' in vhost '/'
      `,
    );
  });

  it('ends with 406 when the commit of a message is refused', async () => {
    const connection = await openConnection();
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish routingKey=q body=x
      `,
    );
    connection.broker.publishAnswer = { code: 'unavailable', text: 'no majority' };
    await expectTranscript(
      connection,
      `
      > 1 tx.commit
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - partial tx completion classId=90 methodId=20
      = settled
      * report PRECONDITION_FAILED - partial tx completion
      `,
    );
  });

  it('waits with its commit while publishes are held', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish routingKey=q body=one
      ! hold
      > 1 tx.commit
      > 1 queue.declare queue=q passive=true
      ! resume
      < 1 tx.commit-ok
      < 1 queue.declare-ok queue=q messageCount=1
      = settled
      `,
    );
  });

  it('holds no more than the connection may, all channels together', async () => {
    const connection = await openConnection({ transactionBytesMax: 1_200 });
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 tx.select
      < 1 tx.select-ok
      > 2 channel.open
      < 2 channel.open-ok
      > 2 tx.select
      < 2 tx.select-ok
      > 1 basic.publish routingKey=q body=one
      > 2 basic.publish routingKey=q body=two
      > 2 basic.publish routingKey=q body=three
      < 2 channel.close replyCode=406 replyText=PRECONDITION_FAILED - uncommitted messages of this connection exceed 1200 bytes classId=60 methodId=40
      * report PRECONDITION_FAILED - uncommitted messages of this connection exceed 1200 bytes
      > 1 basic.publish routingKey=q body=four
      > 1 tx.commit
      < 1 tx.commit-ok
      = settled
      `,
    );
    expect(connection.machine.transactionMemory.heldBytes).toBe(0);
  });
});

it.each([
  ['tx.commit', 'channel is not transactional', 90, 20],
  ['tx.rollback', 'channel is not transactional', 90, 30],
])('%s needs tx.select', async (name, text, classId, methodId) => {
  await expectTranscript(
    await openConnection(),
    `
    > 1 ${name}
    < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - ${text} classId=${classId} methodId=${methodId}
    * report PRECONDITION_FAILED - ${text}
    `,
  );
});

it.each([
  ['confirm', 'tx', 90],
  ['tx', 'confirm', 85],
])('a channel in %s mode cannot switch to %s mode', async (first, second, classId) => {
  const connection = await openConnection();
  const select = (mode: string) =>
    methodBytes(1, mode === 'tx' ? { name: 'tx.select' } : { name: 'confirm.select', noWait: false });
  connection.push(select(first));
  connection.push(select(first));
  await connection.turn();
  connection.push(select(second));
  expect(readAll(await connection.turn())).toMatchObject([
    {
      method: {
        replyCode: 406,
        replyText: `PRECONDITION_FAILED - cannot switch from ${first} to ${second} mode`,
        classId,
        methodId: 10,
      },
    },
  ]);
});
