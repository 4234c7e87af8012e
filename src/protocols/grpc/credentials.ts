import { type Metadata, status } from '@grpc/grpc-js';
import { DEFAULT_VHOST } from '../../broker/names.ts';
import { type CallError, callError } from './status.ts';

export const AUTHORIZATION = 'authorization';
export const VHOST = 'warren-vhost';

export interface Credentials {
  readonly user: string;
  readonly password: string;
  readonly vhost: string;
  readonly clientName: string | undefined;
}

/** `authorization: Basic BASE64(user:password)` (RFC 7617), and the virtual host. */
export function readCredentials(metadata: Metadata): Credentials | CallError {
  const authorization = textOf(metadata, AUTHORIZATION);
  const encoded = /^basic +([a-z0-9+/=]+)$/i.exec(authorization ?? '')?.[1];
  const decoded = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) {
    const text = `metadata '${AUTHORIZATION}: Basic ...' with user and password is missing`;
    return callError(status.UNAUTHENTICATED, 'NO_CREDENTIALS', text);
  }
  return {
    user: decoded.slice(0, colon),
    password: decoded.slice(colon + 1),
    vhost: textOf(metadata, VHOST) ?? DEFAULT_VHOST,
    clientName: textOf(metadata, 'user-agent'),
  };
}

function textOf(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key)[0];
  return typeof value === 'string' ? value : undefined;
}
