import { createServer, type Socket, type Server as SocketServer } from 'node:net';
import { type ConnectionInjector, Server, ServerCredentials, type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { Clock } from '../../lib/clock.ts';
import type { Random } from '../../lib/random.ts';
import type { OpenedLanes } from './dial.ts';
import { GrpcLink, type LaneBounds } from './grpc-link.ts';
import { CalledHandshake, type HandshakeOptions } from './handshake.ts';
import { LinkOffers } from './link-offers.ts';
import {
  HANDSHAKE,
  HANDSHAKE_TIMEOUT_MS,
  LANE_METHODS,
  LINK_TOKEN,
  RECEIVE_WINDOW_BYTES,
  SERVER_OPTIONS,
} from './node-service.ts';
import { PeerAddresses } from './peer-address.ts';
import { PeerConnection, type PeerConnectionDependencies } from './peer-connection.ts';
import { widenReceiveWindow } from './receive-window.ts';
import { Refusals } from './refusals.ts';
import {
  type Decision,
  LANES,
  type Lane,
  type NodeIdentity,
  type PeerAddress,
  type PeerLink,
  type StartResult,
  type Transport,
  type TransportListener,
} from './transport.ts';

export interface GrpcTransportOptions {
  /** An address, not a name (R19). */
  readonly listenHost: string;
  /** 0: any free port. */
  readonly listenPort: number;
  /** Known to every node of the cluster. Empty: whoever reaches the port is believed. */
  readonly secret: string;
  readonly bounds: LaneBounds;
}

export interface GrpcTransportDependencies {
  readonly listener: TransportListener;
  readonly clock: Clock;
  /** Only for the jitter of reconnects. */
  readonly random: Random;
}

type Call = ServerDuplexStream<Buffer, Buffer>;

/** Links to other nodes over gRPC: `proto/node.proto` is the protocol. */
export class GrpcTransport implements Transport {
  readonly #options: GrpcTransportOptions;
  readonly #listener: TransportListener;
  readonly #clock: Clock;
  readonly #connectionDependencies: PeerConnectionDependencies;
  readonly #connections = new Map<string, PeerConnection>();
  readonly #offers: LinkOffers;
  readonly #refusals: Refusals;
  readonly #server = new Server(SERVER_OPTIONS);
  readonly #injector: ConnectionInjector;
  readonly #sockets = new Map<string, Socket>();
  readonly #dirty: GrpcLink[] = [];
  #socketServer: SocketServer | undefined;
  #isClosed = false;

  constructor(options: GrpcTransportOptions, dependencies: GrpcTransportDependencies) {
    this.#options = options;
    this.#listener = dependencies.listener;
    this.#clock = dependencies.clock;
    this.#refusals = new Refusals((peer, reason) => this.#isClosed || this.#listener.refused(peer, reason));
    this.#offers = new LinkOffers(this.#clock, (peer, lanes) =>
      this.#linked(peer, { streams: lanes, destroy: () => this.#destroySockets(LANES.map(lane => lanes[lane])) }, true),
    );
    this.#connectionDependencies = {
      clock: this.#clock,
      random: dependencies.random,
      addresses: new PeerAddresses(this.#clock),
      handshakeOptions: () => this.#handshakeOptions(),
      linked: (peer, lanes) => this.#linked(peer, lanes, false),
      refused: (peer, reason) => {
        this.#refusals.report(peer, reason);
        if (!this.#isClosed) this.#listener.turnedAway(peer, reason);
      },
      processGone: nodeName => this.#isClosed || this.#listener.processGone(nodeName),
    };
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#server.register(
      HANDSHAKE.path,
      (call: Call) => this.#shakeHands(call),
      HANDSHAKE.requestSerialize,
      HANDSHAKE.requestDeserialize,
      'bidi',
    );
    for (const lane of LANES) {
      const { path, requestSerialize, requestDeserialize } = LANE_METHODS[lane];
      this.#server.register(
        path,
        (call: Call) => this.#openLane(lane, call),
        requestSerialize,
        requestDeserialize,
        'bidi',
      );
    }
  }

  start(): Promise<StartResult> {
    const { listenHost, listenPort } = this.#options;
    return new Promise(resolve => {
      const socketServer = createServer(socket => this.#accept(socket));
      socketServer.once('error', (error: NodeJS.ErrnoException) => {
        const isTaken = error.code === 'EADDRINUSE';
        const text = isTaken
          ? `port ${listenPort} of ${listenHost} is in use by another process`
          : `cannot listen on port ${listenPort} of ${listenHost}: ${error.message}`;
        resolve({ ok: false, code: isTaken ? 'port-in-use' : 'cannot-listen', text });
      });
      socketServer.listen({ host: listenHost, port: listenPort }, () => {
        this.#socketServer = socketServer;
        const address = socketServer.address();
        resolve({ ok: true, port: typeof address === 'object' && address !== null ? address.port : listenPort });
      });
    });
  }

  addPeer(peer: PeerAddress): void {
    this.#connection(peer.nodeName, peer.address).try();
  }

  removePeer(nodeName: string): void {
    const connection = this.#connections.get(nodeName);
    this.#connections.delete(nodeName);
    connection?.end();
  }

  link(nodeName: string): PeerLink | undefined {
    return this.#connections.get(nodeName)?.link;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#offers.close();
    for (const connection of this.#connections.values()) connection.end();
    this.#connections.clear();
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#server.forceShutdown();
    const socketServer = this.#socketServer;
    if (socketServer !== undefined) await new Promise(resolve => socketServer.close(resolve));
  }

  #accept(socket: Socket): void {
    const key = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#sockets.set(key, socket);
    socket.once('close', () => this.#sockets.delete(key));
    this.#injector.injectConnection(socket);
  }

  #destroySockets(calls: readonly Call[]): void {
    for (const call of calls) this.#sockets.get(call.getPeer())?.destroy();
  }

  #handshakeOptions(): HandshakeOptions {
    return {
      secret: this.#options.secret,
      identity: this.#listener.identity(),
      decide: peer => this.#decide(peer),
    };
  }

  #decide(peer: NodeIdentity): Decision {
    if (this.#isClosed) return { accept: false, reason: 'this node is stopping' };
    const linked = this.#connections.get(peer.nodeName)?.link?.peer;
    if (linked !== undefined && linked.directoryId !== peer.directoryId) {
      return {
        accept: false,
        reason:
          `two nodes are named '${peer.nodeName}': data directories ${linked.directoryId} at ${linked.address} ` +
          `and ${peer.directoryId} at ${peer.address}; rename one`,
      };
    }
    return this.#listener.decide(peer);
  }

  #shakeHands(call: Call): void {
    const caller = call.getPeer();
    const handshake = new CalledHandshake(this.#handshakeOptions(), caller);
    const linksBefore = new Map([...this.#connections].map(([nodeName, { link }]) => [nodeName, link]));
    const cancel = this.#clock.after(HANDSHAKE_TIMEOUT_MS, () => call.end());
    call.on('cancelled', cancel);
    call.on('error', cancel);
    call.on('end', () => call.end());
    call.on('data', (message: Buffer) => {
      const { reply, outcome } = handshake.receive(message);
      if (outcome?.done === 'agreed' && outcome.openLanes) this.#offers.add(outcome.token, outcome.peer);
      if (reply !== undefined) call.write(Buffer.from(reply));
      if (outcome === undefined) return;
      cancel();
      call.end();
      if (outcome.done === 'refused') this.#refusals.report(outcome.peer ?? caller, outcome.reason);
      else if (!outcome.openLanes) this.#dialBack(outcome.peer, linksBefore.get(outcome.peer.nodeName));
    });
  }

  /** The peer has no link, says its handshake. One that was there before is a leftover; a newer one crossed the request. */
  #dialBack(peer: NodeIdentity, linkBefore: GrpcLink | undefined): void {
    const connection = this.#connection(peer.nodeName, peer.address);
    if (connection.link === undefined) connection.try();
    else if (connection.link === linkBefore) connection.link.end('the other node lost the link');
  }

  #openLane(lane: Lane, call: Call): void {
    widenReceiveWindow(call, RECEIVE_WINDOW_BYTES);
    const token = call.metadata.get(LINK_TOKEN)[0];
    if (typeof token === 'string' && this.#offers.take(token, lane, call)) return;
    call.emit('error', { code: status.UNAUTHENTICATED, details: 'no handshake stands behind this lane' });
  }

  #linked(peer: NodeIdentity, lanes: OpenedLanes, isCalled: boolean): void {
    const connection = this.#connection(peer.nodeName, peer.address);
    connection.link?.end('the other node made a new link');
    this.#refusals.forget(peer.nodeName);
    const link = new GrpcLink(
      { peer, bounds: this.#options.bounds, ...lanes },
      {
        listener: this.#listener,
        dirty: dirty => this.#flushLater(dirty),
        ended: (ended, reason) => {
          if (this.#isClosed) return;
          connection.unlinked();
          this.#listener.disconnected(ended, reason);
        },
      },
    );
    connection.linked(link);
    if (isCalled) link.announce();
    this.#listener.connected(link);
    link.read();
  }

  #connection(nodeName: string, address: string): PeerConnection {
    const known = this.#connections.get(nodeName);
    known?.setAddress(address);
    const connection = known ?? new PeerConnection(nodeName, address, this.#connectionDependencies);
    this.#connections.set(nodeName, connection);
    return connection;
  }

  #flushLater(link: GrpcLink): void {
    this.#dirty.push(link);
    if (this.#dirty.length === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    for (const link of this.#dirty) link.flush();
    this.#dirty.length = 0;
  }
}
