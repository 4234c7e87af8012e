import { connect, type Socket } from 'node:net';
import type { FieldValue } from '../../src/broker/field-table.ts';
import { utf8Encode } from '../../src/lib/bytes.ts';
import { FRAME_MIN_BYTES, PROTOCOL_HEADER } from '../../src/protocols/amqp/spec.ts';
import { methodBytes, readAll } from './amqp-client.ts';

export interface HandshakeRequest {
  readonly mechanism?: string;
  readonly response: Uint8Array;
  readonly vhost?: string;
  /** Of authentication_failure_close. */
  readonly isTold?: boolean;
  /** Channels to open once the connection is open. */
  readonly channels?: number;
}

export const plain = (user: string, password = user): Uint8Array => utf8Encode(`\0${user}\0${password}`);

/**
 * What becomes of a client that enters: `open` and then the reply with which the broker ends the connection, or `closed`
 * when it ends without a word. Ends by itself when the connection is open and as many channels as wished are.
 */
export function enter(port: number, request: HandshakeRequest): Promise<string> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    const progress = { opened: 0 };
    socket.write(new Uint8Array(PROTOCOL_HEADER));
    socket.on('error', () => {});
    socket.on('close', () => resolve('closed'));
    socket.on('data', bytes => {
      for (const { method } of readAll(new Uint8Array(bytes))) {
        if (typeof method === 'string') continue;
        const outcome = answer(socket, request, progress, method);
        if (outcome === undefined) continue;
        resolve(outcome);
        socket.destroy();
      }
    });
  });
}

function answer(
  socket: Socket,
  request: HandshakeRequest,
  progress: { opened: number },
  method: Exclude<ReturnType<typeof readAll>[number]['method'], string>,
): string | undefined {
  const { mechanism = 'PLAIN', response, vhost = '/', isTold = true, channels = 0 } = request;
  switch (method.name) {
    case 'connection.start': {
      const yes: FieldValue = { type: 'boolean', value: isTold };
      const capabilities: FieldValue = { type: 'table', value: new Map([['authentication_failure_close', yes]]) };
      const clientProperties = new Map([['capabilities', capabilities]]);
      socket.write(
        methodBytes(0, { name: 'connection.start-ok', clientProperties, mechanism, response, locale: 'en_US' }),
      );
      return undefined;
    }
    case 'connection.tune':
      socket.write(
        methodBytes(0, { name: 'connection.tune-ok', channelMax: 0, frameMax: FRAME_MIN_BYTES, heartbeat: 0 }),
      );
      socket.write(methodBytes(0, { name: 'connection.open', virtualHost: vhost }));
      return undefined;
    case 'connection.open-ok':
      for (let i = 1; i <= channels; i++) socket.write(methodBytes(i, { name: 'channel.open' }));
      return channels === 0 ? 'open' : undefined;
    case 'channel.open-ok':
      progress.opened++;
      return progress.opened === channels ? `open with ${channels} channels` : undefined;
    case 'connection.close':
      return `${method.replyCode} ${method.replyText}`;
    default:
      return undefined;
  }
}
