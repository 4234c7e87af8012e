import type fc from 'fast-check';
import type { Cluster } from '../cluster.ts';

/** One step of a plan, as JSON. Targets are numbers taken modulo what exists when the step is done. */
export interface Action {
  readonly do: string;
  readonly [argument: string]: string | number | boolean;
}

type Arguments = Readonly<Record<string, string | number | boolean>>;

/** A kind of action. A new one is an object in a file here and a name in the list of `index.ts`. */
export interface ActionKind {
  readonly name: string;
  /** How often it is drawn, relative to the others. */
  readonly weight: number;
  /** Whether a swarm may switch it off. */
  readonly mutable: boolean;
  /** Whether it means little to a group without a leader: a patient run waits for one. */
  readonly needsLeaders: boolean;
  readonly actions: fc.Arbitrary<Action>;
  /** What stands for an argument that is younger than a kept run; by itself it is 0 or false. */
  readonly absent: Partial<Arguments>;
  perform(cluster: Cluster, action: Action): void | Promise<void>;
}

interface ActionDefinition<Args extends Arguments> {
  readonly name: string;
  readonly weight: number;
  readonly mutable?: boolean;
  readonly needsLeaders?: boolean;
  readonly arguments: fc.Arbitrary<Args>;
  readonly absent?: Partial<Args>;
  readonly perform: (cluster: Cluster, args: Args) => void | Promise<void>;
}

export function defineAction<Args extends Arguments>(definition: ActionDefinition<Args>): ActionKind {
  return {
    name: definition.name,
    weight: definition.weight,
    mutable: definition.mutable ?? true,
    needsLeaders: definition.needsLeaders ?? false,
    actions: definition.arguments.map(args => ({ do: definition.name, ...args })),
    absent: definition.absent ?? {},
    perform: (cluster, action) => definition.perform(cluster, action as unknown as Args),
  };
}
