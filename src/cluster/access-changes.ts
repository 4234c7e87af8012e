import type { AccessCommand } from '../broker/access/access-commands.ts';
import type { AccessView } from '../broker/access/access-control.ts';
import type { Result } from '../broker/broker.ts';
import type { TopologyView } from '../broker/topology.ts';

export interface AccessChangesOptions {
  /** How long the removal of a vhost may make no progress before whoever asked for it is told so. */
  readonly timeoutMs: number;
}

export interface AccessChangesDependencies {
  /** Group 0's answer. */
  readonly change: (command: AccessCommand) => Promise<Result<void>>;
  readonly access: AccessView;
  readonly topology: TopologyView;
  readonly monotonicMs: () => number;
}

interface Waiting {
  readonly vhost: string;
  readonly resolve: (isGone: boolean) => void;
  queues: number;
  progressMs: number;
}

/** Deletes vhosts for those who wait until everything in them is gone. */
export class AccessChanges {
  readonly #options: AccessChangesOptions;
  readonly #deps: AccessChangesDependencies;
  #waiting: Waiting[] = [];

  constructor(options: AccessChangesOptions, deps: AccessChangesDependencies) {
    this.#options = options;
    this.#deps = deps;
  }

  async deleteVhost(vhost: string): Promise<Result<void>> {
    const begun = await this.#deps.change({ kind: 'delete-vhost', vhost });
    if (!begun.ok) return begun;
    const isGone = await this.#untilGone(vhost);
    if (!isGone) {
      const text = `vhost '${vhost}' is still being deleted; no majority of the cluster answered in time`;
      return { ok: false, error: { code: 'unavailable', text } };
    }
    // The answer to this comes when every node that may route has applied it, and so the removal before it (R2).
    return this.#deps.change({ kind: 'continue-vhost-removal', vhost });
  }

  tick(): void {
    if (this.#waiting.length > 0) this.#waiting = this.#waiting.filter(waiting => !this.#isOver(waiting));
  }

  end(): void {
    for (const { resolve } of this.#waiting) resolve(false);
    this.#waiting = [];
  }

  #untilGone(vhost: string): Promise<boolean> {
    return new Promise(resolve => {
      const waiting = { vhost, resolve, queues: -1, progressMs: this.#deps.monotonicMs() };
      if (!this.#isOver(waiting)) this.#waiting.push(waiting);
    });
  }

  #isOver(waiting: Waiting): boolean {
    const { access, topology, monotonicMs } = this.#deps;
    const isGone = access.vhost(waiting.vhost) === undefined;
    const queues = topology.queueCountIn(waiting.vhost);
    if (queues !== waiting.queues) {
      waiting.queues = queues;
      waiting.progressMs = monotonicMs();
    }
    const isLate = monotonicMs() > waiting.progressMs + this.#options.timeoutMs;
    if (isGone || isLate) waiting.resolve(isGone);
    return isGone || isLate;
  }
}
