// Prints and settles what arrives in the queue `hello`, over gRPC. Argument: host:port of a node.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { BrokerService, ConsumeRequestSchema } from '../src/gen/warren/v1/broker_pb.ts';
import { grpcMethod } from '../src/protocols/grpc/service-methods.ts';

const client = new Client(process.argv[2] ?? '127.0.0.1:7672', credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', `Basic ${Buffer.from('guest:guest').toString('base64')}`);

const { path, requestSerialize, responseDeserialize } = grpcMethod(BrokerService.method.consume);
const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
const send = (request: MessageInitShape<typeof ConsumeRequestSchema>['request']) =>
  stream.write(create(ConsumeRequestSchema, { request: request! }));

stream.on('data', ({ response }) => {
  if (response.case !== 'deliveries') return;
  const { deliveries } = response.value;
  for (const { number, message } of deliveries) console.log(`${number}: ${Buffer.from(message!.body)}`);
  send({ case: 'settle', value: { last: deliveries.at(-1)!.number } });
});
stream.on('error', error => {
  console.error(error.message);
  client.close();
});
send({ case: 'open', value: { queue: 'hello', window: 100 } });
