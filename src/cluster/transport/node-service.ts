import type { ChannelOptions, MethodDefinition } from '@grpc/grpc-js';
import { Node } from '../../gen/node_pb.ts';
import { type Lane, MESSAGE_BYTES_MAX } from './transport.ts';

/** Metadata key that ties a lane to its handshake. */
export const LINK_TOKEN = 'warren-link';
/** Time for a handshake, and again for the three lanes to open. */
export const HANDSHAKE_TIMEOUT_MS = 3_000;
export const CONNECT_TIMEOUT_MS = 1_000;

/** Bytes pass through as they are: envelopes have a codec of their own, handshakes encode by hand. */
const identity = (bytes: Buffer): Buffer => bytes;

const method = (path: string): MethodDefinition<Buffer, Buffer> => ({
  path: `/${Node.typeName}/${path}`,
  requestStream: true,
  responseStream: true,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
});

export const HANDSHAKE = method(Node.method.handshake.name);
export const LANE_METHODS: Readonly<Record<Lane, MethodDefinition<Buffer, Buffer>>> = {
  control: method(Node.method.control.name),
  log: method(Node.method.log.name),
  clients: method(Node.method.clients.name),
};

const COMMON_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  'grpc.enable_channelz': 0,
};

/** A peer that does not answer a ping of the control connection is given up after 2 s. */
const CONTROL_KEEPALIVE: ChannelOptions = { 'grpc.keepalive_time_ms': 500, 'grpc.keepalive_timeout_ms': 1_500 };
/** Pings queue behind what the socket holds already, so a full connection gets more time. */
const BULK_KEEPALIVE: ChannelOptions = { 'grpc.keepalive_time_ms': 5_000, 'grpc.keepalive_timeout_ms': 5_000 };

/** Some messages may be under way on each lane; see `receive-window.ts`. Wider ones were not faster, but late for others. */
export const RECEIVE_WINDOW_BYTES = 1024 * 1024;

/**
 * A pool of its own gives each client a TCP connection of its own (R8), and leaves the back-off to us; retries would keep
 * copies of what was sent.
 */
const CLIENT_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc-node.flow_control_window': RECEIVE_WINDOW_BYTES,
};

export const CONTROL_CLIENT_OPTIONS: ChannelOptions = { ...CLIENT_OPTIONS, ...CONTROL_KEEPALIVE };
export const BULK_CLIENT_OPTIONS: ChannelOptions = { ...CLIENT_OPTIONS, ...BULK_KEEPALIVE };
/** The called side cannot tell its connections apart when they come in; the dialling side's pings bound both. */
export const SERVER_OPTIONS: ChannelOptions = { ...COMMON_OPTIONS, ...BULK_KEEPALIVE };
