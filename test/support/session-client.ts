import { beforeEach } from 'vitest';
import type {
  BrokerConnection,
  BrokerSession,
  Delivery,
  HoldReason,
  QueueDeclare,
  SessionListener,
} from '../../src/broker/broker.ts';
import { BrokerService } from '../../src/broker/broker-service.ts';
import { utf8Decode } from '../../src/lib/bytes.ts';
import { SystemPasswordHasher } from '../../src/password-hasher.ts';
import { decodeMessageBlock } from '../../src/queue/message-block.ts';
import { LocalGateway } from './local-gateway.ts';
import { plainPublish } from './plain-publish.ts';

export const IDENTITY = { clusterName: 'c', nodeName: 'n', version: '1' };
const AHEAD = { messagesMax: 10, bytesMax: 1_000, bytesFirst: 1_000, nodeBytesMax: 1_000_000 };

/** Of the test under way. */
export let gateway: LocalGateway;
export let service: BrokerService;

beforeEach(() => begin());

export function begin(limits: { bytesMax?: number; commandsMax?: number } = {}): void {
  gateway = new LocalGateway(limits);
  service = new BrokerService(
    { identity: IDENTITY, bodyBytesMax: 50_000, connectionsMax: 10, loopbackUsers: ['guest'], ahead: AHEAD },
    {
      gateway,
      randomBytes: () => new Uint8Array(16),
      isLoopback: address => address === '127.0.0.1',
      passwords: new SystemPasswordHasher(),
      wallMs: () => 1_000,
    },
  );
}

export interface Taken {
  readonly handle: number;
  readonly number: number;
  readonly body: string;
  readonly redelivered: boolean;
}

/** A client with one session, as an adapter keeps it. */
export class Client implements SessionListener {
  connection!: BrokerConnection;
  session!: BrokerSession;
  readonly confirms: string[] = [];
  readonly taken: Taken[] = [];
  readonly cancelled: number[] = [];
  readonly holds: (HoldReason['kind'] | 'resumed')[] = [];
  closedReason: string | undefined;
  #sequence = 0;

  static async connect(to: Pick<BrokerService, 'connect'> = service): Promise<Client> {
    const client = new Client();
    const request = { user: 'guest', vhost: '/', protocol: 'test', peerAddress: '', clientName: undefined };
    const connected = await to.connect(request, {
      held: reason => client.holds.push(reason.kind),
      resumed: () => client.holds.push('resumed'),
      closed: reason => {
        client.closedReason = reason;
      },
      dismissed: reason => {
        client.closedReason = reason;
      },
    });
    if (!connected.ok) throw new Error(connected.error.code);
    client.connection = connected.value;
    client.session = client.connection.openSession(client);
    return client;
  }

  declare(name: string, more: Partial<QueueDeclare> = {}) {
    const request = { passive: false, durable: true, exclusive: false, autoDelete: false, arguments: new Map() };
    return gateway.answer(this.session.declareQueue({ name, ...request, ...more }));
  }

  publish(
    routingKey: string,
    body: string,
    more: { exchange?: string; isConfirmed?: boolean; expirationMs?: number } = {},
  ) {
    const sequence = more.isConfirmed === false ? 0 : ++this.#sequence;
    return this.session.publish(plainPublish(routingKey, body, { ...more, sequence }));
  }

  consume(queue: string, consumer: number, more: { autoAck?: boolean; exclusive?: boolean; window?: number } = {}) {
    const { autoAck = false, exclusive = false, window } = more;
    const request = { queue, consumer, tag: '', autoAck, exclusive, arguments: new Map(), window };
    return gateway.answer(this.session.consume(request));
  }

  async get(queue: string, consumer: number, autoAck = false): Promise<Taken | undefined> {
    const result = await gateway.answer(this.session.get({ queue, autoAck, consumer }));
    if (!result.ok) throw new Error(result.error.code);
    return result.value.empty ? undefined : takenOf(result.value.delivery);
  }

  /** The socket took everything. */
  async flush(): Promise<void> {
    this.connection.flushed(this.connection.deliveredMark());
    await gateway.settle();
  }

  confirmed(first: number, last: number): void {
    this.confirms.push(`+${first}-${last}`);
  }
  rejected(first: number, last: number): void {
    this.confirms.push(`-${first}-${last}`);
  }
  deliver(delivery: Delivery): void {
    this.taken.push(takenOf(delivery));
  }
  consumerCancelled(handle: number): void {
    this.cancelled.push(handle);
  }
}

export const takenOf = ({ consumer, number, content, redelivered }: Delivery): Taken => ({
  handle: consumer,
  number,
  body: utf8Decode(decodeMessageBlock(content).body),
  redelivered,
});
export const countOf = async (queue: string): Promise<string> => {
  const client = await Client.connect();
  const result = await client.declare(queue, { passive: true });
  return result.ok ? `${result.value.messageCount}/${result.value.consumerCount}` : result.error.code;
};
