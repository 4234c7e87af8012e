/**
 * The shard machine alone, on one core: decode, enqueue, hand out, settle. Payloads are prepared beforehand, as a leader
 * would have received them; the time is that of `apply`. Prints a table and, as the last line, JSON: `npm run bench:queue-machine`.
 */
import { ByteWriter } from '../src/lib/bytes.ts';
import { consumerId, incarnation, nodeId, queueId } from '../src/lib/ids.ts';
import { writeConsume, writeCredit, writeEnqueue, writeEnsureQueue, writeSettle } from '../src/queue/commands.ts';
import { writeBatch, writePayloadHeader } from '../src/queue/entry-codec.ts';
import { ShardMachine } from '../src/queue/shard-machine.ts';

const NODE = nodeId(1);
const STARTED = incarnation(1);
const MESSAGES = 1_000_000;
const ROUNDS = 3;

class Driver {
  readonly machine = new ShardMachine();
  readonly #payload = new ByteWriter();
  readonly commands = new ByteWriter();
  commandCount = 0;
  #sequence = 1;
  #index = 0;

  /** The commands written so far, as the payload of one entry. */
  payload(): Uint8Array {
    this.#payload.reset();
    writePayloadHeader(this.#payload, 0);
    const header = { node: NODE, incarnation: STARTED, seenThrough: this.#sequence - 1, topologyIndex: 1 };
    const { commandCount } = this;
    writeBatch(this.#payload, { ...header, firstSequence: this.#sequence, commandCount }, this.commands.view());
    this.#sequence += commandCount;
    this.commandCount = 0;
    this.commands.reset();
    return this.#payload.finish();
  }

  apply(payload: Uint8Array) {
    return this.machine.apply({ index: ++this.#index, term: 1 }, payload);
  }
}

interface Scenario {
  readonly name: string;
  readonly batch: number;
  readonly bodyBytes: number;
  readonly queues: number;
  /** Messages that wait in each queue all the time. */
  readonly backlog: number;
  readonly consumers: number;
}

const SCENARIOS: readonly Scenario[] = [
  { name: '1 queue, batches of 100', batch: 100, bodyBytes: 100, queues: 1, backlog: 0, consumers: 1 },
  { name: '1 queue, batches of 1000', batch: 1_000, bodyBytes: 100, queues: 1, backlog: 0, consumers: 1 },
  { name: '1 queue, backlog of 1 million', batch: 100, bodyBytes: 100, queues: 1, backlog: 1_000_000, consumers: 1 },
  { name: '1 queue, 10 consumers', batch: 100, bodyBytes: 100, queues: 1, backlog: 0, consumers: 10 },
  { name: '100 queues, round-robin', batch: 100, bodyBytes: 100, queues: 100, backlog: 0, consumers: 1 },
];

function prepare(scenario: Scenario): Driver {
  const driver = new Driver();
  for (let queue = 1; queue <= scenario.queues; queue++) {
    const config = { vhost: '/', name: `queue-${queue}`, autoDelete: false, exclusive: false, singleActive: false };
    writeEnsureQueue(driver.commands, queueId(queue), config);
    driver.commandCount++;
  }
  driver.apply(driver.payload());
  for (let i = 0; i < scenario.backlog * scenario.queues; i++) {
    enqueue(driver, scenario, i);
    if (driver.commandCount === 1_000) driver.apply(driver.payload());
  }
  for (let id = 1; id <= scenario.queues * scenario.consumers; id++) {
    writeConsume(driver.commands, {
      consumer: consumerId(id),
      queue: queueId(1 + ((id - 1) % scenario.queues)),
      tag: '',
      exclusive: false,
      priority: 0,
      prefetch: 0,
      deliverThrough: scenario.backlog > 0 ? 0 : 2 ** 40,
      bytesThrough: 2 ** 50,
    });
    driver.commandCount++;
  }
  driver.apply(driver.payload());
  return driver;
}

const fields = (bodyBytes: number) => ({
  exchange: new Uint8Array(0),
  routingKey: new Uint8Array(8),
  properties: new Uint8Array(4),
  body: [new Uint8Array(bodyBytes)],
});

function enqueue(driver: Driver, scenario: Scenario, i: number): void {
  writeEnqueue(driver.commands, [queueId(1 + (i % scenario.queues))], fields(scenario.bodyBytes));
  driver.commandCount++;
}

/** Nanoseconds per message of `apply` alone. */
function measure(scenario: Scenario): number {
  const driver = prepare(scenario);
  const { batch } = scenario;
  const held = new Map<number, [number, number]>();
  let applyNs = 0n;
  for (let sent = 0; sent < MESSAGES; sent += batch) {
    for (const [consumer, [first, last]] of held) {
      writeSettle(driver.commands, 0, consumerId(consumer), [first, last]);
      driver.commandCount++;
    }
    held.clear();
    for (let i = 0; i < batch; i++) enqueue(driver, scenario, i);
    if (scenario.backlog > 0) {
      const deliverThrough = sent + batch;
      writeCredit(driver.commands, { consumer: consumerId(1), prefetch: 0, deliverThrough, bytesThrough: 2 ** 50 });
      driver.commandCount++;
    }
    const payload = driver.payload();
    const start = process.hrtime.bigint();
    const { deliveries } = driver.apply(payload);
    applyNs += process.hrtime.bigint() - start;
    for (let i = 0; i < deliveries.length; i++) {
      const id = deliveries.consumers[i]!.consumer;
      const number = deliveries.numbers[i]!;
      const range = held.get(id);
      if (range) range[1] = number;
      else held.set(id, [number, number]);
    }
  }
  return Number(applyNs) / MESSAGES;
}

const results: { readonly name: string; readonly nsPerMessage: number }[] = [];
for (const scenario of SCENARIOS) {
  const runs = Array.from({ length: ROUNDS }, () => measure(scenario)).sort((a, b) => a - b);
  const nsPerMessage = Math.round(runs[ROUNDS >> 1]!);
  results.push({ name: scenario.name, nsPerMessage });
  console.log(`${scenario.name.padEnd(32)} ${String(nsPerMessage).padStart(6)} ns per message`);
}
console.log(JSON.stringify({ bench: 'queue-machine', node: process.version, messages: MESSAGES, results }));
