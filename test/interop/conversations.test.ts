import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { joined, methodBytes } from '../support/amqp-client.ts';
import { RawClient, spoken } from '../support/raw-client.ts';
import { RunningCluster } from '../support/running-cluster.ts';

/**
 * Conversations with RabbitMQ 3.10.8, recorded; a cluster of three must answer to the letter. `> 1 queue.declare queue=q` is
 * what a client sends, lines that follow each other at once; `<` is what it reads; `@b` goes on with another connection,
 * `!close` ends one without a word. `$` stands for the last name that the broker made up. A closed channel or connection
 * is opened again.
 *
 * WARREN_RECORD_FROM=PORT records them anew, from the RabbitMQ at that port.
 */
const folder = join(import.meta.dirname, 'conversations');
const recordedFrom = Number(process.env.WARREN_RECORD_FROM ?? 0);
/** Nothing more is expected of a broker that has been silent for so long; only when recording. */
const SILENCE_MS = 200;
const PATIENCE_MS = 10_000;

let cluster: RunningCluster | undefined;
let ports: readonly number[] = [recordedFrom];

beforeAll(async () => {
  if (recordedFrom !== 0) return;
  cluster = await RunningCluster.start(3);
  ports = cluster.ports.map(({ amqp }) => amqp);
}, 60_000);

afterAll(() => cluster?.stop());

class Player {
  readonly #clients = new Map<string, RawClient>();
  readonly #real: string[] = [];
  #at = 'a';
  #madeUp = '';

  async play(lines: readonly string[]): Promise<string> {
    await this.#use('a');
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i]!;
      if (line.startsWith('<')) continue;
      this.#real.push(line);
      if (line.startsWith('@')) await this.#use(line.slice(1));
      else if (line === '!close') this.#end(this.#at);
      else if (line.startsWith('>')) {
        const batch = [line];
        while (lines[i + 1]?.startsWith('>')) batch.push(lines[++i]!);
        this.#real.push(...batch.slice(1));
        let expected = 0;
        while (lines[i + 1 + expected]?.startsWith('<')) expected++;
        await this.#say(batch, expected);
      }
    }
    for (const name of [...this.#clients.keys()]) this.#end(name);
    return this.#real.join('\n');
  }

  async #use(name: string): Promise<void> {
    this.#at = name;
    // Each connection to another node.
    const port = ports[(name.charCodeAt(0) - 97) % ports.length]!;
    if (!this.#clients.has(name)) this.#clients.set(name, await RawClient.open(port));
  }

  #end(name: string): void {
    this.#clients.get(name)!.end();
    this.#clients.delete(name);
  }

  async #say(batch: readonly string[], expected: number): Promise<void> {
    const frames = batch.map(line => spoken(line.slice(2).replaceAll('$', this.#madeUp)));
    this.#clients.get(this.#at)!.send(joined(...frames));
    for (let heard = 0; heard < expected || recordedFrom !== 0; ) {
      if (!this.#heard()) {
        const more = [...this.#clients.values()].map(client => client.more());
        if ((await Promise.race([...more, silence()])) === 'silent') return;
      }
      heard += await this.#take();
    }
  }

  #heard(): boolean {
    return [...this.#clients.values()].some(client => client.lines.length > 0);
  }

  async #take(): Promise<number> {
    let taken = 0;
    for (const [name, client] of [...this.#clients]) {
      for (const line of client.lines.splice(0)) {
        taken++;
        this.#madeUp = client.madeUp;
        this.#real.push(`<${name === this.#at ? '' : name} ${line}`);
        await this.#reopen(name, client, line);
      }
    }
    return taken;
  }

  async #reopen(name: string, client: RawClient, line: string): Promise<void> {
    const [, channel, method] = /^(\d+) (\S+)/.exec(line) ?? [];
    if (method === 'channel.close') {
      client.send(methodBytes(Number(channel), { name: 'channel.close-ok' }));
      await client.openChannel(Number(channel));
    } else if (method === 'connection.close') {
      client.end();
      this.#clients.delete(name);
      await this.#use(name);
    }
  }
}

const silence = (): Promise<'silent'> =>
  new Promise(resolve => {
    setTimeout(() => resolve('silent'), recordedFrom === 0 ? PATIENCE_MS : SILENCE_MS).unref();
  });

it.each(readdirSync(folder))('answers as RabbitMQ does: %s', async file => {
  const text = readFileSync(join(folder, file), 'utf8');
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  const real = await new Player().play(lines);
  if (recordedFrom === 0) expect(real).toBe(lines.join('\n'));
  else writeFileSync(join(folder, file), `${real}\n`);
});
