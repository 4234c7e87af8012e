import type { Patch, Program } from '../bundle.ts';

/** One rule of the design, broken on purpose by a change of the source. The simulator must notice. */
export interface Canary extends Patch {
  readonly name: string;
  /** What the broken build does. */
  readonly breaks: string;
  /** Changes of other places that belong to it. */
  readonly also?: readonly Patch[];
  /** Within so many runs it is found. */
  readonly runsMax: number;
}

/** A canary and the simulation that has to notice it. */
export interface Quarry extends Canary {
  readonly program: Program;
}
