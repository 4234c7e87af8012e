import type { FieldTable } from '../broker/field-table.ts';
import type { TopologyView } from '../broker/topology.ts';
import {
  type BindingRecord,
  destinationExchange,
  destinationQueue,
  type QueueRecord,
} from '../broker/topology-records.ts';

export interface BindingRow {
  readonly vhost: string;
  readonly source: string;
  readonly destination: string;
  readonly destinationType: 'queue' | 'exchange';
  readonly routingKey: string;
  readonly arguments: FieldTable;
  /** Undefined: the destination is an exchange. */
  readonly queue: QueueRecord | undefined;
}

const NO_ARGUMENTS: FieldTable = new Map();

/** Bindings as they are when they are reached; whoever asks may take its time. Without those of the default exchange. */
export function* bindingRows(topology: TopologyView, vhost: string | undefined): Iterable<BindingRow> {
  for (const { vhost: place, name } of topology.exchanges(vhost)) {
    for (const binding of topology.exchange(place, name)?.bindings() ?? []) {
      const row = bindingRow(topology, place, name, binding);
      if (row !== undefined) yield row;
    }
  }
}

/** Those of the default exchange, which follow from the queues. */
export function* defaultBindingRows(topology: TopologyView, vhost: string | undefined): Iterable<BindingRow> {
  for (const queue of topology.queues(vhost)) {
    const { vhost: place, name } = queue;
    const ends = { source: '', destination: name, destinationType: 'queue', routingKey: name } as const;
    yield { vhost: place, ...ends, arguments: NO_ARGUMENTS, queue };
  }
}

function bindingRow(
  topology: TopologyView,
  vhost: string,
  source: string,
  { destination, routingKey, arguments: table }: BindingRecord,
): BindingRow | undefined {
  const queueId = destinationQueue(destination);
  const queue = queueId === undefined ? undefined : topology.queueById(queueId);
  const exchange = queueId === undefined ? topology.exchangeById(destinationExchange(destination)!) : undefined;
  const name = queue?.name ?? exchange?.name;
  if (name === undefined) return undefined;
  const destinationType = queue === undefined ? 'exchange' : 'queue';
  return { vhost, source, destination: name, destinationType, routingKey, arguments: table, queue };
}
