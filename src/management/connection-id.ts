import type { ConnectionOwner } from '../broker/topology-records.ts';
import { incarnation, nodeId } from '../lib/ids.ts';

/** How operators name a connection: its node, the start of that node, and its number, with dots between them. */
export const connectionId = ({ node, incarnation: start, connection }: ConnectionOwner): string =>
  `${node}.${start}.${connection}`;

export function parseConnectionId(text: string): ConnectionOwner | undefined {
  const parts = /^(\d{1,9})\.(\d{1,9})\.(\d{1,15})$/.exec(text)?.slice(1).map(Number);
  if (parts === undefined) return undefined;
  const [node, start, connection] = parts as [number, number, number];
  return { node: nodeId(node), incarnation: incarnation(start), connection };
}
