import type { DescMessage, DescMethod, MessageShape } from '@bufbuild/protobuf';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { MethodDefinition } from '@grpc/grpc-js';
import { BrokerService } from '../../gen/warren/v1/broker_pb.ts';

type Shape<Method extends DescMethod, Side extends 'input' | 'output'> = MessageShape<Method[Side]>;

/** A generated method as grpc-js wants it: its path, and codecs out of its descriptors. */
export function grpcMethod<Method extends DescMethod>(
  method: Method,
): MethodDefinition<Shape<Method, 'input'>, Shape<Method, 'output'>> {
  const { input, output, methodKind } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: methodKind === 'client_streaming' || methodKind === 'bidi_streaming',
    responseStream: methodKind === 'server_streaming' || methodKind === 'bidi_streaming',
    requestSerialize: encoder<Method['input']>(input),
    requestDeserialize: bytes => fromBinary<Method['input']>(input, bytes),
    responseSerialize: encoder<Method['output']>(output),
    responseDeserialize: bytes => fromBinary<Method['output']>(output, bytes),
  };
}

function encoder<Desc extends DescMessage>(desc: Desc): (message: MessageShape<Desc>) => Buffer {
  return message => {
    const { buffer, byteOffset, byteLength } = toBinary(desc, message);
    return Buffer.from(buffer, byteOffset, byteLength);
  };
}

export const METHODS = BrokerService.method;
