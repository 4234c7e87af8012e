import { type AdminInput, CONNECTION_FLAGS, withAdmin } from './admin-client.ts';
import type { FlagSpec, Positional } from './arguments.ts';
import { type Command, complain, EXIT_OK } from './command.ts';

export type AccessChange = NonNullable<AdminInput<'changeAccess'>['change']>;

export interface ChangeSpec {
  readonly name: string;
  readonly positionals: readonly Positional[];
  readonly flags?: readonly FlagSpec[];
  readonly help: string;
  readonly details?: string;
  /** The change, or a sentence that says what is wrong with the command line. */
  readonly change: (positionals: readonly string[], flags: ReadonlyMap<string, string>) => AccessChange | string;
}

/** A command that changes users, virtual hosts, permissions or limits, and says nothing when it is done. */
export function changeCommand({ name, positionals, flags = [], help, details, change }: ChangeSpec): Command {
  return {
    name,
    positionals,
    flags: [...flags, ...CONNECTION_FLAGS],
    help,
    ...(details === undefined ? {} : { details }),
    run: async given => {
      const wanted = change(given.positionals, given.flags);
      if (typeof wanted === 'string') return complain(wanted);
      return withAdmin(given.flags, async client => {
        await client.call('changeAccess', { change: wanted });
        return EXIT_OK;
      });
    },
  };
}
