import { describe, expect, it } from 'vitest';
import { REPLY_QUEUE } from '../../../src/broker/names.ts';
import { expectTranscript, openConnection } from '../../support/amqp-transcript.ts';

describe('exchange.bind and exchange.unbind', () => {
  it('are asked of the broker and answered, or not when no answer is wanted', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 exchange.bind source=amq.direct destination=amq.fanout routingKey=k
      < 1 exchange.bind-ok
      = bind amq.direct amq.fanout
      > 1 exchange.bind source=amq.direct destination=amq.fanout routingKey=k noWait=true
      = bind amq.direct amq.fanout
      > 1 exchange.unbind source=amq.direct destination=amq.fanout routingKey=k
      < 1 exchange.unbind-ok
      = unbind amq.direct amq.fanout
      > 1 exchange.unbind source=amq.direct destination=none
      < 1 exchange.unbind-ok
      = unbind amq.direct none
      > 1 exchange.bind source=none destination=amq.fanout
      < 1 channel.close replyCode=404 replyText=NOT_FOUND - no exchange 'none' in vhost '/' classId=40 methodId=30
      = bind none amq.fanout
      * report NOT_FOUND - no exchange 'none' in vhost '/'
      `,
    );
  });
});

describe('the property expiration', () => {
  it('goes to the broker as a number, also at the end of a transaction, and stays with the message', async () => {
    const connection = await openConnection();
    const seen: (number | undefined)[] = [];
    connection.broker.published = ({ expirationMs }) => seen.push(expirationMs);
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q expiration=60000 body=x
      > 1 basic.publish routingKey=q body=x
      > 1 basic.publish routingKey=q expiration=+007 body=x
      > 1 basic.get queue=q noAck=true
      < 1 basic.get-ok deliveryTag=1 routingKey=q messageCount=2 expiration=60000 body=x
      > 1 tx.select
      < 1 tx.select-ok
      > 1 basic.publish routingKey=q expiration=0 body=x
      > 1 tx.commit
      < 1 tx.commit-ok
      = settled
      > 1 basic.publish routingKey=q expiration=1.5 body=x
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - invalid expiration '1.5': {leftover_string,".5"} classId=60 methodId=40
      * report PRECONDITION_FAILED - invalid expiration '1.5': {leftover_string,".5"}
      `,
    );
    expect(seen).toEqual([60_000, undefined, 7, 0]);
  });
});

describe('the headers CC and BCC', () => {
  it('are further routing keys, and receivers do not see BCC', async () => {
    const connection = await openConnection();
    const seen: (readonly string[])[] = [];
    connection.broker.published = publish => seen.push([publish.routingKey, ...publish.moreRoutingKeys]);
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q CC=a,b BCC=c body=x
      > 1 basic.get queue=q noAck=true
      < 1 basic.get-ok deliveryTag=1 routingKey=q headers={CC} body=x
      > 1 basic.publish routingKey=none mandatory=true BCC=c body=x
      < 1 basic.return replyCode=312 replyText=NO_ROUTE routingKey=none headers={} body=x
      > 1 basic.publish routingKey=q body=x
      `,
    );
    expect(seen).toEqual([['q', 'a', 'b', 'c'], ['none', 'c'], ['q']]);
  });

  it.each(['CC', 'BCC'])('must be lists: %s', async name => {
    const text = `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"${name}",longstr}`;
    await expectTranscript(
      await openConnection(),
      `
      > 1 basic.publish routingKey=q ${name}:text=a body=x
      < 1 channel.close replyCode=406 replyText=${text} classId=60 methodId=40
      * report ${text}
      `,
    );
  });
});

describe('direct reply-to', () => {
  const name = `${REPLY_QUEUE}.0000000000000000000001`;

  it('shows a server where replies go, and brings them to the consumer', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 1 basic.consume queue=amq.rabbitmq.reply-to noAck=true consumerTag=r
      < 1 basic.consume-ok consumerTag=r
      > 1 queue.declare queue=rpc
      < 1 queue.declare-ok queue=rpc
      > 1 basic.publish routingKey=rpc replyTo=amq.rabbitmq.reply-to body=ask
      > 1 basic.get queue=rpc noAck=true
      < 1 basic.get-ok deliveryTag=1 routingKey=rpc replyTo=${name} body=ask
      > 1 basic.publish routingKey=${name} body=answer
      < 1 basic.deliver consumerTag=r deliveryTag=2 routingKey=${name} body=answer
      > 1 basic.publish routingKey=rpc replyTo=elsewhere body=ask
      > 1 basic.get queue=rpc noAck=true
      < 1 basic.get-ok deliveryTag=3 routingKey=rpc replyTo=elsewhere body=ask
      `,
    );
  });

  const refusal = (text: string, methodId: number) => `
      < 1 channel.close replyCode=406 replyText=PRECONDITION_FAILED - ${text} classId=60 methodId=${methodId}
      * report PRECONDITION_FAILED - ${text}
      `;
  const consumer = `
      > 1 basic.consume queue=amq.rabbitmq.reply-to noAck=true consumerTag=r
      < 1 basic.consume-ok consumerTag=r`;

  it('needs a consumer before a message may ask for replies', async () => {
    await expectTranscript(
      await openConnection(),
      `> 1 basic.publish replyTo=amq.rabbitmq.reply-to body=x ${refusal('fast reply consumer does not exist', 40)}`,
    );
    await expectTranscript(
      await openConnection(),
      `${consumer}
      > 1 basic.cancel consumerTag=r
      < 1 basic.cancel-ok consumerTag=r
      > 1 basic.publish replyTo=amq.rabbitmq.reply-to body=x ${refusal('fast reply consumer does not exist', 40)}`,
    );
  });

  it('has one consumer in a channel, which does not acknowledge', async () => {
    await expectTranscript(
      await openConnection(),
      `> 1 basic.consume queue=amq.rabbitmq.reply-to ${refusal('reply consumer cannot acknowledge', 20)}`,
    );
    await expectTranscript(
      await openConnection(),
      `${consumer}
      > 1 basic.consume queue=amq.rabbitmq.reply-to noAck=true consumerTag=s ${refusal('reply consumer already set', 20)}`,
    );
  });
});
