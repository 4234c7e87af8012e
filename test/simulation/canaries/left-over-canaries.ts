import type { Canary } from './canary.ts';

/** Work that one entry leaves to the next (R21). */
export const LEFT_OVER_CANARIES: readonly Canary[] = [
  {
    name: 'left-over-settlement-overtaken',
    breaks: 'a consumer is released before its settlements that were left over: what was settled comes again',
    file: 'src/queue/settlement.ts',
    find: 'state.pending.returns.push(work);',
    replace:
      "if (work.kind === 'release') state.pending.returns.unshift(work);\n  else state.pending.returns.push(work);",
    runsMax: 400,
  },
  {
    name: 'left-over-work-waits',
    breaks: 'nobody goes on with what was left over until a client asks for something else',
    file: 'src/queue/shard-machine.ts',
    find: 'return !this.#state.pending.isEmpty || isExpiryDue(this.#state);',
    replace: 'return isExpiryDue(this.#state);',
    runsMax: 300,
  },
  {
    name: 'left-over-work-forgotten-in-checkpoint',
    breaks: 'settlements that were left over are not part of a checkpoint',
    file: 'src/queue/restore.ts',
    find: 'for (const work of this.#pending.returns) pending.returns.push(this.#returnWork(work, bySerial));',
    replace: '',
    runsMax: 200,
  },
];
