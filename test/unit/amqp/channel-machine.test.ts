import { describe, it } from 'vitest';
import { expectTranscript, openConnection } from '../../support/amqp-transcript.ts';
import { MemoryBroker } from '../../support/memory-broker.ts';

describe('a channel', () => {
  it('declares, binds, publishes and consumes', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 exchange.declare exchange=e type=direct
      < 1 exchange.declare-ok
      > 1 queue.declare queue=q durable=true
      < 1 queue.declare-ok queue=q
      > 1 queue.bind queue=q exchange=e routingKey=k
      < 1 queue.bind-ok
      > 1 basic.consume queue=q consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      > 1 basic.publish exchange=e routingKey=k body=hello
      < 1 basic.deliver consumerTag=c deliveryTag=1 exchange=e routingKey=k body=hello
      > 1 basic.ack deliveryTag=1
      = settle 1 1-1
      > 1 basic.cancel consumerTag=c
      < 1 basic.cancel-ok consumerTag=c
      > 1 queue.unbind queue=q exchange=e routingKey=k
      < 1 queue.unbind-ok
      > 1 queue.delete queue=q
      < 1 queue.delete-ok
      > 1 channel.close replyCode=200
      < 1 channel.close-ok
      `,
    );
  });

  it('answers nothing where the client asked for no answer', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 exchange.declare exchange=e type=fanout noWait=true
      > 1 queue.declare queue=q noWait=true
      > 1 queue.bind queue=q exchange=e noWait=true
      > 1 basic.consume queue=q consumerTag=c noWait=true
      > 1 confirm.select noWait=true
      > 1 basic.publish exchange=e body=x
      > 1 basic.cancel consumerTag=c noWait=true
      > 1 queue.purge queue=q noWait=true
      > 1 queue.delete queue=q noWait=true
      > 1 exchange.delete exchange=e noWait=true
      < 1 basic.deliver consumerTag=c deliveryTag=1 exchange=e body=x
      < 1 basic.ack deliveryTag=1
      `,
    );
  });

  it('takes an empty queue name for the queue declared last', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare
      < 1 queue.declare-ok queue=amq.gen-0000000000000000000001
      > 1 queue.bind exchange=amq.direct
      < 1 queue.bind-ok
      > 1 basic.consume
      < 1 basic.consume-ok consumerTag=amq.ctag-0000000000000000000001
      > 1 basic.publish exchange=amq.direct routingKey=amq.gen-0000000000000000000001 body=x
      < 1 basic.deliver consumerTag=amq.ctag-0000000000000000000001 deliveryTag=1 exchange=amq.direct routingKey=amq.gen-0000000000000000000001 body=x
      `,
    );
    await expectTranscript(
      await openConnection(),
      `
      > 1 basic.consume
      < 1 channel.close replyCode=404 replyText=NOT_FOUND - no previously declared queue classId=60 methodId=20
      * report NOT_FOUND - no previously declared queue
      `,
    );
  });

  it('deletes what is not there with success, as RabbitMQ does', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.delete queue=none
      < 1 queue.delete-ok
      > 1 exchange.delete exchange=none
      < 1 exchange.delete-ok
      > 1 queue.unbind queue=none exchange=none
      < 1 queue.unbind-ok
      `,
    );
  });

  it('keeps the order of frames behind a request under way, while other channels go on', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 2 channel.open
      < 2 channel.open-ok
      > 2 queue.declare queue=other
      < 2 queue.declare-ok queue=other
      ! delay
      > 1 queue.declare queue=q noWait=true
      > 1 basic.publish routingKey=q body=first
      > 1 basic.get queue=q
      > 2 confirm.select
      > 2 basic.publish routingKey=other body=x
      < 2 confirm.select-ok
      < 2 basic.ack deliveryTag=1
      ! release
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=first
      `,
    );
  });

  it('settles consecutive acknowledgements of a consumer with one call', async () => {
    const connection = await openConnection();
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.consume queue=q consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      > 1 basic.publish routingKey=q body=1
      > 1 basic.publish routingKey=q body=2
      > 1 basic.publish routingKey=q body=3
      > 1 basic.publish routingKey=q body=4
      > 1 basic.publish routingKey=q body=5
      < 1 basic.deliver consumerTag=c deliveryTag=1 routingKey=q body=1
      < 1 basic.deliver consumerTag=c deliveryTag=2 routingKey=q body=2
      < 1 basic.deliver consumerTag=c deliveryTag=3 routingKey=q body=3
      < 1 basic.deliver consumerTag=c deliveryTag=4 routingKey=q body=4
      < 1 basic.deliver consumerTag=c deliveryTag=5 routingKey=q body=5
      > 1 basic.ack deliveryTag=1
      > 1 basic.ack deliveryTag=2
      > 1 basic.ack deliveryTag=3
      > 1 basic.reject deliveryTag=4
      > 1 basic.ack deliveryTag=5
      = settle 1 1-3
      = discard 1 4-4
      = settle 1 5-5
      `,
    );
  });

  it('settles everything up to a tag, and everything at all', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=1
      > 1 basic.publish routingKey=q body=2
      > 1 basic.publish routingKey=q body=3
      > 1 basic.get queue=q
      > 1 basic.get queue=q
      > 1 basic.get queue=q noAck=true
      < 1 basic.get-ok deliveryTag=1 routingKey=q messageCount=2 body=1
      < 1 basic.get-ok deliveryTag=2 routingKey=q messageCount=1 body=2
      < 1 basic.get-ok deliveryTag=3 routingKey=q body=3
      > 1 basic.nack deliveryTag=2 multiple=true requeue=true
      = return 1 1-2
      > 1 basic.get queue=q
      < 1 basic.get-ok deliveryTag=4 redelivered=true routingKey=q messageCount=1 body=1
      > 1 basic.ack multiple=true
      = settle 1 4-4
      > 1 basic.ack multiple=true
      > 1 basic.ack deliveryTag=4 multiple=true
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - unknown delivery tag 4 classId=60 methodId=80
      * report PRECONDITION_FAILED - unknown delivery tag 4
      `,
    );
  });

  it('recovers by returning everything unsettled', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=1
      > 1 basic.get queue=q
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=1
      > 1 basic.recover requeue=true
      < 1 basic.recover-ok
      = return 1 1-1
      > 1 basic.recover
      < 0 connection.close replyCode=540 replyText=NOT_IMPLEMENTED - requeue=false classId=60 methodId=110
      * report NOT_IMPLEMENTED - requeue=false
      * closing
      `,
    );
  });

  it.each([
    ['basic.nack deliveryTag=2 multiple=true', 'basic.nack and basic.reject', 120],
    ['basic.nack deliveryTag=1 requeue=true', 'basic.nack and basic.reject', 120],
    ['basic.reject deliveryTag=1', 'basic.nack and basic.reject', 90],
    ['basic.recover requeue=true', 'basic.recover', 110],
  ])('ends the connection when something of a stream is to go back or away: %s', async (method, what, methodId) => {
    const broker = new MemoryBroker();
    broker.streams.add('s');
    const text = `NOT_IMPLEMENTED - ${what} not supported by stream queues queue 's'`;
    await expectTranscript(
      await openConnection({}, broker),
      `
      > 1 queue.declare queue=s
      < 1 queue.declare-ok queue=s
      > 1 basic.consume queue=s consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      > 1 basic.publish routingKey=s body=1
      < 1 basic.deliver consumerTag=c deliveryTag=1 routingKey=s headers={x-stream-offset} body=1
      > 1 basic.publish routingKey=s body=2
      < 1 basic.deliver consumerTag=c deliveryTag=2 routingKey=s headers={x-stream-offset} body=2
      > 1 ${method}
      < 0 connection.close replyCode=540 replyText=${text} classId=60 methodId=${methodId}
      * report ${text}
      * closing
      `,
    );
  });

  it('acknowledges what comes from a stream', async () => {
    const broker = new MemoryBroker();
    broker.streams.add('s');
    await expectTranscript(
      await openConnection({}, broker),
      `
      > 1 queue.declare queue=s
      < 1 queue.declare-ok queue=s
      > 1 basic.consume queue=s consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      > 1 basic.publish routingKey=s body=1
      < 1 basic.deliver consumerTag=c deliveryTag=1 routingKey=s headers={x-stream-offset} body=1
      > 1 basic.ack deliveryTag=1
      = settle 1 1-1
      > 1 basic.recover requeue=true
      < 1 basic.recover-ok
      `,
    );
  });

  it('limits unsettled deliveries per consumer and per channel', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=1
      > 1 basic.publish routingKey=q body=2
      > 1 basic.publish routingKey=q body=3
      > 1 basic.qos prefetchCount=1
      < 1 basic.qos-ok
      > 1 basic.consume queue=q consumerTag=a
      < 1 basic.consume-ok consumerTag=a
      < 1 basic.deliver consumerTag=a deliveryTag=1 routingKey=q body=1
      > 1 basic.consume queue=q consumerTag=b
      < 1 basic.consume-ok consumerTag=b
      < 1 basic.deliver consumerTag=b deliveryTag=2 routingKey=q body=2
      > 1 basic.qos prefetchCount=1 global=true
      < 1 basic.qos-ok
      > 1 basic.ack deliveryTag=2
      = settle 2 1-1
      > 1 basic.ack deliveryTag=1
      < 1 basic.deliver consumerTag=a deliveryTag=3 routingKey=q body=3
      = settle 1 1-1
      > 1 basic.qos prefetchSize=100
      < 0 connection.close replyCode=540 replyText=NOT_IMPLEMENTED - prefetch_size!=0 (100) classId=60 methodId=10
      * report NOT_IMPLEMENTED - prefetch_size!=0 (100)
      * closing
      `,
    );
  });

  it('answers each unroutable message at once: the return, if wanted, then a confirm of its own', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 confirm.select
      < 1 confirm.select-ok
      > 1 basic.publish routingKey=nowhere mandatory=true body=lost
      > 1 basic.publish routingKey=nowhere body=dropped
      < 1 basic.return replyCode=312 replyText=NO_ROUTE routingKey=nowhere body=lost
      < 1 basic.ack deliveryTag=1
      < 1 basic.ack deliveryTag=2
      `,
    );
  });

  it('nacks what could not be taken, and goes on', async () => {
    const connection = await openConnection();
    connection.broker.publishAnswer = { code: 'unavailable', text: 'no majority' };
    await expectTranscript(
      connection,
      `
      > 1 confirm.select
      < 1 confirm.select-ok
      > 1 basic.publish routingKey=q body=x
      > 1 basic.publish routingKey=q body=y
      < 1 basic.nack deliveryTag=2 multiple=true
      `,
    );
  });

  it('drops frames between its channel.close and the answer, and can be opened again', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 basic.publish exchange=x body=lost
      > 1 basic.publish exchange=x body=lost
      > 1 queue.declare queue=q
      < 1 channel.close replyCode=404 replyText=NOT_FOUND - no exchange 'x' in vhost '/' classId=60 methodId=40
      * report NOT_FOUND - no exchange 'x' in vhost '/'
      > 1 channel.close
      < 1 channel.close-ok
      > 1 channel.close-ok
      > 1 channel.open
      > 1 queue.declare queue=q passive=true
      < 1 channel.open-ok
      < 1 channel.close replyCode=404 replyText=NOT_FOUND - no queue 'q' in vhost '/' classId=50 methodId=10
      * report NOT_FOUND - no queue 'q' in vhost '/'
      `,
    );
  });

  it('tells a client whose consumer was taken away, and ignores later acknowledgements of its deliveries', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.consume queue=q consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      > 1 basic.publish routingKey=q body=1
      < 1 basic.deliver consumerTag=c deliveryTag=1 routingKey=q body=1
      > 1 queue.delete queue=q
      < 1 basic.cancel consumerTag=c noWait=true
      < 1 queue.delete-ok
      > 1 basic.ack deliveryTag=1
      `,
    );
  });

  it('names what differs in a declaration', async () => {
    const text = "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'";
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 queue.declare queue=q durable=true
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - ${text} classId=50 methodId=10
      * report PRECONDITION_FAILED - ${text}
      `,
    );
  });

  it.each([
    ['channel.flow', 'NOT_IMPLEMENTED - active=false', 540, 20, 20],
    ['channel.open', "CHANNEL_ERROR - second 'channel.open' seen", 504, 20, 10],
    ['basic.deliver', 'COMMAND_INVALID - unexpected method basic.deliver', 503, 60, 60],
  ])('ends the connection on %s', async (method, text, code, classId, methodId) => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 ${method}
      < 0 connection.close replyCode=${code} replyText=${text} classId=${classId} methodId=${methodId}
      * report ${text}
      * closing
      `,
    );
  });

  it('answers a flow of true, and old clients that ask for access', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 channel.flow active=true
      < 1 channel.flow-ok active=true
      > 1 access.request realm=/data
      < 1 access.request-ok ticket=1
      `,
    );
  });

  it('answers confirms that arrive while it is closed by the client before the close', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      > 1 confirm.select
      > 1 basic.publish routingKey=q body=x
      > 1 channel.close
      < 1 queue.declare-ok queue=q
      < 1 confirm.select-ok
      < 1 basic.ack deliveryTag=1
      < 1 channel.close-ok
      `,
    );
  });
});

describe('publishes that are held', () => {
  it('wait with everything behind them, and the client is told of an alarm', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      ! hold alarm
      < 0 connection.blocked reason=low on disk
      > 1 queue.declare queue=r
      > 1 basic.publish routingKey=q body=1
      > 1 basic.get queue=q
      < 1 queue.declare-ok queue=r
      ! resume
      < 0 connection.unblocked
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=1
      `,
    );
  });

  it('let deliveries go out meanwhile', async () => {
    const connection = await openConnection();
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.consume queue=q consumerTag=c
      < 1 basic.consume-ok consumerTag=c
      ! hold
      > 1 basic.publish routingKey=q body=held
      `,
    );
    connection.broker.queues.get('q')!.enqueue(new Uint8Array([0, 1, 113, 0, 0, 0, 2, 0, 0, 33]));
    await expectTranscript(
      connection,
      `
      ! hold
      < 1 basic.deliver consumerTag=c deliveryTag=1 routingKey=q body=!
      ! resume
      < 1 basic.deliver consumerTag=c deliveryTag=2 routingKey=q body=held
      `,
    );
  });

  it('wait also behind a request under way', async () => {
    await expectTranscript(
      await openConnection(),
      `
      ! delay
      > 1 queue.declare queue=q noWait=true
      > 1 basic.publish routingKey=q body=1
      > 1 basic.get queue=q
      ! hold
      ! release
      ! resume
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=1
      `,
    );
  });
});
