import { create, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import {
  Client,
  type ClientDuplexStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
  type status,
} from '@grpc/grpc-js';
import { AdminService } from '../gen/warren/v1/admin_pb.ts';
import { SystemClock } from '../lib/clock.ts';
import { grpcMethod } from '../protocols/grpc/service-methods.ts';
import { type FlagSpec, splitOnce, wholeNumber } from './arguments.ts';
import { readPassword } from './passwords.ts';

export const CONNECTION_FLAGS: readonly FlagSpec[] = [
  {
    name: 'address',
    value: 'HOST:PORT',
    help: 'gRPC listener of any node (WARREN_ADDRESS; default: the first node of warren dev that answers)',
  },
  { name: 'port-offset', value: 'N', help: 'as given to warren dev' },
  { name: 'user', value: 'NAME', help: 'who asks, NAME or NAME:PASSWORD (WARREN_USER; default guest)' },
  {
    name: 'password',
    value: 'PASSWORD',
    help: 'of who asks; others may see it in the list of processes: rather WARREN_PASSWORD, or be asked for it',
  },
];

const CONNECT_TIMEOUT_MS = 5_000;
/** A change waits for every node that serves clients; nodes give up sooner. */
const CALL_TIMEOUT_MS = 60_000;
const KEEPALIVE_MS = 10_000;
const DEFAULT_PORT = 7672;
const DEV_NODES = 3;
const DEFAULT_USER = 'guest';

type Methods = typeof AdminService.method;
export type AdminMethod = keyof Methods;
export type AdminInput<Name extends AdminMethod> = MessageInitShape<Methods[Name]['input']>;
export type AdminOutput<Name extends AdminMethod> = MessageShape<Methods[Name]['output']>;

/** What a node answered instead; one sentence. */
export class AdminError extends Error {
  /** Of gRPC; undefined when no node was asked. */
  readonly code: status | undefined;

  constructor(sentence: string, code?: status) {
    super(sentence);
    this.code = code;
  }
}

/** Speaks to the first node that answers. Failures are thrown as `AdminError`. */
export class AdminClient {
  readonly #client: Client;
  readonly #metadata: Metadata;

  private constructor(client: Client, metadata: Metadata) {
    this.#client = client;
    this.#metadata = metadata;
  }

  static async connect(flags: ReadonlyMap<string, string>): Promise<AdminClient> {
    const addresses = addressesOf(flags);
    const metadata = new Metadata();
    metadata.set('authorization', `Basic ${Buffer.from(await readCredentials(flags)).toString('base64')}`);
    for (const address of addresses) {
      const client = new Client(address, credentials.createInsecure(), {
        'grpc.enable_http_proxy': 0,
        'grpc.keepalive_time_ms': KEEPALIVE_MS,
        'grpc.max_receive_message_length': -1,
      });
      if (await isReachable(client)) return new AdminClient(client, metadata);
      client.close();
    }
    throw new AdminError(`no node answers at ${addresses.join(', ')}`);
  }

  call<Name extends AdminMethod>(
    name: Name,
    init: AdminInput<Name>,
    timeoutMs = CALL_TIMEOUT_MS,
  ): Promise<AdminOutput<Name>> {
    const { input } = AdminService.method[name];
    const { path, requestSerialize, responseDeserialize } = grpcMethod(AdminService.method[name]);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize as (request: object) => Buffer,
        responseDeserialize as (bytes: Buffer) => AdminOutput<Name>,
        create(input as Methods[Name]['input'], init),
        this.#metadata,
        { deadline: new SystemClock().wallMs() + timeoutMs },
        (error: ServiceError | null, response?: AdminOutput<Name>) => {
          if (response !== undefined) resolve(response);
          else reject(toAdminError(error ?? new Error('no answer')));
        },
      );
    });
  }

  /** The pages of a list, or the pieces of a document. */
  async *stream<Name extends AdminMethod>(name: Name, init: AdminInput<Name>): AsyncGenerator<AdminOutput<Name>> {
    const { input } = AdminService.method[name];
    const { path, requestSerialize, responseDeserialize } = grpcMethod(AdminService.method[name]);
    const call = this.#client.makeServerStreamRequest(
      path,
      requestSerialize as (request: object) => Buffer,
      responseDeserialize as (bytes: Buffer) => AdminOutput<Name>,
      create(input as Methods[Name]['input'], init),
      this.#metadata,
    );
    try {
      for await (const message of call) yield message as AdminOutput<Name>;
    } catch (error) {
      throw toAdminError(error);
    }
  }

  /** Sends one request after the other, each when the one before is answered. */
  async *converse<Name extends AdminMethod>(
    name: Name,
    requests: Iterable<AdminInput<Name>>,
  ): AsyncGenerator<AdminOutput<Name>> {
    const { input } = AdminService.method[name];
    const { path, requestSerialize, responseDeserialize } = grpcMethod(AdminService.method[name]);
    const call: ClientDuplexStream<object, AdminOutput<Name>> = this.#client.makeBidiStreamRequest(
      path,
      requestSerialize as (request: object) => Buffer,
      responseDeserialize as (bytes: Buffer) => AdminOutput<Name>,
      this.#metadata,
    );
    const answers = call[Symbol.asyncIterator]();
    try {
      for (const request of requests) {
        call.write(create(input as Methods[Name]['input'], request));
        const answer = await answers.next();
        if (answer.done) return;
        yield answer.value as AdminOutput<Name>;
      }
      call.end();
      await answers.next();
    } catch (error) {
      throw toAdminError(error);
    }
  }

  close(): void {
    this.#client.close();
  }
}

/** Opens a connection, does something with it, and closes it. */
export async function withAdmin(
  flags: ReadonlyMap<string, string>,
  act: (client: AdminClient) => Promise<number>,
): Promise<number> {
  const client = await AdminClient.connect(flags);
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

function toAdminError(error: unknown): AdminError {
  const { details, message, code } = error as ServiceError;
  return new AdminError(details || message, code);
}

function addressesOf(flags: ReadonlyMap<string, string>): string[] {
  const offset = wholeNumber('port-offset', flags.get('port-offset') ?? '0', 0, 65_535 - DEFAULT_PORT - DEV_NODES);
  if (typeof offset === 'string') throw new AdminError(offset);
  const address = flags.get('address') ?? (flags.has('port-offset') ? undefined : process.env.WARREN_ADDRESS);
  if (address !== undefined) return [address];
  return Array.from({ length: DEV_NODES }, (_, i) => `127.0.0.1:${DEFAULT_PORT + offset + i}`);
}

/** `user:password`. */
async function readCredentials(flags: ReadonlyMap<string, string>): Promise<string> {
  const [user, inline] = splitOnce(flags.get('user') ?? process.env.WARREN_USER ?? DEFAULT_USER, ':');
  const known = inline ?? flags.get('password') ?? process.env.WARREN_PASSWORD;
  if (known !== undefined) return `${user}:${known}`;
  if (user === DEFAULT_USER) return `${DEFAULT_USER}:${DEFAULT_USER}`;
  if (!process.stdin.isTTY) throw new AdminError(`the password of ${user} is missing: set WARREN_PASSWORD`);
  return `${user}:${await readPassword(`Password of ${user}: `)}`;
}

/** False as soon as a connection has failed; a name or a distant node may take a while. */
function isReachable(client: Client): Promise<boolean> {
  const channel = client.getChannel();
  const deadline = new SystemClock().wallMs() + CONNECT_TIMEOUT_MS;
  return new Promise(resolve => {
    const look = (): void => {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) resolve(true);
      else if (state === connectivityState.TRANSIENT_FAILURE || state === connectivityState.SHUTDOWN) resolve(false);
      else channel.watchConnectivityState(state, deadline, error => (error ? resolve(false) : look()));
    };
    look();
  });
}
