import { type Logger as Pino, pino, stdTimeFunctions } from 'pino';
import pretty from 'pino-pretty';
import type { Config } from './config.ts';
import type { Logger } from './lib/logger.ts';

/** A logger that makes one child per component. */
export interface RootLogger extends Logger {
  child(bindings: { readonly component: string }): Logger;
}

/** Logs go to standard error: JSON lines, or readable text on a terminal. */
export function createLogger(config: Pick<Config, 'log' | 'nodeName'>): RootLogger {
  const { level, format } = config.log;
  const isText = format === 'text' || (format === 'auto' && process.stderr.isTTY);
  const options = { level, base: { node: config.nodeName }, timestamp: stdTimeFunctions.isoTime };
  const logger: Pino = isText
    ? pino(
        options,
        pretty({ destination: 2, sync: true, ignore: 'node,component', messageFormat: '{node} {component}: {msg}' }),
      )
    : pino(options, pino.destination({ dest: 2, sync: true }));
  return logger;
}
