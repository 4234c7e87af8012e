import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { GrpcTransport } from '../src/cluster/transport/grpc-transport.ts';
import type { Lane, NodeIdentity, PeerLink, TransportListener } from '../src/cluster/transport/transport.ts';
import { SystemClock } from '../src/lib/clock.ts';
import { SeededRandom } from '../src/lib/random.ts';

/**
 * Two processes on loopback: how many bytes per second a lane carries, what a MiB costs in processor time on both sides,
 * how long a small frame takes there and back (on an idle link, and beside a full log lane), and how soon the death of
 * a process is noticed. Prints a table, and one JSON line.
 */
const KIBIBYTE = 1024;
const MEBIBYTE = KIBIBYTE * KIBIBYTE;
/** Sent ahead of the receiver's acknowledgements, as a Raft leader's in-flight window does. */
const WINDOW_BYTES = 4 * MEBIBYTE;
const ACKNOWLEDGED_EVERY_BYTES = MEBIBYTE / 2;
const RUN_MS = 3_000;
const ROUND_TRIPS = 2_000;
const Kind = { bulk: 1, ping: 2, pong: 3, report: 4, usage: 5, acknowledged: 6 } as const;
const BOUNDS = { control: MEBIBYTE, log: 64 * MEBIBYTE, clients: 64 * MEBIBYTE };

type Received = (link: PeerLink, lane: Lane, kind: number, group: number, payload: Uint8Array) => void;

class BenchNode implements TransportListener {
  readonly transport: GrpcTransport;
  readonly #name: string;
  readonly #received: Received;
  onConnected: (link: PeerLink) => void = () => {};
  onProcessGone: () => void = () => {};

  constructor(name: string, received: Received) {
    this.#name = name;
    this.#received = received;
    this.transport = new GrpcTransport(
      { listenHost: '127.0.0.1', listenPort: 0, secret: 'bench', bounds: BOUNDS },
      { listener: this, clock: new SystemClock(), random: new SeededRandom(1) },
    );
  }

  identity(): NodeIdentity {
    return {
      nodeName: this.#name,
      directoryId: this.#name,
      clusterName: 'bench',
      clusterId: undefined,
      nodeId: undefined,
      incarnation: undefined,
      isDirectoryEmpty: true,
      address: '127.0.0.1:1',
      clusterState: new Uint8Array(0),
    };
  }

  decide() {
    return { accept: true } as const;
  }
  refused(peer: string, reason: string): void {
    throw new Error(`${peer}: ${reason}`);
  }
  turnedAway(): void {}
  connected(link: PeerLink): void {
    this.onConnected(link);
  }
  disconnected(): void {}
  processGone(): void {
    this.onProcessGone();
  }
  received(link: PeerLink, lane: Lane, kind: number, group: number, payload: Uint8Array): void {
    this.#received(link, lane, kind, group, payload);
  }
  receivedAll(): void {}
}

const cpuMicroseconds = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** The other process: counts what comes, answers pings, reports its processor time when asked. */
async function serve(): Promise<void> {
  let bytes = 0;
  let unacknowledged = 0;
  const node = new BenchNode('receiver', (link, lane, kind, _group, payload) => {
    if (kind === Kind.bulk) {
      bytes += payload.length;
      unacknowledged += payload.length;
      if (unacknowledged < ACKNOWLEDGED_EVERY_BYTES) return;
      link.send('control', Kind.acknowledged, 0, new Uint8Array(new Float64Array([unacknowledged]).buffer));
      unacknowledged = 0;
    } else if (kind === Kind.ping) link.send(lane, Kind.pong, 0, payload);
    else if (kind === Kind.report) {
      link.send(lane, Kind.usage, 0, new Uint8Array(new Float64Array([bytes, cpuMicroseconds()]).buffer));
    }
  });
  const started = await node.transport.start();
  process.send?.(started.ok ? started.port : started.text);
}

interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
}

class Driver {
  readonly rows: Row[] = [];
  readonly #node: BenchNode;
  readonly #peerName: string;
  #answered: (payload: Uint8Array) => void = () => {};
  #inFlight = 0;
  #sendMore: () => void = () => {};

  constructor(peerName: string) {
    this.#peerName = peerName;
    this.#node = new BenchNode('dialler', (_link, _lane, kind, _group, payload) => {
      if (kind === Kind.pong || kind === Kind.usage) this.#answered(payload);
      else if (kind === Kind.acknowledged) this.#acknowledged(new Float64Array(payload.slice().buffer)[0]!);
    });
  }

  async link(port: number): Promise<PeerLink> {
    await this.#node.transport.start();
    const connected = new Promise<PeerLink>(resolve => {
      this.#node.onConnected = resolve;
    });
    this.#node.transport.addPeer({ nodeName: this.#peerName, address: `127.0.0.1:${port}` });
    return connected;
  }

  async throughput(link: PeerLink, frameKibibytes: number): Promise<void> {
    const payload = new Uint8Array(frameKibibytes * KIBIBYTE).fill(7);
    const before = await this.#usage(link);
    const cpuBefore = cpuMicroseconds();
    const startMs = performance.now();
    let sent = 0;
    await new Promise<void>(resolve => {
      this.#sendMore = () => {
        const isOver = performance.now() - startMs >= RUN_MS;
        if (isOver && this.#inFlight < ACKNOWLEDGED_EVERY_BYTES) resolve();
        while (!isOver && this.#inFlight < WINDOW_BYTES) {
          link.send('log', Kind.bulk, 1, payload);
          sent += payload.length;
          this.#inFlight += payload.length;
        }
      };
      this.#sendMore();
    });
    const after = await this.#usage(link);
    const seconds = (performance.now() - startMs) / 1000;
    const mebibytes = sent / MEBIBYTE;
    const label = `${frameKibibytes} KiB frames`;
    if (after.bytes - before.bytes !== sent) throw new Error('bytes were lost');
    this.#row(`${label}: rate`, mebibytes / seconds, 'MiB/s');
    this.#row(`${label}: frames`, sent / payload.length / seconds, '/s');
    this.#row(`${label}: sender`, (cpuMicroseconds() - cpuBefore) / mebibytes, 'us cpu/MiB');
    this.#row(`${label}: receiver`, (after.cpu - before.cpu) / mebibytes, 'us cpu/MiB');
  }

  #acknowledged(bytes: number): void {
    this.#inFlight -= bytes;
    this.#sendMore();
  }

  async roundTrips(link: PeerLink, label: string, load: () => void): Promise<void> {
    const times: number[] = [];
    for (let i = 0; i < ROUND_TRIPS; i++) {
      load();
      const startMs = performance.now();
      await this.#ask(link, 'control', Kind.ping, new Uint8Array(40));
      times.push(performance.now() - startMs);
    }
    times.sort((a, b) => a - b);
    this.#row(`${label}: median`, times[times.length >> 1]! * 1000, 'us');
    this.#row(`${label}: 99 %`, times[Math.floor(times.length * 0.99)]! * 1000, 'us');
  }

  async death(child: ChildProcess): Promise<void> {
    const gone = new Promise<void>(resolve => {
      this.#node.onProcessGone = resolve;
    });
    const startMs = performance.now();
    child.kill('SIGKILL');
    await gone;
    this.#row('kill -9 noticed after', performance.now() - startMs, 'ms');
    await this.#node.transport.close();
  }

  /** Asked on the log lane, so the answer stands for everything sent there before. */
  async #usage(link: PeerLink): Promise<{ bytes: number; cpu: number }> {
    const answer = await this.#ask(link, 'log', Kind.report, new Uint8Array(0));
    const [bytes, cpu] = new Float64Array(answer.slice().buffer);
    return { bytes: bytes!, cpu: cpu! };
  }

  #ask(link: PeerLink, lane: Lane, kind: number, payload: Uint8Array): Promise<Uint8Array> {
    return new Promise(resolve => {
      this.#answered = answer => resolve(new Uint8Array(answer));
      link.send(lane, kind, 0, payload);
    });
  }

  #row(what: string, value: number, unit: string): void {
    this.rows.push({ what, value: Math.round(value * 10) / 10, unit });
  }
}

async function drive(): Promise<void> {
  const child = fork(join(import.meta.dirname, '../scripts/run.mjs'), ['../bench/transport', 'serve'], {
    stdio: 'inherit',
  });
  const port = await new Promise<number>(resolve => child.once('message', message => resolve(Number(message))));
  const driver = new Driver('receiver');
  const link = await driver.link(port);
  await driver.roundTrips(link, 'round trip, idle', () => {});
  for (const kibibytes of [4, 32, 200]) await driver.throughput(link, kibibytes);
  const bulk = new Uint8Array(32 * KIBIBYTE);
  await driver.roundTrips(link, 'round trip, log lane full', () => {
    while (link.queuedBytes('log') < WINDOW_BYTES) link.send('log', Kind.bulk, 1, bulk);
  });
  await driver.death(child);
  for (const { what, value, unit } of driver.rows)
    console.log(`${what.padEnd(36)} ${String(value).padStart(10)} ${unit}`);
  console.log(JSON.stringify({ bench: 'transport', node: process.version, rows: driver.rows }));
}

await (process.argv[2] === 'serve' ? serve() : drive());
