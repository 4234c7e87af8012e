import { checkAccessCommand } from '../broker/access/access-commands.ts';
import { HASHINGS, type Hashing, NO_USER_LIMITS, NO_VHOST_LIMITS } from '../broker/access/access-records.ts';
import type { BrokerError } from '../broker/broker-error.ts';
import { checkAlternateExchange, checkNewQueue } from '../broker/declarations.ts';
import { exchangeType } from '../broker/exchange-type.ts';
import { checkNameLength, DEFAULT_EXCHANGE, RESERVED_PREFIX } from '../broker/names.ts';
import { type Definition, type DefinitionOf, itemName, SECTIONS, type Section } from './definitions.ts';
import { DefinitionFields, WrongDefinition } from './definitions-fields.ts';
import { isObject, UnfitArgument } from './json-arguments.ts';

/** Problems of one document that are told; further ones are counted. */
const PROBLEMS_MAX = 20;
/** Names that the broker makes itself. */
const GENERATED_PREFIX = 'amq.gen-';
const LIMITS_COMPONENT = 'vhost-limits';
/** Global parameters that name the cluster that wrote the document. */
const CLUSTER_PARAMETERS = ['cluster_name', 'internal_cluster_id', 'cluster_tags'];
/** What a document says about itself, and what a document of one vhost says of that. */
const REMARKS = new Set([
  'rabbit_version',
  'rabbitmq_version',
  'product_name',
  'product_version',
  'rabbitmq_definition_format',
  'original_cluster_name',
  'original_vhost_name',
  'explanation',
  'description',
  'metadata',
  'default_queue_type',
  'limits',
]);
/** Beside the argument `x-queue-type`, which decides. */
const QUEUE_TYPES = [
  'classic',
  'quorum',
  'stream',
  'undefined',
  'rabbit_classic_queue',
  'rabbit_quorum_queue',
  'rabbit_stream_queue',
];

export interface ParseOptions {
  /** Where things belong that do not say it themselves, as in a document of one vhost. */
  readonly vhost: string | undefined;
}

export type ParsedDefinitions =
  | { readonly ok: true; readonly definitions: readonly Definition[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/**
 * A definitions document of RabbitMQ 3.x or 4.x, or a part of one, taken apart in the order of `SECTIONS`. What is wrong in it is
 * found before anything is changed; what is right but not offered here is in the list, too.
 */
export function parseDefinitions(document: unknown, options: ParseOptions): ParsedDefinitions {
  if (!isObject(document)) return { ok: false, problems: ['a definitions document is a JSON object'] };
  const definitions: Definition[] = [];
  const problems: string[] = [];
  const version = document.rabbitmq_version ?? document.rabbit_version;
  const context: Context = { vhost: options.vhost, version: typeof version === 'string' ? version : '' };
  for (const section of SECTIONS) {
    const entries = document[section] ?? [];
    if (!Array.isArray(entries)) {
      problems.push(`"${section}" must be a list`);
      continue;
    }
    entries.forEach((entry: unknown, at) => {
      try {
        definitions.push(...parseEntry(section, new DefinitionFields(entry), context));
      } catch (error) {
        if (!(error instanceof WrongDefinition) && !(error instanceof UnfitArgument)) throw error;
        problems.push(`${section}[${at}]${nameIn(entry)}: ${error.message}`);
      }
    });
  }
  for (const [section, value] of Object.entries(document)) {
    if (REMARKS.has(section) || (SECTIONS as readonly string[]).includes(section) || isEmpty(value)) continue;
    definitions.push({ kind: 'unsupported', item: `section '${section}'`, why: 'it is not known here' });
  }
  if (problems.length === 0) return { ok: true, definitions };
  const more = problems.length - PROBLEMS_MAX;
  return { ok: false, problems: more > 0 ? [...problems.slice(0, PROBLEMS_MAX), `and ${more} more`] : problems };
}

interface Context {
  readonly vhost: string | undefined;
  readonly version: string;
}

function parseEntry(section: Section, fields: DefinitionFields, context: Context): readonly Definition[] {
  switch (section) {
    case 'vhosts':
      return parseVhost(fields);
    case 'users':
      return [parseUser(fields, context)];
    case 'permissions':
      return [parsePermission(fields)];
    case 'topic_permissions':
      return [parseTopicPermission(fields)];
    case 'parameters':
      return [parseParameter(fields, context)];
    case 'global_parameters':
      return [parseGlobalParameter(fields)];
    case 'policies':
      return [unsupported(`policy '${fields.text('name')}' in vhost '${fields.vhost(context.vhost)}'`, 'policies')];
    case 'exchanges':
      return [parseExchange(fields, context)];
    case 'queues':
      return [parseQueue(fields, context)];
    case 'bindings':
      return [parseBinding(fields, context)];
  }
}

const unsupported = (item: string, what: string): Definition => ({
  kind: 'unsupported',
  item,
  why: `${what} are not supported yet`,
});

function parseVhost(fields: DefinitionFields): Definition[] {
  const vhost = fields.text('name');
  const metadata = new DefinitionFields(fields.get('metadata') ?? {});
  const told = fields.get('description') ?? metadata.get('description') ?? '';
  // RabbitMQ writes the word for what nobody has said.
  const description = told === 'undefined' ? '' : told;
  if (typeof description !== 'string') throw new WrongDefinition('"description" must be a text');
  const tags = fields.get('tags') === undefined ? metadata.tags('tags') : fields.tags('tags');
  const found: Definition[] = [checkedAccess({ kind: 'vhost', vhost, description, tags })];
  const limits = fields.limits('limits', ['max-connections', 'max-queues']);
  if (limits !== undefined && limits.size > 0) found.push(vhostLimits(vhost, limits));
  const type = fields.get('default_queue_type') ?? metadata.get('default_queue_type') ?? 'undefined';
  if (!QUEUE_TYPES.includes(String(type))) {
    const item = `default queue type '${String(type)}' of vhost '${vhost}'`;
    found.push({ kind: 'unsupported', item, why: 'there are classic and quorum queues, which are one type here' });
  }
  if ((fields.get('protected_from_deletion') ?? metadata.get('protected_from_deletion')) === true) {
    found.push(unsupported(`protection of vhost '${vhost}' from deletion`, 'protected vhosts'));
  }
  if (fields.get('tracing') === true) found.push(unsupported(`tracing of vhost '${vhost}'`, 'traces'));
  return found;
}

function vhostLimits(vhost: string, limits: ReadonlyMap<string, number | undefined>): Definition {
  const connectionsMax = limits.get('max-connections');
  const queuesMax = limits.get('max-queues');
  return checkedAccess({ kind: 'vhost-limits', vhost, limits: { ...NO_VHOST_LIMITS, connectionsMax, queuesMax } });
}

function parseUser(fields: DefinitionFields, { version }: Context): Definition {
  const user = fields.text('name');
  const given = fields.limits('limits', ['max-connections', 'max-channels']);
  const limits = given && {
    ...NO_USER_LIMITS,
    connectionsMax: given.get('max-connections'),
    channelsMax: given.get('max-channels'),
  };
  const hashing = fields.get('hashing_algorithm') ?? defaultHashing(version);
  const hash = fields.get('password_hash');
  const clear = fields.get('password');
  if (hash === undefined && typeof clear === 'string' && clear !== '') {
    return checkedAccess({ kind: 'user', user, password: { clear }, tags: fields.tags('tags'), limits });
  }
  if (typeof hash !== 'string') throw new WrongDefinition('"password_hash" or "password" must be a text');
  if (!HASHINGS.includes(hashing as Hashing)) {
    const why = `passwords hashed with ${String(hashing)} cannot be checked here`;
    return { kind: 'unsupported', item: `user '${user}'`, why };
  }
  const password = hash === '' ? 'none' : { hashing: hashing as Hashing, hash };
  return checkedAccess({ kind: 'user', user, password, tags: fields.tags('tags'), limits });
}

/** Before 3.6 documents did not name the algorithm, and there was but one. */
const defaultHashing = (version: string): Hashing =>
  /^(2\.|3\.[0-5]\.)/.test(version) ? 'rabbit_password_hashing_md5' : 'rabbit_password_hashing_sha256';

function parsePermission(fields: DefinitionFields): Definition {
  const [configure, write, read] = [fields.text('configure'), fields.text('write'), fields.text('read')];
  const who = { user: fields.text('user'), vhost: fields.text('vhost') };
  return checkedAccess({ kind: 'permission', ...who, configure, write, read });
}

function parseTopicPermission(fields: DefinitionFields): Definition {
  const [exchange, write, read] = [fields.text('exchange'), fields.text('write'), fields.text('read')];
  const who = { user: fields.text('user'), vhost: fields.text('vhost') };
  return checkedAccess({ kind: 'topic-permission', ...who, exchange, write, read });
}

/** Limits of a vhost are a parameter of it; others belong to what is not here. */
function parseParameter(fields: DefinitionFields, context: Context): Definition {
  const component = fields.text('component');
  const vhost = fields.vhost(context.vhost);
  if (component === LIMITS_COMPONENT) {
    const limits = fields.limits('value', ['max-connections', 'max-queues']) ?? new Map();
    return vhostLimits(vhost, limits);
  }
  const what = component === 'operator_policy' ? 'operator policies' : `parameters of ${component}`;
  return unsupported(`parameter '${fields.text('name')}' of ${component} in vhost '${vhost}'`, what);
}

function parseGlobalParameter(fields: DefinitionFields): Definition {
  const name = fields.text('name');
  const item = `global parameter '${name}'`;
  if (!CLUSTER_PARAMETERS.includes(name)) return unsupported(item, 'global parameters');
  return { kind: 'ignored', item, why: 'it belongs to the cluster that wrote the document' };
}

function parseExchange(fields: DefinitionFields, context: Context): Definition {
  const [vhost, name, type] = [fields.vhost(context.vhost), fields.text('name'), fields.text('type')];
  const definition: DefinitionOf<'exchange'> = {
    kind: 'exchange',
    vhost,
    name,
    type,
    durable: fields.flag('durable'),
    autoDelete: fields.flag('auto_delete'),
    internal: fields.get('internal') === undefined ? false : fields.flag('internal'),
    arguments: fields.table('arguments'),
  };
  const item = itemName(definition);
  if (name === DEFAULT_EXCHANGE || name.startsWith(RESERVED_PREFIX)) {
    return { kind: 'ignored', item, why: 'exchanges of such names are in each vhost' };
  }
  const found = exchangeType(type);
  if (found === undefined) return { kind: 'unsupported', item, why: `there is no exchange type '${type}' here` };
  const error =
    checkNameLength('exchange name', name) ??
    checkAlternateExchange({ kind: 'exchange', vhost, name }, definition.arguments) ??
    found.checkExchange(definition.arguments);
  return checked(definition, error);
}

function parseQueue(fields: DefinitionFields, context: Context): Definition {
  const [vhost, name] = [fields.vhost(context.vhost), fields.text('name')];
  const definition: DefinitionOf<'queue'> = {
    kind: 'queue',
    vhost,
    name,
    durable: fields.flag('durable'),
    autoDelete: fields.flag('auto_delete'),
    arguments: fields.table('arguments'),
  };
  const item = itemName(definition);
  const type = fields.get('type') ?? 'classic';
  if (!QUEUE_TYPES.includes(String(type))) {
    return { kind: 'unsupported', item, why: `queue type '${String(type)}' is not supported` };
  }
  if (name.startsWith(RESERVED_PREFIX) && !name.startsWith(GENERATED_PREFIX)) {
    return { kind: 'unsupported', item, why: `names that begin with '${RESERVED_PREFIX}' are the broker's own` };
  }
  return checked(definition, checkNewQueue({ kind: 'queue', vhost, name }, { ...definition, exclusive: false }));
}

function parseBinding(fields: DefinitionFields, context: Context): Definition {
  const kind = fields.text('destination_type');
  if (kind !== 'queue' && kind !== 'exchange') {
    throw new WrongDefinition('"destination_type" must be queue or exchange');
  }
  const definition: DefinitionOf<'binding'> = {
    kind: 'binding',
    vhost: fields.vhost(context.vhost),
    source: fields.text('source'),
    destination: { kind, name: fields.text('destination') },
    routingKey: fields.text('routing_key'),
    arguments: fields.table('arguments'),
  };
  if (definition.source === DEFAULT_EXCHANGE) {
    return { kind: 'ignored', item: itemName(definition), why: 'the default exchange leads to every queue anyway' };
  }
  return checked(definition, checkNameLength('routing key', definition.routingKey));
}

/** What is not offered here is an entry of its own; what is wrong in itself makes the document wrong. */
function checked(definition: Definition, error: BrokerError | undefined): Definition {
  if (error === undefined) return definition;
  if (error.code === 'not-implemented') return { kind: 'unsupported', item: itemName(definition), why: error.text };
  throw new WrongDefinition('text' in error ? error.text : error.code);
}

type AccessDefinition = DefinitionOf<'vhost' | 'vhost-limits' | 'user' | 'permission' | 'topic-permission'>;

/** A pattern that the matcher refuses may well be one of RabbitMQ's. */
function checkedAccess(definition: AccessDefinition): Definition {
  const error = checkAccessCommand(commandOf(definition));
  if (error === undefined) return definition;
  const text = 'text' in error ? error.text : error.code;
  const isPattern = definition.kind === 'permission' || definition.kind === 'topic-permission';
  if (isPattern && text.includes('pattern')) return { kind: 'unsupported', item: itemName(definition), why: text };
  throw new WrongDefinition(text);
}

function commandOf(definition: AccessDefinition): Parameters<typeof checkAccessCommand>[0] {
  switch (definition.kind) {
    case 'vhost':
      return { ...definition, kind: 'put-vhost' };
    case 'vhost-limits':
      return { ...definition, kind: 'set-vhost-limits' };
    case 'user': {
      const { user, password, tags } = definition;
      const hash = typeof password === 'object' && 'clear' in password ? undefined : password;
      return { kind: 'put-user', user, mustBeNew: false, password: hash, tags };
    }
    case 'permission':
      return { ...definition, kind: 'set-permissions' };
    case 'topic-permission':
      return { ...definition, kind: 'set-topic-permissions' };
  }
}

const isEmpty = (value: unknown): boolean =>
  value === null || typeof value !== 'object' || Object.keys(value).length === 0;

const nameIn = (entry: unknown): string =>
  isObject(entry) && typeof entry.name === 'string' ? ` '${entry.name.slice(0, 100)}'` : '';
