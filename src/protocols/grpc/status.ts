import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type BrokerError, brokerErrorText } from '../../broker/broker-error.ts';
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
  const text = brokerErrorText(error);
  switch (error.code) {
    case 'access-refused':
      return callError(status.PERMISSION_DENIED, 'ACCESS_REFUSED', text);
    case 'no-vhost':
      return callError(status.NOT_FOUND, 'NO_VHOST', text, { vhost: error.vhost });
    case 'no-user':
      return callError(status.NOT_FOUND, 'NO_USER', text, { user: error.user });
    case 'no-exchange':
      return callError(status.NOT_FOUND, 'NO_EXCHANGE', text, place(error));
    case 'no-queue':
      return callError(status.NOT_FOUND, 'NO_QUEUE', text, place(error));
    case 'inequivalent': {
      const { argument, received, current } = error;
      const facts = { ...place(error), argument, received, current };
      return callError(status.FAILED_PRECONDITION, 'INEQUIVALENT', text, facts);
    }
    case 'locked':
      return callError(status.FAILED_PRECONDITION, 'LOCKED', text, place(error));
    case 'exclusive-consumer':
      return callError(status.FAILED_PRECONDITION, 'EXCLUSIVE_CONSUMER', text, place(error));
    case 'in-use':
      return callError(status.FAILED_PRECONDITION, 'IN_USE', text, place(error));
    case 'not-empty':
      return callError(status.FAILED_PRECONDITION, 'NOT_EMPTY', text, place(error));
    case 'exists':
      return callError(status.ALREADY_EXISTS, 'EXISTS', text);
    case 'unknown-exchange-type':
    case 'invalid':
      return invalidArgument(text);
    case 'not-implemented':
      return callError(status.UNIMPLEMENTED, 'NOT_IMPLEMENTED', text);
    case 'too-large':
      return callError(status.INVALID_ARGUMENT, 'TOO_LARGE', text, { bytesMax: String(error.bytesMax) });
    case 'unavailable':
      return callError(status.UNAVAILABLE, 'UNAVAILABLE', text);
    default:
      return unreachable(error);
  }
}

const place = ({ vhost, name }: { readonly vhost: string; readonly name: string }) => ({ vhost, name });
