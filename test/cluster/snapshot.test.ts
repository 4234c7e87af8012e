import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from './waiting.ts';
import { ServerCluster } from './warren-cluster.ts';

/** More than a leader keeps for followers that are away (R13), so that only a snapshot helps. */
const FLOW_MESSAGES = 1_800;
const FLOW_BYTES = 64 * 1024;
const BACKLOG_MESSAGES = 300;
const QUEUE = 'snapshot';

let clients: ChannelModel[] = [];

async function open(cluster: ServerCluster, node: string): Promise<ChannelModel> {
  const client = await connect(cluster.url(node), { timeout: 5_000 });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

/** Publishes bodies and resolves when all are confirmed. */
async function publish(client: ChannelModel, bodies: Iterable<Buffer>): Promise<void> {
  const channel = await client.createConfirmChannel();
  let sent = 0;
  for (const body of bodies) {
    if (!channel.sendToQueue(QUEUE, body, { persistent: true }))
      await new Promise(resolve => channel.once('drain', resolve));
    if (++sent % 100 === 0) await channel.waitForConfirms();
  }
  await channel.waitForConfirms();
  await channel.close();
}

/** Small ones that share entries, and some that fill one. */
const backlogBody = (number: number): Buffer =>
  Buffer.from(`backlog ${number} ${'.'.repeat(number % 10 === 0 ? 90_000 : number)}`);

const anotherLeader = (cluster: ServerCluster, than: string): Promise<string> =>
  eventually('another leader', 30_000, async () => {
    const name = await cluster.leaderOf(QUEUE);
    return name === than ? undefined : name;
  });

function* flow(): Iterable<Buffer> {
  for (let i = 0; i < FLOW_MESSAGES; i++) yield Buffer.alloc(FLOW_BYTES, `flow ${i} `);
}

/** Takes every message of the queue once, settles those of the flow, and leaves the backlog where it is. */
async function settleFlow(client: ChannelModel): Promise<void> {
  const channel = await client.createChannel();
  await channel.prefetch(2_000);
  let settled = 0;
  await channel.consume(QUEUE, message => {
    if (message === null || !message.content.subarray(0, 4).equals(Buffer.from('flow'))) return;
    channel.ack(message);
    settled++;
  });
  await eventually('the flow to be settled', 40_000, () => settled === FLOW_MESSAGES);
  await channel.close();
}

async function takeAll(client: ChannelModel, count: number): Promise<string[]> {
  const channel = await client.createChannel();
  const bodies: string[] = [];
  await channel.consume(QUEUE, message => {
    if (message === null) return;
    bodies.push(message.content.toString());
    channel.ack(message);
  });
  await eventually(`${count} messages`, 30_000, () => bodies.length >= count);
  await channel.close();
  return bodies;
}

/** Changes bytes in the middle of every file of a folder whose name matches, as a failing disk does. */
function damage(directory: string, files: RegExp, first: number, count: number): void {
  const names = readdirSync(directory).filter(name => files.test(name));
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const bytes = readFileSync(join(directory, name));
    for (let at = first; at < Math.min(first + count, bytes.length); at++) bytes[at]! ^= 0x5a;
    writeFileSync(join(directory, name), bytes);
  }
}

/** Changes bytes shortly before the end of what was written to the newest segment. */
function damageTail(journal: string): void {
  const newest = join(
    journal,
    readdirSync(journal)
      .filter(name => name.endsWith('.segment'))
      .sort()
      .at(-1)!,
  );
  const bytes = readFileSync(newest);
  const end = bytes.findLastIndex(byte => byte !== 0);
  for (let at = Math.max(100, end - 2_000); at < end - 1_000; at += 10) bytes[at]! ^= 0x5a;
  writeFileSync(newest, bytes);
}

/** Every shard has a leader whose followers have everything. */
const caughtUp = (cluster: ServerCluster): Promise<true> =>
  eventually('all replicas to be caught up', 60_000, async () => {
    const { nodes, shards } = await cluster.status();
    return nodes.every(({ up }) => up) && shards.every(({ lag }) => lag === 0);
  });

const countIn = (file: string, text: string): number => readFileSync(file, 'utf8').split(text).length - 1;

describe('a node that comes back after the log has gone on without it', () => {
  let cluster: ServerCluster;

  beforeAll(async () => {
    cluster = await ServerCluster.start();
  });

  afterEach(async () => {
    await Promise.allSettled(clients.map(client => client.close()));
    clients = [];
  });

  afterAll(() => cluster?.stop());

  it('is filled by a snapshot, leads, and has every confirmed message', async () => {
    const first = await open(cluster, 'warren-0');
    await (await first.createChannel()).assertQueue(QUEUE, { durable: true });
    const backlog = Array.from({ length: BACKLOG_MESSAGES }, (_, i) => backlogBody(i));
    await publish(first, backlog.slice(0, 100));
    const returning = await cluster.leaderOf(QUEUE);
    await cluster.stopNode(returning);

    const leader = await anotherLeader(cluster, returning);
    const client = await open(cluster, leader);
    await publish(client, backlog.slice(100, 200));
    await publish(client, flow());
    await settleFlow(client);
    cluster.startNode(returning);
    await eventually(
      `${returning} to be filled`,
      30_000,
      () => countIn(cluster.logFile(returning), 'installed a snapshot') > 0,
    );

    // With the leader gone the others go on; what they confirm now the old leader lacks, so it cannot lead again.
    await cluster.stopNode(leader);
    const third = cluster.nodes.find(({ name }) => name !== returning && name !== leader)!.name;
    await anotherLeader(cluster, leader);
    await publish(await open(cluster, third), backlog.slice(200));
    await cluster.stopNode(third);
    cluster.startNode(leader);
    await eventually(`${returning} to lead`, 40_000, async () => (await cluster.leaderOf(QUEUE)) === returning);

    const bodies = await takeAll(await open(cluster, returning), BACKLOG_MESSAGES);
    expect(bodies.sort()).toEqual(backlog.map(String).sort());
  }, 120_000);

  /** Undefined: it depends on what LevelDB was doing with its files. */
  const DAMAGES: readonly (readonly [what: string, isSetAside: boolean | undefined, damage: (data: string) => void])[] =
    [
      [
        'bytes of its checkpoints are damaged',
        undefined,
        data => damage(join(data, 'level'), /\.(ldb|log)$/, 1_000, 200),
      ],
      ['its MANIFEST is damaged', true, data => damage(join(data, 'level'), /^MANIFEST/, 10, 30)],
      ['its key-value store has no CURRENT', true, data => rmSync(join(data, 'level', 'CURRENT'))],
      ['its key-value store is gone', false, data => rmSync(join(data, 'level'), { recursive: true })],
      ['the newest records of its journal are damaged', false, data => damageTail(join(data, 'journal'))],
    ];

  it.each(DAMAGES)(
    'is filled by the others when %s, and does not doubt itself afterwards',
    async (_, isSetAside, doDamage) => {
      await Promise.all(cluster.nodes.filter(({ running }) => !running).map(({ name }) => cluster.startNode(name)));
      await cluster.allServing();
      const first = await open(cluster, 'warren-0');
      const channel = await first.createChannel();
      await channel.assertQueue(QUEUE, { durable: true });
      await channel.purgeQueue(QUEUE);
      const bodies = Array.from({ length: 50 }, (_one, i) => `kept ${i}`);
      await publish(
        first,
        bodies.map(body => Buffer.from(body)),
      );
      const leader = await cluster.leaderOf(QUEUE);
      const victim = cluster.nodes.find(({ name }) => name !== leader)!.name;
      await caughtUp(cluster);
      const log = cluster.logFile(victim);
      const doubted = 'a replica is damaged';
      const [doubtsBefore, asidesBefore] = [countIn(log, doubted), countIn(log, 'set aside')];
      await cluster.stopNode(victim, 'SIGTERM');
      doDamage(cluster.dataDirectory(victim));

      cluster.startNode(victim);
      await cluster.serving(victim);
      await caughtUp(cluster);
      const doubts = countIn(log, doubted);
      expect(doubts).toBeGreaterThan(doubtsBefore);
      const asides = countIn(log, 'set aside') - asidesBefore;
      if (isSetAside !== undefined) expect(asides).toBe(isSetAside ? 1 : 0);
      await cluster.stopNode(victim, 'SIGTERM');
      cluster.startNode(victim);
      await cluster.serving(victim);
      await caughtUp(cluster);
      expect(countIn(log, doubted)).toBe(doubts);

      // It votes and confirms again: with the leader gone it is needed.
      await cluster.stopNode(leader);
      await anotherLeader(cluster, leader);
      const client = await open(cluster, victim);
      await publish(client, [Buffer.from('last')]);
      expect(await takeAll(client, bodies.length + 1)).toEqual([...bodies, 'last']);
    },
    200_000,
  );

  it('refuses to start, in one sentence, when its journal is gone', async () => {
    const victim = cluster.nodes[1]!;
    if (victim.running) await cluster.stopNode(victim.name, 'SIGTERM');
    rmSync(join(cluster.dataDirectory(victim.name), 'journal'), { recursive: true });
    for (let attempt = 1; attempt <= 2; attempt++) {
      cluster.startNode(victim.name);
      await eventually(`${victim.name} to give up`, 30_000, () => {
        return countIn(cluster.logFile(victim.name), 'put the journal back, or start it with an empty data') >= attempt;
      });
    }
  }, 120_000);
});
