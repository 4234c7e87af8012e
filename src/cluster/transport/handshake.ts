import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type HandshakeMessage, HandshakeMessageSchema, type Hello, HelloSchema } from '../../gen/node_pb.ts';
import { assert } from '../../lib/assert.ts';
import { incarnation, nodeId } from '../../lib/ids.ts';
import { CLUSTER_STATE_BYTES_MAX, type Decision, type NodeIdentity } from './transport.ts';

/** Envelope formats that this version speaks. */
export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

const NONCE_BYTES = 32;
type Step = HandshakeMessage['step'];

export interface HandshakeOptions {
  readonly secret: string;
  readonly identity: NodeIdentity;
  readonly decide: (peer: NodeIdentity) => Decision;
}

/** What one side has reached. `token` names the link to be made; only the two nodes can compute it. */
export type HandshakeOutcome =
  | { readonly done: 'agreed'; readonly peer: NodeIdentity; readonly token: string; readonly openLanes: boolean }
  | { readonly done: 'refused'; readonly peer: string | undefined; readonly reason: string };

export interface HandshakeProgress {
  readonly reply: Uint8Array | undefined;
  readonly outcome: HandshakeOutcome | undefined;
}

/**
 * The calling side. Challenge and response over both hellos: the secret never crosses the wire, and each side proves it
 * before the other's decision is told.
 *
 *     caller                               called
 *       hello(nonce)              ->
 *                                 <-       challenge(hello(nonce), proof)
 *       proof                     ->
 *                                 <-       verdict
 */
export class CallerHandshake {
  readonly #options: HandshakeOptions;
  readonly #expectedName: string;
  readonly #address: string;
  readonly #ownHello: Uint8Array;
  #agreed: { readonly peer: NodeIdentity; readonly token: string } | undefined;

  /** @param expectedName what the node at `address` should be called. */
  constructor(options: HandshakeOptions, expectedName: string, address: string) {
    this.#options = options;
    this.#expectedName = expectedName;
    this.#address = address;
    this.#ownHello = encodeHello(options.identity);
  }

  start(): Uint8Array {
    return encodeStep({ case: 'hello', value: this.#ownHello });
  }

  receive(message: Uint8Array): HandshakeProgress {
    const step = decodeStep(message);
    if (step?.case === 'refusal') return fromPeer(this.#expectedName, step.value.reason);
    if (step?.case === 'challenge' && this.#agreed === undefined) {
      return this.#challenged(step.value.hello, step.value.proof);
    }
    if (step?.case === 'verdict' && this.#agreed !== undefined) {
      return {
        reply: undefined,
        outcome: { done: 'agreed', ...this.#agreed, openLanes: step.value.openLanes },
      };
    }
    return refuse(this.#expectedName, NOT_UNDERSTOOD);
  }

  #challenged(helloBytes: Uint8Array, proof: Uint8Array): HandshakeProgress {
    const { secret, identity, decide } = this.#options;
    const hello = decodeHello(helloBytes);
    if (hello === undefined) return refuse(this.#expectedName, NOT_UNDERSTOOD);
    const misfit = findMisfit(identity, hello, this.#address);
    if (misfit !== undefined) return refuse(this.#expectedName, misfit);
    if (hello.nodeName !== this.#expectedName) {
      return refuse(
        this.#expectedName,
        `the node at ${this.#address} is named '${hello.nodeName}', not '${this.#expectedName}'`,
      );
    }
    const transcript = transcriptOf(this.#ownHello, helloBytes);
    if (!isEqual(prove(secret, 'called', transcript), proof)) return refuse(hello.nodeName, SECRET_DIFFERS);
    const peer = toIdentity(hello);
    const decision = decide(peer);
    if (!decision.accept) return refuse(hello.nodeName, decision.reason);
    this.#agreed = { peer, token: tokenOf(secret, transcript) };
    return {
      reply: encodeStep({
        case: 'proof',
        value: { $typeName: 'warren.node.v1.Proof', proof: prove(secret, 'caller', transcript) },
      }),
      outcome: undefined,
    };
  }
}

/** The called side; see `CallerHandshake`. */
export class CalledHandshake {
  readonly #options: HandshakeOptions;
  readonly #callerAddress: string;
  #hello: Hello | undefined;
  #transcript: Uint8Array | undefined;

  constructor(options: HandshakeOptions, callerAddress: string) {
    this.#options = options;
    this.#callerAddress = callerAddress;
  }

  receive(message: Uint8Array): HandshakeProgress {
    const step = decodeStep(message);
    if (step?.case === 'refusal') return fromPeer(this.#callerName(), step.value.reason);
    if (step?.case === 'hello' && this.#hello === undefined) return this.#greeted(step.value);
    if (step?.case === 'proof' && this.#transcript !== undefined) return this.#proved(step.value.proof);
    return refuse(this.#callerName(), NOT_UNDERSTOOD);
  }

  #greeted(helloBytes: Uint8Array): HandshakeProgress {
    const { secret, identity } = this.#options;
    const hello = decodeHello(helloBytes);
    if (hello === undefined) return refuse(undefined, NOT_UNDERSTOOD);
    this.#hello = hello;
    const misfit = findMisfit(identity, hello, this.#callerAddress);
    if (misfit !== undefined) return refuse(hello.nodeName, misfit);
    const ownHello = encodeHello(identity);
    this.#transcript = transcriptOf(helloBytes, ownHello);
    return {
      reply: encodeStep({
        case: 'challenge',
        value: {
          $typeName: 'warren.node.v1.Challenge',
          hello: ownHello,
          proof: prove(secret, 'called', this.#transcript),
        },
      }),
      outcome: undefined,
    };
  }

  #proved(proof: Uint8Array): HandshakeProgress {
    const { secret, identity, decide } = this.#options;
    const hello = this.#hello;
    const transcript = this.#transcript;
    assert(hello !== undefined && transcript !== undefined, 'proof before hello');
    if (!isEqual(prove(secret, 'caller', transcript), proof)) return refuse(hello.nodeName, SECRET_DIFFERS);
    const peer = toIdentity(hello);
    const decision = decide(peer);
    if (!decision.accept) return refuse(hello.nodeName, decision.reason);
    const openLanes = peer.nodeName < identity.nodeName;
    return {
      reply: encodeStep({ case: 'verdict', value: { $typeName: 'warren.node.v1.Verdict', openLanes } }),
      outcome: { done: 'agreed', peer, token: tokenOf(secret, transcript), openLanes },
    };
  }

  #callerName(): string | undefined {
    return this.#hello?.nodeName;
  }
}

const NOT_UNDERSTOOD = 'the handshake was not understood';
const SECRET_DIFFERS = 'the shared secret differs';

/** Why two nodes cannot be of one cluster, as a sentence; undefined if nothing speaks against it. */
function findMisfit(own: NodeIdentity, peer: Hello, address: string): string | undefined {
  if (peer.protocolMin > PROTOCOL_MAX || peer.protocolMax < PROTOCOL_MIN) {
    return (
      `node '${peer.nodeName}' speaks node protocol ${peer.protocolMin} to ${peer.protocolMax}, ` +
      `node '${own.nodeName}' ${PROTOCOL_MIN} to ${PROTOCOL_MAX}`
    );
  }
  if (peer.clusterName !== own.clusterName) {
    return `node '${peer.nodeName}' belongs to cluster '${peer.clusterName}', node '${own.nodeName}' to '${own.clusterName}'`;
  }
  if (peer.clusterId !== '' && own.clusterId !== undefined && peer.clusterId !== own.clusterId) {
    return (
      `node '${peer.nodeName}' belongs to another cluster named '${own.clusterName}' ` +
      `(id ${peer.clusterId}, node '${own.nodeName}' has ${own.clusterId})`
    );
  }
  if (peer.nodeName === own.nodeName) {
    return peer.directoryId === own.directoryId
      ? `the address ${address} leads node '${own.nodeName}' to itself`
      : `two nodes are named '${own.nodeName}': data directories ${own.directoryId} and ${peer.directoryId}; rename one`;
  }
  return undefined;
}

function refuse(peer: string | undefined, reason: string): HandshakeProgress {
  const reply = encodeStep({ case: 'refusal', value: { $typeName: 'warren.node.v1.Refusal', reason } });
  return { reply, outcome: { done: 'refused', peer, reason } };
}

function fromPeer(peer: string | undefined, reason: string): HandshakeProgress {
  return { reply: undefined, outcome: { done: 'refused', peer, reason: `refused by the other node: ${reason}` } };
}

function encodeStep(step: Step): Uint8Array {
  return toBinary(HandshakeMessageSchema, create(HandshakeMessageSchema, { step }));
}

function decodeStep(message: Uint8Array): Step | undefined {
  try {
    return fromBinary(HandshakeMessageSchema, message).step;
  } catch {
    return undefined;
  }
}

function decodeHello(bytes: Uint8Array): Hello | undefined {
  try {
    return fromBinary(HelloSchema, bytes);
  } catch {
    return undefined;
  }
}

function encodeHello(identity: NodeIdentity): Uint8Array {
  assert(
    identity.clusterState.length <= CLUSTER_STATE_BYTES_MAX,
    () => `cluster state of ${identity.clusterState.length} bytes; at most ${CLUSTER_STATE_BYTES_MAX}`,
  );
  const hello = create(HelloSchema, {
    protocolMin: PROTOCOL_MIN,
    protocolMax: PROTOCOL_MAX,
    clusterName: identity.clusterName,
    clusterId: identity.clusterId ?? '',
    nodeName: identity.nodeName,
    directoryId: identity.directoryId,
    nodeId: identity.nodeId ?? 0,
    incarnation: identity.incarnation ?? 0,
    directoryEmpty: identity.isDirectoryEmpty,
    address: identity.address,
    clusterState: identity.clusterState,
    nonce: randomBytes(NONCE_BYTES),
  });
  return toBinary(HelloSchema, hello);
}

function toIdentity(hello: Hello): NodeIdentity {
  return {
    nodeName: hello.nodeName,
    directoryId: hello.directoryId,
    clusterName: hello.clusterName,
    clusterId: hello.clusterId === '' ? undefined : hello.clusterId,
    nodeId: hello.nodeId === 0 ? undefined : nodeId(hello.nodeId),
    incarnation: hello.incarnation === 0 ? undefined : incarnation(hello.incarnation),
    isDirectoryEmpty: hello.directoryEmpty,
    address: hello.address,
    clusterState: new Uint8Array(hello.clusterState),
  };
}

/** Both hellos as sent, hashed: each holds a nonce, so no proof fits another handshake. */
function transcriptOf(callerHello: Uint8Array, calledHello: Uint8Array): Uint8Array {
  const lengths = new Uint8Array(4);
  new DataView(lengths.buffer).setUint32(0, callerHello.length);
  return Buffer.concat([lengths, callerHello, calledHello]);
}

function prove(secret: string, role: 'caller' | 'called', transcript: Uint8Array): Uint8Array {
  return createHmac('sha256', secret).update(`warren ${role}\0`).update(transcript).digest();
}

function tokenOf(secret: string, transcript: Uint8Array): string {
  return createHmac('sha256', secret).update('warren link\0').update(transcript).digest('hex');
}

function isEqual(expected: Uint8Array, actual: Uint8Array): boolean {
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
