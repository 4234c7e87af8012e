import { type Metadata, status } from '@grpc/grpc-js';
import type { Broker, BrokerConnection, ConnectionListener } from '../../broker/broker.ts';
import { readCredentials } from './credentials.ts';
import { type CallError, callError, fromBrokerError } from './status.ts';

/** What all calls have in common. */
export interface IncomingCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

/** Checks who calls and opens a connection to the broker: one for each call, so that no call waits for another's socket. */
export async function enter(
  broker: Broker,
  call: IncomingCall,
  listener: ConnectionListener,
): Promise<BrokerConnection | CallError> {
  const credentials = readCredentials(call.metadata);
  if (isCallError(credentials)) return credentials;
  const { user, password, vhost, clientName } = credentials;
  const peerAddress = call.getPeer();
  const refused = broker.authenticate(user, password, peerAddress);
  if (refused !== undefined) {
    const error = fromBrokerError(refused);
    if (refused.code !== 'access-refused') return error;
    return callError(status.UNAUTHENTICATED, error.reason, error.text);
  }
  const connected = await broker.connect({ user, vhost, protocol: 'gRPC', peerAddress, clientName }, listener);
  if (!connected.ok) return fromBrokerError(connected.error);
  const connection = connected.value;
  const tooMany = connection.mayOpenSession();
  if (tooMany === undefined) return connection;
  await connection.close();
  return fromBrokerError(tooMany);
}

export const isCallError = (value: object): value is CallError => 'reason' in value;
