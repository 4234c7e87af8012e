import { expect, it } from 'vitest';
import { SeededRandom } from '../../src/lib/random.ts';
import { ShellCluster } from './shell-cluster.ts';
import { Auditor, Publisher, Subscriber } from './workload.ts';

const RUNS = Number(process.env.SHELL_RUNS ?? 40);
const FIRST_SEED = Number(process.env.SHELL_SEED ?? 1);
const QUEUES = ['a', 'b', 'c', 'd'];

/** One schedule of faults under load; then everything heals, and what was promised must be there. */
async function run(seed: number): Promise<{ confirmed: number }> {
  const random = new SeededRandom(seed).fork('schedule');
  const cluster = await ShellCluster.formed({ seed });
  const { world, network, names } = cluster;
  const auditor = new Auditor();
  const declaring = await cluster.client('node-0');
  for (const queue of QUEUES) await declaring.declare(queue);
  const publishers = [0, 1, 2].map(i => new Publisher(`p${i}`, QUEUES, cluster, auditor, random.fork(`publisher${i}`)));
  const subscribers = QUEUES.map((queue, i) => new Subscriber(queue, cluster, auditor, random.fork(`subscriber${i}`)));
  let isOver = false;
  const work = (): void => {
    if (isOver) return;
    for (const worker of [...publishers, ...subscribers]) worker.step();
    world.schedule(20, work);
  };
  world.schedule(0, work);

  const pair = (): [string, string] => {
    const a = random.integer(0, names.length - 1);
    return [names[a]!, names[(a + random.integer(1, names.length - 1)) % names.length]!];
  };
  const nodeOf = () => cluster.node(names[random.integer(0, names.length - 1)]!);
  const faults: (() => void)[] = [
    () => {
      const node = nodeOf();
      if (!node.life.isOver && cluster.running().length === 3) cluster.kill(node.name);
    },
    () => {
      const node = nodeOf();
      if (node.life.isOver) cluster.start(node.name);
    },
    () => network.cut(...pair(), random.integer(0, 4_000)),
    () => network.heal(...pair()),
    () => cluster.healAll(),
    () => network.reset(...pair()),
    () => {
      const node = nodeOf();
      if (node.life.isOver || node.life.isPaused) return;
      world.pause(node.life);
      world.schedule(random.integer(50, 12_000), () => world.resume(node.life));
    },
    () => {
      network.delayMsMax = random.integer(0, 3) ** 4;
    },
    () => cluster.isolate(nodeOf().name, random.integer(0, 4_000)),
  ];
  for (let i = 0; i < 12; i++) {
    await world.run(random.integer(20, 2_500));
    faults[random.integer(0, faults.length - 1)]!();
  }

  network.delayMsMax = 1;
  cluster.healAll();
  for (const name of names) {
    const { life } = cluster.node(name);
    if (life.isPaused) world.resume(life);
    if (life.isOver) cluster.start(name);
  }
  await world.run(1_000);
  for (const publisher of publishers) publisher.isActive = false;
  for (const subscriber of subscribers) subscriber.isMoody = false;
  await cluster.allReady();
  await world.until('all publishes are answered', () => publishers.every(({ unanswered }) => unanswered === 0));
  // Consumers of a node that was silent until now keep their messages for a lease.
  await world.run(12_000);
  const counting = await cluster.client('node-0');
  for (const queue of QUEUES) {
    const shard = cluster.homeOf(queue);
    const { machine } = cluster.leaderOf(shard)!.cluster!.replicas.shard(shard)!;
    const left = machine.overview().queues.find(({ name }) => name === queue);
    expect({ queue, ready: left?.ready ?? 0, unacked: left?.unacked ?? 0 }).toEqual({ queue, ready: 0, unacked: 0 });
    expect(await counting.count(queue)).toBe(0);
  }
  isOver = true;
  auditor.finish();
  expect(auditor.violations).toEqual([]);
  return { confirmed: auditor.confirmed };
}

it(`keeps its promises under ${RUNS} schedules of faults`, async () => {
  let confirmed = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
    try {
      confirmed += (await run(seed)).confirmed;
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
  }
  expect(confirmed).toBeGreaterThan(RUNS * 50);
}, 600_000);
