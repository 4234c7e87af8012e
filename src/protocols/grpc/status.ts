import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { BrokerError } from '../../broker/broker-error.ts';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { unreachable } from '../../lib/assert.ts';

const DOMAIN = 'warren';
const DETAILS_KEY = 'grpc-status-details-bin';

/** An error as clients see it: the code decides what a program does, the reason tells cases of one code apart. */
export interface CallError {
  readonly code: status;
  /** NO_QUEUE and the like; stable. */
  readonly reason: string;
  readonly text: string;
  readonly facts: Readonly<Record<string, string>>;
}

export const callError = (
  code: status,
  reason: string,
  text: string,
  facts: Readonly<Record<string, string>> = {},
): CallError => ({ code, reason, text, facts });

export const invalidArgument = (text: string): CallError => callError(status.INVALID_ARGUMENT, 'INVALID', text);

/** What grpc-js sends as the end of a call, the details in the trailer that the gRPC error model names. */
export function toServiceError({ code, reason, text, facts }: CallError): ServiceError {
  const info = create(ErrorInfoSchema, { reason, domain: DOMAIN, metadata: { ...facts } });
  const details = create(StatusSchema, { code, message: text, details: [anyPack(ErrorInfoSchema, info)] });
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(toBinary(StatusSchema, details)));
  return Object.assign(new Error(text), { code, details: text, metadata });
}

export function fromBrokerError(error: BrokerError): CallError {
  switch (error.code) {
    case 'access-refused':
      return callError(status.PERMISSION_DENIED, 'ACCESS_REFUSED', error.text);
    case 'no-vhost':
      return callError(status.NOT_FOUND, 'NO_VHOST', `there is no virtual host '${error.vhost}'`, {
        vhost: error.vhost,
      });
    case 'no-user':
      return callError(status.NOT_FOUND, 'NO_USER', `there is no user '${error.user}'`, { user: error.user });
    case 'no-exchange':
      return callError(status.NOT_FOUND, 'NO_EXCHANGE', `there is no exchange ${named(error)}`, place(error));
    case 'no-queue':
      return callError(status.NOT_FOUND, 'NO_QUEUE', `there is no queue ${named(error)}`, place(error));
    case 'inequivalent': {
      const { argument, received, current } = error;
      const text = `${error.kind} ${named(error)} exists with ${argument} ${current}, not ${received}`;
      return callError(status.FAILED_PRECONDITION, 'INEQUIVALENT', text, {
        ...place(error),
        argument,
        received,
        current,
      });
    }
    case 'locked':
      return refused('LOCKED', `queue ${named(error)} belongs to another connection alone`, error);
    case 'exclusive-consumer':
      return refused('EXCLUSIVE_CONSUMER', `queue ${named(error)} has or would get an exclusive consumer`, error);
    case 'in-use':
      return refused('IN_USE', `${error.kind} ${named(error)} is in use`, error);
    case 'unknown-exchange-type':
      return invalidArgument(`there is no exchange type '${error.type}'`);
    case 'not-empty':
      return refused('NOT_EMPTY', `queue ${named(error)} is not empty`, error);
    case 'exists':
      return callError(status.ALREADY_EXISTS, 'EXISTS', error.text);
    case 'invalid':
      return invalidArgument(error.text);
    case 'not-implemented':
      return callError(status.UNIMPLEMENTED, 'NOT_IMPLEMENTED', error.text);
    case 'too-large':
      return callError(
        status.INVALID_ARGUMENT,
        'TOO_LARGE',
        `message of ${error.bytes} bytes; at most ${error.bytesMax}`,
        { bytesMax: String(error.bytesMax) },
      );
    case 'unavailable':
      return callError(status.UNAVAILABLE, 'UNAVAILABLE', error.text);
    default:
      return unreachable(error);
  }
}

interface Place {
  readonly vhost: string;
  readonly name: string;
}

const named = ({ vhost, name }: Place): string => `'${name}' in virtual host '${vhost}'`;
const place = ({ vhost, name }: Place): { vhost: string; name: string } => ({ vhost, name });
const refused = (reason: string, text: string, error: Place): CallError =>
  callError(status.FAILED_PRECONDITION, reason, text, place(error));
