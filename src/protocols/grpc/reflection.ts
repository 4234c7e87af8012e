import type { DescFile } from '@bufbuild/protobuf';
import { toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { ReflectionService } from '@grpc/reflection';
import { service as healthService } from 'grpc-health-check';
import { AdminService } from '../../gen/warren/v1/admin_pb.ts';
import { BrokerService } from '../../gen/warren/v1/broker_pb.ts';

/** How proto-loader keeps a service: each method with the files behind its types. */
interface LoadedHealth {
  readonly Check: { readonly requestType: object };
}

/** Server reflection for the client API, the status service and the health service, out of the descriptors in the generated code. */
export function makeReflection(): ReflectionService {
  // ReflectionService reads nothing of a package definition but the encoded files behind its types.
  const types = {
    [BrokerService.typeName]: filesBehind(BrokerService.file),
    [AdminService.typeName]: filesBehind(AdminService.file),
    'grpc.health.v1.Health': (healthService as unknown as LoadedHealth).Check.requestType,
  };
  return new ReflectionService(types as unknown as ConstructorParameters<typeof ReflectionService>[0]);
}

function filesBehind(file: DescFile): object {
  const files = new Map<string, Buffer>();
  collect(file, files);
  return { format: '', type: {}, fileDescriptorProtos: [...files.values()] };
}

function collect(file: DescFile, files: Map<string, Buffer>): void {
  if (files.has(file.name)) return;
  files.set(file.name, Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)));
  for (const dependency of file.dependencies) collect(dependency, files);
}
