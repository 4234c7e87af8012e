import type { PasswordHash, UserLimits, VhostLimits } from '../broker/access/access-records.ts';
import type { FieldTable } from '../broker/field-table.ts';

/** What one entry of a definitions document asks for. */
export type Definition =
  | {
      readonly kind: 'vhost';
      readonly vhost: string;
      readonly description: string;
      readonly tags: readonly string[];
    }
  | { readonly kind: 'vhost-limits'; readonly vhost: string; readonly limits: VhostLimits }
  | {
      readonly kind: 'user';
      readonly user: string;
      readonly password: PasswordHash | { readonly clear: string } | 'none';
      readonly tags: readonly string[];
      /** Undefined: the document does not say. */
      readonly limits: UserLimits | undefined;
    }
  | {
      readonly kind: 'permission';
      readonly user: string;
      readonly vhost: string;
      readonly configure: string;
      readonly write: string;
      readonly read: string;
    }
  | {
      readonly kind: 'topic-permission';
      readonly user: string;
      readonly vhost: string;
      readonly exchange: string;
      readonly write: string;
      readonly read: string;
    }
  | {
      readonly kind: 'exchange';
      readonly vhost: string;
      readonly name: string;
      readonly type: string;
      readonly durable: boolean;
      readonly autoDelete: boolean;
      readonly internal: boolean;
      readonly arguments: FieldTable;
    }
  | {
      readonly kind: 'queue';
      readonly vhost: string;
      readonly name: string;
      readonly durable: boolean;
      readonly autoDelete: boolean;
      readonly arguments: FieldTable;
    }
  | {
      readonly kind: 'binding';
      readonly vhost: string;
      readonly source: string;
      readonly destination: { readonly kind: 'queue' | 'exchange'; readonly name: string };
      readonly routingKey: string;
      readonly arguments: FieldTable;
    }
  /** Known, and not offered here (yet): never dropped without a word. */
  | { readonly kind: 'unsupported'; readonly item: string; readonly why: string }
  /** It means something only where the document comes from. */
  | { readonly kind: 'ignored'; readonly item: string; readonly why: string };

export type DefinitionOf<Kind extends Definition['kind']> = Extract<Definition, { readonly kind: Kind }>;

/**
 * What became of an entry. `updated`: it was there with other properties and has those of the document now; `differs`: it is
 * there with other properties, which cannot be changed; `dangling`: what it refers to is not there.
 */
export type ImportOutcome =
  | 'created'
  | 'updated'
  | 'existed'
  | 'differs'
  | 'unsupported'
  | 'ignored'
  | 'dangling'
  | 'failed';

export interface ImportResult {
  /** `queue 'q' in vhost '/'`. */
  readonly item: string;
  readonly outcome: ImportOutcome;
  /** Why; empty for what was created or existed. */
  readonly detail: string;
}

/** The sections of a document, in an order in which they can be imported. */
export const SECTIONS = [
  'vhosts',
  'users',
  'permissions',
  'topic_permissions',
  'parameters',
  'global_parameters',
  'policies',
  'exchanges',
  'queues',
  'bindings',
] as const;
export type Section = (typeof SECTIONS)[number];

export function itemName(definition: Definition): string {
  switch (definition.kind) {
    case 'vhost':
      return `vhost '${definition.vhost}'`;
    case 'vhost-limits':
      return `limits of vhost '${definition.vhost}'`;
    case 'user':
      return `user '${definition.user}'`;
    case 'permission':
      return `permission of user '${definition.user}' in vhost '${definition.vhost}'`;
    case 'topic-permission':
      return `topic permission of user '${definition.user}' for exchange '${definition.exchange}' in vhost '${definition.vhost}'`;
    case 'exchange':
    case 'queue':
      return `${definition.kind} '${definition.name}' in vhost '${definition.vhost}'`;
    case 'binding': {
      const { source, destination, routingKey, vhost } = definition;
      return `binding of exchange '${source}' to ${destination.kind} '${destination.name}' with key '${routingKey}' in vhost '${vhost}'`;
    }
    case 'unsupported':
    case 'ignored':
      return definition.item;
  }
}
