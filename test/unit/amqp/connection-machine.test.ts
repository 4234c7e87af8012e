import { describe, expect, it } from 'vitest';
import { PROTOCOL_HEADER } from '../../../src/protocols/amqp/spec.ts';
import { frameBytes, joined, methodBytes, readAll } from '../../support/amqp-client.ts';
import { expectTranscript, openConnection, TestConnection } from '../../support/amqp-transcript.ts';

async function started(): Promise<TestConnection> {
  const connection = new TestConnection();
  connection.push(new Uint8Array(PROTOCOL_HEADER));
  await connection.turn();
  return connection;
}

/** What a client reads after it sent these bytes on an open connection: the reply code and text of connection.close. */
async function replyTo(bytes: Uint8Array): Promise<string> {
  const connection = await openConnection();
  connection.push(bytes);
  const close = readAll(await connection.turn()).at(-1)?.method;
  if (typeof close !== 'object' || close.name !== 'connection.close') throw new Error('the connection was not closed');
  return `${close.replyCode} ${close.replyText}`;
}

describe('the handshake', () => {
  it('goes from protocol header to open-ok', async () => {
    const connection = new TestConnection();
    connection.push(new Uint8Array(PROTOCOL_HEADER));
    const [start] = readAll(await connection.turn());
    expect(start).toMatchObject({ channel: 0, method: { name: 'connection.start' } });
    await expectTranscript(
      connection,
      `
      > 0 connection.start-ok mechanism=PLAIN response=|guest|guest
      < 0 connection.tune channelMax=2047 frameMax=131072 heartbeat=60
      > 0 connection.tune-ok channelMax=100 frameMax=8192 heartbeat=30
      > 0 connection.open virtualHost=/
      < 0 connection.open-ok
      * tuned heartbeat=30 frameMax=8192
      > 100 channel.open
      < 100 channel.open-ok
      > 0 connection.close replyCode=200
      < 0 connection.close-ok
      * closing
      * left
      `,
    );
  });

  it('introduces itself as RabbitMQ does', async () => {
    const connection = new TestConnection();
    connection.push(new Uint8Array(PROTOCOL_HEADER));
    const [start] = readAll(await connection.turn());
    const method = start!.method;
    if (typeof method !== 'object' || method.name !== 'connection.start') throw new Error('no connection.start');
    const capabilities = method.serverProperties.get('capabilities');
    expect(method.serverProperties.get('product')).toEqual({ type: 'string', value: 'RabbitMQ' });
    expect(capabilities?.type === 'table' && [...capabilities.value.keys()]).toContain('publisher_confirms');
    expect(method.serverProperties.get('version')).toEqual({ type: 'string', value: '3.10.8' });
  });

  it.each([
    ['0-9-1', [0, 0, 9, 1]],
    ['0-9', [1, 1, 0, 9]],
  ])('starts with the protocol header of %s', async (_, version) => {
    const connection = new TestConnection();
    connection.push(new Uint8Array([65, 77, 81, 80, ...version]));
    const [start] = readAll(await connection.turn());
    expect(start!.method).toMatchObject({ name: 'connection.start', versionMajor: 0, versionMinor: 9 });
  });

  it('answers another protocol header with its own and ends', async () => {
    const connection = new TestConnection();
    connection.push(new Uint8Array([65, 77, 81, 80, 1, 1, 0, 10]));
    expect(await connection.turn()).toEqual(new Uint8Array(PROTOCOL_HEADER));
    expect(connection.events).toEqual(['report FRAME_ERROR - wrong protocol header', 'end']);
  });

  it('lets frames that come before open-ok wait', async () => {
    const connection = await started();
    await expectTranscript(
      connection,
      `
      ! delay
      > 0 connection.start-ok mechanism=PLAIN response=|guest|guest
      > 0 connection.tune-ok
      > 0 connection.open virtualHost=/
      > 1 channel.open
      < 0 connection.tune channelMax=2047 frameMax=131072 heartbeat=60
      * tuned heartbeat=0 frameMax=131072
      ! release
      < 0 connection.open-ok
      < 1 channel.open-ok
      `,
    );
  });

  it('refuses a login without a word to clients that cannot hear it', async () => {
    await expectTranscript(
      await started(),
      `
      > 0 connection.start-ok mechanism=PLAIN response=|guest|wrong
      * report ACCESS_REFUSED - user 'guest' refused
      * end
      `,
    );
  });

  it.each([
    ['connection.start-ok mechanism=NONE', "503 COMMAND_INVALID - unknown authentication mechanism 'NONE'", 11],
    ['connection.tune-ok', '504 CHANNEL_ERROR - unexpected method connection.tune-ok in connection state starting', 31],
    ['connection.open', '504 CHANNEL_ERROR - unexpected method connection.open in connection state starting', 40],
  ])('refuses %s in the wrong place or form', async (method, reply, methodId) => {
    const [code, text] = [reply.slice(0, 3), reply.slice(4)];
    await expectTranscript(
      await started(),
      `
      > 0 ${method}
      < 0 connection.close replyCode=${code} replyText=${text} classId=10 methodId=${methodId}
      * report ${text}
      * closing
      `,
    );
  });

  it.each([
    ['channelMax=3000', 'negotiated channel_max = 3000 is higher than the maximum allowed value (2047)'],
    ['frameMax=200000', 'negotiated frame_max = 200000 is higher than the maximum allowed value (131072)'],
    ['frameMax=100', 'negotiated frame_max = 100 is lower than the minimum allowed value (4096)'],
  ])('refuses a tuning with %s', async (field, text) => {
    await expectTranscript(
      await started(),
      `
      > 0 connection.start-ok mechanism=PLAIN response=|guest|guest
      < 0 connection.tune channelMax=2047 frameMax=131072 heartbeat=60
      > 0 connection.tune-ok ${field}
      < 0 connection.close replyCode=530 replyText=NOT_ALLOWED - ${text} classId=10 methodId=31
      * report NOT_ALLOWED - ${text}
      * closing
      `,
    );
  });

  it.each([
    ['nowhere', 'vhost nowhere not found'],
    ['forbidden', "access to vhost 'forbidden' refused for user 'guest'"],
  ])('refuses vhost %s', async (vhost, text) => {
    await expectTranscript(
      await started(),
      `
      > 0 connection.start-ok mechanism=PLAIN response=|guest|guest
      > 0 connection.tune-ok
      > 0 connection.open virtualHost=${vhost}
      < 0 connection.tune channelMax=2047 frameMax=131072 heartbeat=60
      < 0 connection.close replyCode=530 replyText=NOT_ALLOWED - ${text} classId=10 methodId=40
      * tuned heartbeat=0 frameMax=131072
      * report NOT_ALLOWED - ${text}
      * closing
      `,
    );
  });

  it('accepts AMQPLAIN', async () => {
    const connection = await started();
    const text = (value: string): number[] => [...value].map(character => character.charCodeAt(0));
    const field = (key: string, value: string): number[] => [
      key.length,
      ...text(key),
      ...text('S'),
      ...[0, 0, 0, value.length],
      ...text(value),
    ];
    const response = new Uint8Array([...field('LOGIN', 'guest'), ...field('PASSWORD', 'guest')]);
    const startOk = { name: 'connection.start-ok', clientProperties: new Map(), mechanism: 'AMQPLAIN' } as const;
    connection.push(methodBytes(0, { ...startOk, response, locale: 'en_US' }));
    expect(readAll(await connection.turn())).toMatchObject([{ method: { name: 'connection.tune' } }]);
  });
});

describe('an open connection', () => {
  it.each([
    [
      'a method on a channel never opened',
      methodBytes(5, { name: 'basic.qos', prefetchSize: 0, prefetchCount: 1, global: false }),
      "504 CHANNEL_ERROR - expected 'channel.open'",
    ],
    ['content on a channel never opened', frameBytes(3, 5, [1]), "504 CHANNEL_ERROR - expected 'channel.open'"],
    ['content on channel 0', frameBytes(3, 0, [1]), '505 UNEXPECTED_FRAME - unexpected frame of type 3 on channel 0'],
    [
      'content without a method',
      frameBytes(2, 1, new Array(14).fill(0)),
      '505 UNEXPECTED_FRAME - expected method frame, got non method frame instead',
    ],
    ['an unknown method', frameBytes(1, 1, [0, 60, 0, 99]), '503 COMMAND_INVALID - unknown method 99 of class 60'],
    ['an unknown class', frameBytes(1, 1, [0, 61, 0, 10]), '503 COMMAND_INVALID - unknown method 10 of class 61'],
    [
      'a method that is cut off',
      frameBytes(1, 1, [0, 50, 0, 10, 0, 0]),
      '502 SYNTAX_ERROR - malformed fields of queue.declare',
    ],
    ['a method frame without a method', frameBytes(1, 1, [0]), '501 FRAME_ERROR - method frame of 1 octets'],
    [
      'a wrong end octet',
      joined(frameBytes(1, 1, [0, 20, 0, 41]).slice(0, -1), new Uint8Array([0])),
      '501 FRAME_ERROR - type 1, invalid frame end marker 0',
    ],
    [
      'a frame above frame-max',
      new Uint8Array([1, 0, 1, 0, 2, 0, 1]),
      '501 FRAME_ERROR - type 1, frame too large: {131073,131064}',
    ],
    ['an unknown frame type', new Uint8Array([4]), '501 FRAME_ERROR - unknown frame type 4'],
    ['a heartbeat on a channel', frameBytes(8, 1, []), '505 UNEXPECTED_FRAME - heartbeat on channel 1'],
    [
      'a channel number above channel-max',
      methodBytes(2048, { name: 'channel.open' }),
      '530 NOT_ALLOWED - number of channels opened (2048) has reached the negotiated channel_max (2047)',
    ],
    [
      'a message with immediate',
      joined(
        methodBytes(1, { name: 'basic.publish', exchange: '', routingKey: '', mandatory: false, immediate: true }),
      ),
      '540 NOT_IMPLEMENTED - immediate=true',
    ],
  ])('closes on %s', async (_what, bytes, reply) => {
    expect(await replyTo(bytes)).toBe(reply);
  });

  it('accepts heartbeats', async () => {
    const connection = await openConnection();
    connection.push(frameBytes(8, 0, []));
    expect(await connection.turn()).toEqual(new Uint8Array(0));
  });

  it('drops everything between its connection.close and the answer', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 7 basic.qos
      > 1 queue.declare queue=q
      < 0 connection.close replyCode=504 replyText=CHANNEL_ERROR - expected 'channel.open' classId=60 methodId=10
      * report CHANNEL_ERROR - expected 'channel.open'
      * closing
      > 1 queue.declare queue=q
      > 0 connection.open
      > 0 connection.close-ok
      * end
      `,
    );
  });

  it('returns unsettled messages when the client closes it', async () => {
    const connection = await openConnection();
    await expectTranscript(
      connection,
      `
      > 1 queue.declare queue=q
      < 1 queue.declare-ok queue=q
      > 1 basic.publish routingKey=q body=x
      > 1 basic.get queue=q
      < 1 basic.get-ok deliveryTag=1 routingKey=q body=x
      > 0 connection.close replyCode=200
      < 0 connection.close-ok
      * closing
      * left
      `,
    );
    expect(connection.broker.queues.get('q')!.ready).toMatchObject([{ isRedelivered: true }]);
  });

  it('takes any new secret, as RabbitMQ does for users of its own', async () => {
    await expectTranscript(
      await openConnection(),
      `
      > 0 connection.update-secret newSecret=guest reason=rotation
      < 0 connection.update-secret-ok
      > 0 connection.update-secret newSecret=wrong
      < 0 connection.update-secret-ok
      `,
    );
  });

  it('is closed with 320 when the node can no longer serve it', async () => {
    const connection = await openConnection();
    connection.machine.closed('lease lost');
    expect(readAll(await connection.turn())).toMatchObject([
      {
        method: {
          replyCode: 320,
          replyText: "CONNECTION_FORCED - broker forced connection closure with reason 'lease lost'",
        },
      },
    ]);
  });

  it('is not read while a channel has too much waiting, and goes on afterwards', async () => {
    const connection = await openConnection({ waitingBytesMax: 500 });
    connection.broker.delayAnswers();
    const declare = {
      name: 'queue.declare',
      passive: false,
      durable: false,
      exclusive: false,
      autoDelete: false,
    } as const;
    const frames = Array.from({ length: 20 }, (_, i) =>
      methodBytes(1, { ...declare, queue: `q${i}`, noWait: true, arguments: new Map() }),
    );
    connection.push(joined(...frames));
    await connection.turn();
    expect(connection.machine.mayRead).toBe(false);
    connection.broker.releaseAnswers();
    for (let i = 0; i < 40; i++) await connection.turn();
    expect(connection.broker.queues.size).toBe(20);
    expect(connection.machine.mayRead).toBe(true);
  });

  it('is not read while too many answers wait for the socket', async () => {
    const connection = await openConnection({ replyBytesMax: 200 });
    connection.push(
      joined(...Array.from({ length: 30 }, () => methodBytes(1, { name: 'channel.flow', active: true }))),
    );
    const first = readAll(await connection.turn()).length;
    expect(first).toBeLessThan(30);
    let all = first;
    for (let i = 0; i < 10; i++) all += readAll(await connection.turn()).length;
    expect(all).toBe(30);
  });
});
