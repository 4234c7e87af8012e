// Publishes ten messages over gRPC and waits for their confirms. Argument: host:port of a node.
import { create } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { BrokerService, DeclareQueueRequestSchema, PublishRequestSchema } from '../src/gen/warren/v1/broker_pb.ts';
import { grpcMethod } from '../src/protocols/grpc/service-methods.ts';

const client = new Client(process.argv[2] ?? '127.0.0.1:7672', credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', `Basic ${Buffer.from('guest:guest').toString('base64')}`);

const declare = grpcMethod(BrokerService.method.declareQueue);
const queue = create(DeclareQueueRequestSchema, { name: 'hello', durable: true });
await new Promise<void>((resolve, reject) =>
  client.makeUnaryRequest(
    declare.path,
    declare.requestSerialize,
    declare.responseDeserialize,
    queue,
    metadata,
    error => (error === null ? resolve() : reject(error)),
  ),
);

const { path, requestSerialize, responseDeserialize } = grpcMethod(BrokerService.method.publish);
const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
stream.on('data', response => console.log(`confirmed up to ${response.confirmedTo}`));
stream.on('error', error => console.error(error.message));
stream.on('end', () => client.close());

const messages = Array.from({ length: 10 }, (_, i) => ({ routingKey: 'hello', body: Buffer.from(`message ${i + 1}`) }));
stream.write(create(PublishRequestSchema, { messages }));
stream.end();
