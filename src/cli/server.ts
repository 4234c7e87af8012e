import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { parse } from 'yaml';
import { parseConfig } from '../config.ts';
import { SystemClock } from '../lib/clock.ts';
import { createLogger } from '../logging.ts';
import { RunningNode } from '../node.ts';
import { ProcessMemory } from '../process-memory.ts';
import { complain } from './command.ts';

/** What a parent process (`warren dev`) is told over its IPC channel. */
export interface ReadyMessage {
  readonly ready: { readonly amqp: number; readonly grpc: number; readonly cluster: number };
}

const STOP_TIMEOUT_MS = 8_000;
/** Waits on a thread of its own: HTTP/2 was seen to spin in native code at the end of a process, where no timer fires. */
const WATCHDOG = `Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${STOP_TIMEOUT_MS + 2_000});
process.kill(process.pid, 'SIGKILL');`;

/** Runs one node until it is told to stop. Resolves with the exit code. */
export async function runServer(file: string | undefined): Promise<number> {
  const document = readConfigFile(file);
  if (!document.ok) return complain(document.error);
  const parsed = parseConfig(document.value, process.env);
  if (!parsed.ok) return complain(parsed.error);
  const { config } = parsed;
  const logger = createLogger(config);
  const clock = new SystemClock();

  return new Promise<number>(resolve => {
    let isRunning = false;
    let isOver = false;
    const fatal = (sentence: string): void => {
      if (isOver) return;
      isOver = true;
      if (isRunning) logger.error({}, sentence);
      resolve(complain(sentence));
    };
    const begin = async (): Promise<void> => {
      const started = await RunningNode.start(config, {
        ...{ clock, logger, fatal },
        memoryGauge: new ProcessMemory(config.memoryBytesMax),
      });
      if (!started.ok) {
        resolve(complain(started.error));
        return;
      }
      const stop = (signal: string): void => {
        logger.info({ signal }, 'stopping');
        clock.after(STOP_TIMEOUT_MS, () => resolve(0));
        new Worker(WATCHDOG, { eval: true }).unref();
        started.node.stop().then(
          () => resolve(0),
          (error: Error) => resolve(complain(`the node did not stop cleanly: ${error.message}`)),
        );
      };
      process.once('SIGTERM', stop);
      // The process that started this one is gone, and nobody could stop this one any more.
      if (process.connected) process.once('disconnect', () => stop('disconnect'));
      process.once('SIGINT', stop);
      const ready = await started.node.ready();
      if (!ready.ok) {
        resolve(complain(ready.error));
        return;
      }
      isRunning = true;
      logger.info(ready.ports, 'ready');
      process.send?.({ ready: ready.ports } satisfies ReadyMessage);
    };
    begin().catch((error: Error) => fatal(`the node could not start: ${error.stack ?? error.message}`));
  });
}

function readConfigFile(path: string | undefined): { ok: true; value: unknown } | { ok: false; error: string } {
  if (path === undefined) return { ok: true, value: undefined };
  try {
    return { ok: true, value: parse(readFileSync(path, 'utf8')) };
  } catch (error) {
    return {
      ok: false,
      error: `the configuration file ${path} cannot be read: ${(error as Error).message.split('\n')[0]}`,
    };
  }
}
