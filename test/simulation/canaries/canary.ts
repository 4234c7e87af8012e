/** One rule of the design, broken on purpose by a change of the source. The simulator must notice. */
export interface Canary {
  readonly name: string;
  /** What the broken build does. */
  readonly breaks: string;
  /** Path from the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Within so many runs it is found. */
  readonly runsMax: number;
}
