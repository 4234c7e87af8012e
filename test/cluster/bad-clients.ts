import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

const AMQP_HEADER = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
/** A start-ok method frame that claims to be 1 GiB long. */
const HUGE_FRAME_HEAD = Buffer.from([1, 0, 0, 0x40, 0, 0, 0]);

/** What a client may send first that no protocol knows. */
const OPENINGS: readonly (() => Buffer)[] = [
  () => randomBytes(4_096),
  () => Buffer.concat([AMQP_HEADER, randomBytes(4_096)]),
  () => Buffer.concat([AMQP_HEADER, HUGE_FRAME_HEAD, randomBytes(64 * 1024)]),
  () => Buffer.from('GET / HTTP/1.1\r\nHost: warren\r\n\r\n'),
  () => Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), randomBytes(4_096)]),
  () => Buffer.concat([AMQP_HEADER, Buffer.alloc(64 * 1024)]),
];

/** Sends what no protocol knows; resolves to whether the node closed the connection within the time. */
export function sendGarbage(port: number, kind: number, patienceMs: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1');
    const timer = setTimeout(() => end(false), patienceMs);
    const end = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(closed);
    };
    socket.on('error', () => end(true));
    socket.on('close', () => end(true));
    socket.resume();
    socket.write(OPENINGS[kind % OPENINGS.length]!());
  });
}

/** Connections that are opened and never say anything. */
export class SilentConnections {
  readonly #sockets: Socket[] = [];
  closed = 0;

  open(port: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.resume();
      socket.on('error', () => {});
      socket.on('close', () => {
        this.closed++;
      });
      this.#sockets.push(socket);
    }
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
