import type { Logger } from './lib/logger.ts';

/** Why publishers on this node wait until somebody has made room. */
export interface Alarms {
  readonly nodesShortOfSpace: readonly number[];
  readonly isShortOfMemory: boolean;
}

/** What clients are told, in RabbitMQ's words; undefined without an alarm. */
export function alarmText({ nodesShortOfSpace, isShortOfMemory }: Alarms): string | undefined {
  const low = [...(nodesShortOfSpace.length > 0 ? ['disk'] : []), ...(isShortOfMemory ? ['memory'] : [])];
  return low.length > 0 ? `low on ${low.join(' & ')}` : undefined;
}

/** A line in the log for each alarm that begins or ends. */
export class AlarmLog {
  readonly #logger: Logger;
  #nodesShortOfSpace = '';
  #isShortOfMemory = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  review({ nodesShortOfSpace, isShortOfMemory }: Alarms): void {
    const nodes = nodesShortOfSpace.join(', ');
    if (nodes !== this.#nodesShortOfSpace) {
      this.#nodesShortOfSpace = nodes;
      if (nodes === '') this.#logger.info({}, 'there is room on the disks again: publishers go on');
      else this.#logger.error({ nodes: nodesShortOfSpace }, 'low on disk: publishers wait until there is room again');
    }
    if (isShortOfMemory === this.#isShortOfMemory) return;
    this.#isShortOfMemory = isShortOfMemory;
    if (isShortOfMemory) this.#logger.error({}, 'low on memory: publishers of this node wait until some is free');
    else this.#logger.info({}, 'there is free memory again: publishers go on');
  }
}
