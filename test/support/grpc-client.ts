import type { DescMethod, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { create, fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { Client, type ClientDuplexStream, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { type ErrorInfo, ErrorInfoSchema } from '../../src/gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../src/gen/google/rpc/status_pb.ts';
import { grpcMethod, METHODS } from '../../src/protocols/grpc/service-methods.ts';

type Methods = typeof METHODS;
type StreamName = 'publish' | 'consume';
type UnaryName = Exclude<keyof Methods, StreamName>;
type Input<Name extends keyof Methods> = MessageInitShape<Methods[Name]['input']>;
type Output<Name extends keyof Methods> = MessageShape<Methods[Name]['output']>;

export function loginMetadata(user = 'guest', password = 'guest', vhost?: string): Metadata {
  const metadata = new Metadata();
  metadata.set('authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
  if (vhost !== undefined) metadata.set('warren-vhost', vhost);
  return metadata;
}

/** The ErrorInfo of a failed call. */
export function errorInfoOf(error: ServiceError): ErrorInfo | undefined {
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (!(bytes instanceof Uint8Array)) return undefined;
  const [detail] = fromBinary(StatusSchema, bytes).details;
  return detail && anyUnpack(detail, ErrorInfoSchema);
}

/** One streaming call that keeps what it receives, and how it ended. */
export class StreamCall<Name extends StreamName> {
  readonly responses: Output<Name>[] = [];
  error: ServiceError | undefined;
  hasEnded = false;
  readonly call: ClientDuplexStream<MessageShape<Methods[Name]['input']>, Output<Name>>;
  readonly #desc: DescMethod;
  #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  constructor(desc: DescMethod, call: ClientDuplexStream<MessageShape<Methods[Name]['input']>, Output<Name>>) {
    this.#desc = desc;
    this.call = call;
    call.on('data', (response: Output<Name>) => this.#note(() => this.responses.push(response)));
    call.on('error', (error: ServiceError) =>
      this.#note(() => {
        this.error = error;
      }),
    );
    call.on('end', () =>
      this.#note(() => {
        this.hasEnded = true;
      }),
    );
  }

  send(request: Input<Name>): void {
    this.call.write(create(this.#desc.input, request as never) as never);
  }

  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise(resolve => this.#waiting.push({ holds, resolve }));
  }

  async failure(): Promise<ServiceError> {
    await this.until(() => this.error !== undefined);
    return this.error!;
  }

  #note(change: () => void): void {
    change();
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => {
      if (!holds()) return true;
      resolve();
      return false;
    });
  }
}

/** A client of the API as generated code would make it. */
export class GrpcTestClient {
  readonly #client: Client;
  readonly #metadata: Metadata;

  constructor(port: number, metadata = loginMetadata()) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    this.#metadata = metadata;
  }

  publish(): StreamCall<'publish'> {
    return this.#stream('publish');
  }

  consume(): StreamCall<'consume'> {
    return this.#stream('consume');
  }

  call<Name extends UnaryName>(name: Name, request: Input<Name>): Promise<Output<Name>> {
    const { path, requestSerialize, responseDeserialize } = grpcMethod<Methods[Name]>(METHODS[name]);
    const message = create<Methods[Name]['input']>(METHODS[name].input, request);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        this.#metadata,
        (error, response) => (error === null ? resolve(response!) : reject(error)),
      );
    });
  }

  close(): void {
    this.#client.close();
  }

  #stream<Name extends StreamName>(name: Name): StreamCall<Name> {
    const desc: Methods[Name] = METHODS[name];
    const { path, requestSerialize, responseDeserialize } = grpcMethod<Methods[Name]>(desc);
    const call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata);
    return new StreamCall<Name>(desc, call);
  }
}
