import type { Broker, ConnectRequest } from '../../broker/broker.ts';
import type { BrokerError } from '../../broker/broker-error.ts';
import { type AmqpError, amqpError, isAmqpError } from './amqp-error.ts';
import { toAmqpError } from './error-text.ts';
import type { Frame } from './frame-parser.ts';
import type { FrameWriter } from './frame-writer.ts';
import {
  type ClientFacts,
  clientFacts,
  connectionStart,
  isRefusal,
  negotiate,
  readCredentials,
  refusedLogin,
  type Tuning,
} from './handshake.ts';
import type { AmqpLimits } from './limits.ts';
import type { Method, MethodOf } from './methods.ts';
import { PROTOCOL_HEADER, PROTOCOL_HEADER_0_9 } from './spec.ts';

const MALFORMED_RESPONSE: BrokerError = { code: 'access-refused', text: 'the response names no user' };

export interface HandshakeParts {
  readonly broker: Pick<Broker, 'identity' | 'authenticate'>;
  readonly limits: AmqpLimits;
  readonly peerAddress: string;
  readonly writer: FrameWriter;
}

/** The connection that the handshake is for. */
export interface HandshakeOwner {
  tuned(tuning: Tuning): void;
  /** Ask the broker: nothing is left to agree on. */
  enter(request: ConnectRequest): void;
  /** For the log: why a peer was refused. */
  report(error: AmqpError): void;
  /** The same, and nothing more is said to the peer: write what is there, then close the socket. */
  turnAway(error: AmqpError): void;
}

type State = 'header' | 'starting' | 'tuning' | 'opening' | 'connecting';

/**
 * Who the client is and what is agreed with it. The states of 2.2.4:
 *
 * header -> starting (start is out) -> tuning (tune is out) -> opening -> connecting (the broker is asked)
 */
export class ConnectionHandshake {
  readonly #parts: HandshakeParts;
  readonly #owner: HandshakeOwner;
  #state: State = 'header';
  #user = '';
  #client: ClientFacts = clientFacts(new Map());
  #tuning: Tuning;

  constructor(parts: HandshakeParts, owner: HandshakeOwner) {
    this.#parts = parts;
    this.#owner = owner;
    const { channelMax, frameBytesMax } = parts.limits;
    this.#tuning = { channelMax, frameBytesMax, heartbeatSeconds: 0 };
  }

  get state(): State {
    return this.#state;
  }

  get user(): string {
    return this.#user;
  }

  get client(): ClientFacts {
    return this.#client;
  }

  get tuning(): Tuning {
    return this.#tuning;
  }

  feedProtocolHeader({ bytes, start }: Frame): void {
    const { broker, writer } = this.#parts;
    const isHeader = (header: readonly number[]): boolean => header.every((byte, i) => bytes[start + i] === byte);
    if (isHeader(PROTOCOL_HEADER) || isHeader(PROTOCOL_HEADER_0_9)) {
      this.#state = 'starting';
      writer.method(0, connectionStart(broker.identity));
      return;
    }
    // 4.2.2: the peer learns which version it should have spoken.
    writer.protocolHeader();
    this.#owner.turnAway(amqpError('frame-error', 'wrong protocol header'));
  }

  perform(method: Method): AmqpError | undefined {
    const state = this.#state;
    if (method.name === 'connection.start-ok' && state === 'starting') return this.#login(method);
    if (method.name === 'connection.tune-ok' && state === 'tuning') return this.#tune(method);
    if (method.name === 'connection.open' && state === 'opening') return this.#open(method);
    return unexpectedMethod(method, state);
  }

  #login(method: MethodOf<'connection.start-ok'>): AmqpError | undefined {
    const { broker, limits, peerAddress, writer } = this.#parts;
    this.#client = clientFacts(method.clientProperties);
    const credentials = readCredentials(method.mechanism, method.response);
    if (isRefusal(credentials)) return credentials;
    if (credentials === undefined) return this.#refuseLogin(method.mechanism, MALFORMED_RESPONSE);
    const refusal = broker.authenticate(credentials.user, credentials.password, peerAddress);
    if (refusal !== undefined) return this.#refuseLogin(method.mechanism, refusal);
    this.#user = credentials.user;
    this.#state = 'tuning';
    const { channelMax, frameBytesMax, heartbeatSeconds } = limits;
    const tune = {
      name: 'connection.tune',
      channelMax,
      frameMax: frameBytesMax,
      heartbeat: heartbeatSeconds,
    } as const;
    writer.method(0, tune);
    return undefined;
  }

  /** The reason is for the log alone. A node without a place in the cluster knows no users: the client may come again. */
  #refuseLogin(mechanism: string, refusal: BrokerError): AmqpError | undefined {
    if (refusal.code === 'unavailable') return amqpError('connection-forced', refusal.text);
    if (this.#client.wantsAuthenticationClose) {
      this.#owner.report(toAmqpError(refusal));
      return refusedLogin(mechanism);
    }
    this.#owner.turnAway(toAmqpError(refusal));
    return undefined;
  }

  #tune(method: MethodOf<'connection.tune-ok'>): AmqpError | undefined {
    const { limits, writer } = this.#parts;
    const tuning = negotiate(limits, method);
    if (isAmqpError(tuning)) return tuning;
    this.#tuning = tuning;
    writer.frameBytesMax = tuning.frameBytesMax;
    this.#state = 'opening';
    this.#owner.tuned(tuning);
    return undefined;
  }

  #open({ virtualHost }: MethodOf<'connection.open'>): undefined {
    this.#state = 'connecting';
    const { product, version, platform, name } = this.#client;
    this.#owner.enter({
      user: this.#user,
      vhost: virtualHost,
      protocol: 'AMQP 0-9-1',
      peerAddress: this.#parts.peerAddress,
      clientName: name,
      details: { product, version, platform, ...this.#tuning },
    });
  }
}

export const unexpectedMethod = (method: Method, state: string): AmqpError =>
  amqpError('channel-error', `unexpected method ${method.name} in connection state ${state}`);
