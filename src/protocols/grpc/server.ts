import { type AddressInfo, createServer, type Socket, type Server as SocketServer } from 'node:net';
import { type ConnectionInjector, type handleUnaryCall, Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import type { Broker } from '../../broker/broker.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Management } from '../../management/management.ts';
import { adminServiceDefinition, adminServiceImplementation, type StatusSource } from './admin-service.ts';
import { type ConsumeCall, ConsumeStream } from './consume-stream.ts';
import { enter, isCallError } from './entrance.ts';
import type { PropertyCodec } from './property-codec.ts';
import { PropertyMapping } from './property-mapping.ts';
import { type PublishCall, PublishStream } from './publish-stream.ts';
import { answerUnary, UNARY_NAMES, type UnaryInput, type UnaryName, type UnaryOutput } from './queue-calls.ts';
import { makeReflection } from './reflection.ts';
import { grpcMethod, METHODS } from './service-methods.ts';
import { toServiceError } from './status.ts';

const MIB = 1024 * 1024;
/** What a request needs beside a body of the largest size. */
const REQUEST_OVERHEAD_BYTES = 128 * 1024;
const STREAMS_PER_CONNECTION_MAX = 1_000;

/** Bounds of the client API's server. */
export interface GrpcLimits {
  /** Connections at a time; further ones are closed at once. */
  readonly connectionsMax: number;
  /** Body of one message, and so about a request with many. */
  readonly messageBytesMax: number;
  /** How long open calls may take to end when the server closes. */
  readonly closeTimeoutMs: number;
}

export const DEFAULT_LIMITS: GrpcLimits = { connectionsMax: 10_000, messageBytesMax: 16 * MIB, closeTimeoutMs: 5_000 };

export interface GrpcServerOptions {
  /** An address, not a name. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** What differs from `DEFAULT_LIMITS`. */
  readonly limits?: Partial<GrpcLimits>;
}

export interface GrpcServerDeps {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly propertyCodec: PropertyCodec;
  /** What `warren status` asks for. */
  readonly status: StatusSource;
  /** What operators see and do; undefined while the node has no place in the cluster. */
  readonly management: () => Management | undefined;
}

interface OpenStream {
  closed(reason: string): void;
}

/** The client API over gRPC, with the standard health and reflection services. */
export class GrpcServer {
  readonly #options: GrpcServerOptions;
  readonly #deps: GrpcServerDeps;
  readonly #limits: GrpcLimits;
  readonly #mapping: PropertyMapping;
  readonly #server: Server;
  readonly #injector: ConnectionInjector;
  readonly #socketServer: SocketServer;
  readonly #health: HealthImplementation;
  readonly #sockets = new Set<Socket>();
  readonly #streams = new Set<OpenStream>();
  #onIdle: (() => void) | undefined;
  #isFull = false;

  constructor(options: GrpcServerOptions, deps: GrpcServerDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#mapping = new PropertyMapping(deps.propertyCodec);
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#server = new Server({
      'grpc.max_receive_message_length': this.#limits.messageBytesMax + REQUEST_OVERHEAD_BYTES,
      'grpc.max_send_message_length': -1,
      'grpc.max_concurrent_streams': STREAMS_PER_CONNECTION_MAX,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 20_000,
      'grpc.enable_channelz': 0,
    });
    this.#registerStreams();
    this.#registerUnary();
    this.#server.addService(adminServiceDefinition, adminServiceImplementation(deps));
    this.#health = new HealthImplementation({ '': 'SERVING', [METHODS.publish.parent.typeName]: 'SERVING' });
    this.#health.addToServer(this.#server);
    makeReflection().addToServer(this.#server);
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#socketServer = createServer(socket => this.#accept(socket));
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  /** What the health service tells. */
  setServing(isServing: boolean): void {
    for (const service of ['', METHODS.publish.parent.typeName]) {
      this.#health.setStatus(service, isServing ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Resolves with the port; rejects with the system's error when it cannot be had. */
  listen(): Promise<number> {
    const server = this.#socketServer;
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#options.port, this.#options.host, () => {
        server.off('error', reject);
        server.on('error', err => this.#deps.logger.error({ err }, 'gRPC listener failed'));
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts no more, ends open streams with UNAVAILABLE, and resolves when all is gone (`closeTimeoutMs` at most). */
  async close(reason = 'the node is stopping'): Promise<void> {
    this.setServing(false);
    const listenerClosed = new Promise(resolve => this.#socketServer.close(resolve));
    const idle = new Promise<void>(resolve => {
      this.#onIdle = resolve;
    });
    for (const stream of [...this.#streams]) stream.closed(reason);
    this.#injector.drain(this.#limits.closeTimeoutMs);
    const cancel = this.#deps.clock.after(this.#limits.closeTimeoutMs, () => this.#destroySockets());
    if (this.#sockets.size > 0) await idle;
    cancel();
    this.#server.forceShutdown();
    await listenerClosed;
  }

  #registerStreams(): void {
    const publish = grpcMethod(METHODS.publish);
    const consume = grpcMethod(METHODS.consume);
    this.#server.register(
      publish.path,
      (call: PublishCall) => void this.#publish(call),
      publish.responseSerialize,
      publish.requestDeserialize,
      'bidi',
    );
    this.#server.register(
      consume.path,
      (call: ConsumeCall) => void this.#consume(call),
      (encoded: Buffer) => encoded,
      consume.requestDeserialize,
      'bidi',
    );
  }

  #registerUnary(): void {
    for (const name of UNARY_NAMES) this.#registerOne(name);
  }

  #registerOne<Name extends UnaryName>(name: Name): void {
    const { path, responseSerialize, requestDeserialize } = grpcMethod<(typeof METHODS)[Name]>(METHODS[name]);
    const handle: handleUnaryCall<UnaryInput<Name>, UnaryOutput<Name>> = (call, callback) => {
      void answerUnary(name, this.#deps.broker, call).then(answer => {
        if (isCallError(answer)) callback(toServiceError(answer));
        else callback(null, answer);
      });
    };
    this.#server.register(path, handle, responseSerialize, requestDeserialize, 'unary');
  }

  async #publish(call: PublishCall): Promise<void> {
    const stream = new PublishStream(call, this.#mapping);
    this.#track(stream, call);
    const entered = await enter(this.#deps.broker, call, stream);
    if (isCallError(entered)) stream.fail(entered);
    else stream.start(entered);
  }

  async #consume(call: ConsumeCall): Promise<void> {
    const stream = new ConsumeStream(call, this.#mapping);
    this.#track(stream, call);
    const entered = await enter(this.#deps.broker, call, stream);
    if (isCallError(entered)) stream.fail(entered);
    else stream.start(entered);
  }

  #track(stream: OpenStream, call: PublishCall | ConsumeCall): void {
    this.#streams.add(stream);
    for (const event of ['cancelled', 'error', 'finish']) call.on(event, () => this.#streams.delete(stream));
  }

  #accept(socket: Socket): void {
    const { connectionsMax } = this.#limits;
    if (this.#sockets.size >= connectionsMax) {
      if (!this.#isFull) this.#deps.logger.warn({ connectionsMax }, 'gRPC connections refused: limit reached');
      this.#isFull = true;
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#isFull = false;
      if (this.#sockets.size === 0) this.#onIdle?.();
    });
    this.#injector.injectConnection(socket);
  }

  #destroySockets(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
