import { assert } from './lib/assert.ts';

/**
 * Every limit of the system, with its unit and what happens at it. They are constants of one configuration on purpose:
 * what is measured is what runs. Those that an operator may want to change are options below.
 */
export const LIMITS = {
  /** Payload of one Raft entry. With its heads it fits into one message between nodes (R6, R8). */
  entryBytesMax: 240 * 1024,
  /** A batch of commands is closed before it grows above this, unless it is one large command alone. */
  batchBytesMax: 128 * 1024,
  /** Bodies and commands that a node keeps until one shard has answered them. At the bound its publishers are not read. */
  outboxBytesMax: 8 * 1024 * 1024,
  outboxCommandsMax: 65_536,
  /** Batches that wait in a leader for a place in an entry. At the bound further ones stay with their senders. */
  proposalBytesMax: 16 * 1024 * 1024,
  /** Entries of one group that are proposed and not committed; what arrives meanwhile becomes one entry (R6). */
  proposedEntriesMax: 4,
  /** Appends of one group under way to one peer. */
  inflightEntriesMax: 64,
  inflightBytesMax: 4 * 1024 * 1024,
  /** Entries of one group kept in memory for followers and deliveries. */
  cachedBytesMax: 8 * 1024 * 1024,
  /** Entries of one shard that were read back for deliveries and are kept for a moment. */
  bodyCacheBytesMax: 4 * 1024 * 1024,
  /** What a consumer may have ahead of its socket (R26). */
  consumerAheadMessagesMax: 2_000,
  consumerAheadBytesMax: 4 * 1024 * 1024,
  /** The same until its socket has taken something, and for all consumers of a node; beyond it they get 16 KiB each. */
  consumerAheadBytesFirst: 256 * 1024,
  nodeAheadBytesMax: 256 * 1024 * 1024,
  /** Deliveries to another node are gathered up to this. Leaves room for one message in one piece. */
  deliveryFrameBytesMax: 224 * 1024,
  /** Queued towards one peer; above it batches for it wait in the outbox. */
  peerQueueBytesMax: 8 * 1024 * 1024,
  /** Bodies of a node's exclusive and non-durable queues in memory; the oldest beyond it go to a file (R4). */
  volatileBytesMax: 64 * 1024 * 1024,
  /** A group is checkpointed after so many entries, or bytes of them. */
  checkpointEntries: 10_000,
  checkpointBytes: 32 * 1024 * 1024,
  checkpointSliceBytes: 512 * 1024,
  /** Applied entries of a group that stay in the log behind a checkpoint for followers that restart, at most so many bytes (R13). */
  trailingEntries: 20_000,
  trailingBytesMax: 32 * 1024 * 1024,
  /** The same while a follower that answers is still behind. At the bound it gets a snapshot. */
  catchUpBytesMax: 128 * 1024 * 1024,
  /** One piece of a snapshot on its way to a follower, and how many of them it takes in ahead (R17). */
  snapshotChunkBytes: 192 * 1024,
  snapshotChunksAhead: 4,
  /** Bytes that a snapshot transfer keeps in the journal, dead ones and of the log behind it; beyond it, it is begun again. */
  snapshotPinnedBytesMax: 1024 * 1024 * 1024,
  /** Messages moved out of a mostly dead segment with one sync (R13). */
  stragglerBatchBytes: 512 * 1024,
  /** Moved messages compared with the machine in one go, and dead ones remembered until a checkpoint covers their death. */
  sweepPieceCount: 1_000,
  sweepDeadMax: 20_000,
  /** Entries applied or replayed in one go before the loop gets a turn (R10). */
  sliceMs: 8,
  messageBytesCeiling: 128 * 1024 * 1024,
} as const;

/** Times of the protocol between nodes, in milliseconds on monotonic clocks. */
export const TIMING = {
  tickMs: 50,
  /** Elections start after 10 to 20 ticks without a leader; sooner if its process is known to be gone. */
  electionTicks: 10,
  heartbeatTicks: 2,
  /** R2: how long a node may route by what it knows without hearing from group 0's leader. */
  routingLeaseMs: 2_000,
  /** R24: how long a silent node's consumers keep their messages. */
  nodeLeaseMs: 10_000,
  /** The same when the node's process is known to be gone. */
  goneGraceMs: 1_000,
  leaseRenewalMs: 500,
  /** A node gives its clients up so long before its lease ends at group 0. */
  leaseMarginMs: 1_000,
  /** Leaders move to their preferred node when it has been linked for so long. */
  balanceAfterMs: 5_000,
  /** What a node asked of a leader and was not answered is asked again. */
  attachRepeatMs: 250,
  /** A node's stream to a shard that falls silent says after this what it has seen, so that the shard may forget it. */
  reportAfterMs: 5_000,
  requestRepeatMs: 1_000,
  registerRepeatMs: 1_000,
  /** A request to group 0 is given up after this with `unavailable`. */
  requestTimeoutMs: 30_000,
  /** A changed group is checkpointed at latest after this. */
  checkpointIdleMs: 60_000,
  /** How often a node looks at the size of its journal. */
  cleaningPeriodMs: 200,
  /** A follower repeats what it asked of a snapshot transfer; a leader gives up one that nobody asks for. */
  snapshotRepeatMs: 2_000,
  snapshotIdleMs: 30_000,
  /** How often a node looks at the memory that it holds. */
  memoryCheckMs: 1_000,
} as const;

export interface Peer {
  readonly name: string;
  /** host:port of the node-to-node listener. */
  readonly address: string;
}

/** One node's configuration: YAML file, then environment. Units are in the names. */
export interface Config {
  readonly nodeName: string;
  readonly clusterName: string;
  /** Where this node keeps everything; created when missing. */
  readonly dataDir: string;
  /** All members of a new cluster, this node among them; empty: a cluster of one. */
  readonly peers: readonly Peer[];
  /** Shared by all nodes of a cluster. Empty only without peers or on loopback. */
  readonly secret: string;
  readonly listen: {
    readonly host: string;
    /** Empty: `host`. */
    readonly amqpHosts: readonly string[];
    readonly amqpPort: number;
    readonly grpcPort: number;
    readonly clusterPort: number;
  };
  readonly messageBytesMax: number;
  readonly shardsPerNode: number;
  readonly connectionsMax: number;
  /** Offered to AMQP clients: channels of one connection, and its largest frame. */
  readonly channelMax: number;
  readonly frameBytesMax: number;
  /** Users that may log in from the machine itself only. */
  readonly loopbackUsers: readonly string[];
  /** Publishes stop when the data directory's file system has less room than this (R18). */
  readonly diskFreeBytesMin: number;
  /** Memory that this process may use; 0 is what the machine has, or the process's cgroup. */
  readonly memoryBytesMax: number;
  /** Publishes stop when more than this share of it, or of V8's heap, is in use whatever the garbage collector does (R30). */
  readonly memoryHighWatermarkPercent: number;
  readonly log: { readonly level: LogLevel; readonly format: 'json' | 'text' | 'auto' };
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

type OptionValue = string | number;

interface Option {
  /** YAML path. The environment variable is `WARREN_` and the path in capitals: `listen.amqpPort` is `WARREN_LISTEN_AMQP_PORT`. */
  readonly path: string;
  readonly help: string;
  readonly fallback: OptionValue;
  /** Returns the value, or a sentence saying what would be right. */
  readonly parse: (raw: unknown) => { value: OptionValue } | { wanted: string };
}

const text = (path: string, fallback: string, help: string, pattern?: RegExp, wanted = 'a text'): Option => ({
  path,
  help,
  fallback,
  parse: raw => (typeof raw === 'string' && (pattern === undefined || pattern.test(raw)) ? { value: raw } : { wanted }),
});

const integer = (path: string, fallback: number, min: number, max: number, help: string): Option => ({
  path,
  help,
  fallback,
  parse: raw => {
    const value = typeof raw === 'string' && /^\d+$/.test(raw) ? Number(raw) : raw;
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
      ? { value }
      : { wanted: `a whole number from ${min} to ${max}` };
  },
});

const choice = (path: string, fallback: string, choices: readonly string[], help: string): Option => ({
  path,
  help,
  fallback,
  parse: raw =>
    typeof raw === 'string' && choices.includes(raw) ? { value: raw } : { wanted: `one of ${choices.join(', ')}` },
});

/** A YAML list, or names with commas between them in the environment. Kept as the latter. */
const names = (path: string, fallback: string, help: string): Option => ({
  path,
  help,
  fallback,
  parse: raw => {
    const list = typeof raw === 'string' ? raw.split(',').map(name => name.trim()) : raw;
    const isList = Array.isArray(list) && list.every(name => typeof name === 'string' && !name.includes(','));
    return isList ? { value: list.filter(name => name !== '').join(',') } : { wanted: 'a list of names' };
  },
});

const ADDRESS = /^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const NAME_WANTED =
  'a name of at most 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit';

/** Every option, in the order of the documentation. `peers` stands beside them: a list of name and address. */
export const OPTIONS: readonly Option[] = [
  text('nodeName', 'warren-0', "this node's name, one of the peers' names", NAME, NAME_WANTED),
  text('clusterName', 'warren', 'nodes of different clusters refuse each other', NAME, NAME_WANTED),
  text('dataDir', './data', 'where this node keeps everything', /./, 'a directory'),
  text('secret', '', 'shared by all nodes of the cluster'),
  text('listen.host', '127.0.0.1', 'address that all listeners bind to', /./, 'an IP address or host name'),
  names('listen.amqpHosts', '', 'addresses for AMQP 0-9-1 clients instead; empty: listen.host'),
  integer('listen.amqpPort', 5672, 0, 65_535, 'AMQP 0-9-1'),
  integer('listen.grpcPort', 7672, 0, 65_535, 'gRPC API for clients'),
  integer('listen.clusterPort', 25_672, 0, 65_535, 'node to node'),
  integer(
    'messageBytesMax',
    LIMITS.messageBytesCeiling,
    1024,
    LIMITS.messageBytesCeiling,
    'largest message body; above it publishers get 406',
  ),
  integer('shardsPerNode', 2, 1, 16, 'shards created per node when the cluster is formed'),
  integer('connectionsMax', 10_000, 1, 1_000_000, 'client connections; above it a new one is closed'),
  integer('channelMax', 2_047, 1, 65_535, 'channels of one AMQP connection'),
  integer('frameBytesMax', 128 * 1024, 8 * 1024, 1024 * 1024, 'largest AMQP frame'),
  names('loopbackUsers', 'guest', 'users that may log in from the machine itself only'),
  integer('diskFreeBytesMin', 256 * 1024 * 1024, 0, 2 ** 50, 'publishes stop below this much free space in dataDir'),
  integer(
    'memoryBytesMax',
    0,
    0,
    2 ** 50,
    "memory that this node may use; 0 is the machine's, or that of the process's cgroup",
  ),
  integer(
    'memoryHighWatermarkPercent',
    60,
    1,
    100,
    'publishes stop above this share of memoryBytesMax, or of the heap that Node.js allows',
  ),
  choice('log.level', 'info', ['debug', 'info', 'warn', 'error'], 'least severe log lines that are written'),
  choice('log.format', 'auto', ['json', 'text', 'auto'], 'auto: text on a terminal, JSON otherwise'),
];

export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly error: string };

/** They are for the commands that ask a running node. */
const CLIENT_VARIABLES: ReadonlySet<string> = new Set(['WARREN_ADDRESS', 'WARREN_USER', 'WARREN_PASSWORD']);

export const environmentName = (path: string): string =>
  `WARREN_${path
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replaceAll('.', '_')
    .toUpperCase()}`;

/**
 * Merges a parsed YAML document with the environment, which wins. An unknown key or a wrong value is one sentence that
 * names the key and says what would be right.
 */
export function parseConfig(
  document: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): ConfigResult {
  const fail = (error: string): ConfigResult => ({ ok: false, error });
  if (document !== undefined && document !== null && !isRecord(document)) {
    return fail('the configuration file must hold keys and values, for example "nodeName: warren-0"');
  }
  const given = flatten(document ?? {});
  const known = new Set(OPTIONS.map(option => option.path));
  for (const path of given.keys()) {
    if (path !== 'peers' && !known.has(path))
      return fail(unknownKey(`configuration key "${path}"`, [...known, 'peers'], path));
  }
  const variables = new Map([...known, 'peers'].map(path => [environmentName(path), path]));
  for (const name of Object.keys(environment)) {
    if (!name.startsWith('WARREN_') || CLIENT_VARIABLES.has(name)) continue;
    if (!variables.has(name) && !isServiceLink(name, environment[name]!)) {
      return fail(unknownKey(`environment variable ${name}`, [...variables.keys()], name));
    }
  }
  const values = new Map<string, OptionValue>();
  for (const option of OPTIONS) {
    const variable = environmentName(option.path);
    const fromEnvironment = environment[variable];
    const raw = fromEnvironment ?? given.get(option.path);
    if (raw === undefined) {
      values.set(option.path, option.fallback);
      continue;
    }
    const parsed = option.parse(raw);
    if ('wanted' in parsed) {
      const key = fromEnvironment !== undefined ? variable : `"${option.path}"`;
      return fail(`${key} is ${JSON.stringify(raw)}; it must be ${parsed.wanted}`);
    }
    values.set(option.path, parsed.value);
  }
  const peers = parsePeers(environment[environmentName('peers')] ?? given.get('peers'));
  if (typeof peers === 'string') return fail(peers);
  return checkRelations(build(values, peers));
}

function build(values: ReadonlyMap<string, OptionValue>, peers: readonly Peer[]): Config {
  const string = (path: string): string => values.get(path) as string;
  const number = (path: string): number => values.get(path) as number;
  const list = (path: string): readonly string[] =>
    string(path)
      .split(',')
      .filter(name => name !== '');
  return {
    nodeName: string('nodeName'),
    clusterName: string('clusterName'),
    dataDir: string('dataDir'),
    peers,
    secret: string('secret'),
    listen: {
      host: string('listen.host'),
      amqpHosts: list('listen.amqpHosts'),
      amqpPort: number('listen.amqpPort'),
      grpcPort: number('listen.grpcPort'),
      clusterPort: number('listen.clusterPort'),
    },
    messageBytesMax: number('messageBytesMax'),
    shardsPerNode: number('shardsPerNode'),
    connectionsMax: number('connectionsMax'),
    channelMax: number('channelMax'),
    frameBytesMax: number('frameBytesMax'),
    loopbackUsers: list('loopbackUsers'),
    diskFreeBytesMin: number('diskFreeBytesMin'),
    memoryBytesMax: number('memoryBytesMax'),
    memoryHighWatermarkPercent: number('memoryHighWatermarkPercent'),
    log: { level: string('log.level') as LogLevel, format: string('log.format') as 'json' | 'text' | 'auto' },
  };
}

/** Relations between options; each failure says what to do. */
function checkRelations(config: Config): ConfigResult {
  const names = config.peers.map(peer => peer.name);
  if (new Set(names).size !== names.length)
    return { ok: false, error: '"peers" names a node twice; each name must be unique' };
  if (names.length > 0 && !names.includes(config.nodeName)) {
    return { ok: false, error: `"peers" must list this node too: ${config.nodeName} is not among ${names.join(', ')}` };
  }
  if (config.peers.length > 1 && config.secret.length < 16) {
    return { ok: false, error: '"secret" must have at least 16 characters when there are peers; all nodes share it' };
  }
  return { ok: true, config };
}

/** A YAML list of {name, address}, or `name=host:port,...` from the environment. */
function parsePeers(raw: unknown): readonly Peer[] | string {
  if (raw === undefined || raw === null || raw === '') return [];
  const wanted = '"peers" must be a list of {name, address}, or in the environment name=host:port,name=host:port';
  const list: unknown[] =
    typeof raw === 'string'
      ? raw.split(',').map(item => {
          const [name, address] = item.trim().split('=');
          return { name, address };
        })
      : Array.isArray(raw)
        ? raw
        : [undefined];
  const peers: Peer[] = [];
  for (const item of list) {
    if (!isRecord(item)) return wanted;
    const { name, address, ...rest } = item;
    if (typeof name !== 'string' || !NAME.test(name) || Object.keys(rest).length > 0) return wanted;
    if (
      typeof address !== 'string' ||
      !ADDRESS.test(address) ||
      Number(address.slice(address.lastIndexOf(':') + 1)) > 65_535
    ) {
      return `the address of peer ${name} is ${JSON.stringify(address)}; it must be host:port`;
    }
    peers.push({ name, address });
  }
  return peers;
}

function flatten(record: Record<string, unknown>): Map<string, unknown> {
  const flat = new Map<string, unknown>();
  for (const [key, value] of Object.entries(record)) {
    if (isRecord(value)) for (const [inner, innerValue] of flatten(value)) flat.set(`${key}.${inner}`, innerValue);
    else flat.set(key, value);
  }
  return flat;
}

/** What Kubernetes tells every pod of a service named `warren` or `warren-...`: no option, and nobody's mistake. */
const isServiceLink = (name: string, value: string): boolean =>
  /_SERVICE_(HOST|PORT)(_[A-Z0-9_]+)?$/.test(name) ||
  /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
  (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value));

function unknownKey(what: string, known: readonly string[], given: string): string {
  const near = known.find(name => name.toLowerCase() === given.toLowerCase() || distanceOfOne(name, given));
  return near === undefined
    ? `unknown ${what}; known are ${known.join(', ')}`
    : `unknown ${what}; did you mean ${near}?`;
}

/** True when one insertion, deletion or replacement turns one into the other. */
function distanceOfOne(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const rest = (value: string, skip: number) => value.slice(start + skip);
  return rest(a, 1) === rest(b, 1) || rest(a, 1) === rest(b, 0) || rest(a, 0) === rest(b, 1);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

assert(LIMITS.batchBytesMax < LIMITS.entryBytesMax, 'a batch must fit into an entry');
assert(LIMITS.deliveryFrameBytesMax < LIMITS.entryBytesMax, 'deliveries must fit into a message between nodes');
assert(TIMING.leaseRenewalMs * 3 < TIMING.routingLeaseMs, 'a routing lease must survive two lost renewals');
assert(TIMING.routingLeaseMs < TIMING.nodeLeaseMs, 'a node must stop routing before its consumers are taken away');
