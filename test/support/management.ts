import { ClusterAccessAdministration } from '../../src/broker/access/administration.ts';
import type { BrokerSession } from '../../src/broker/broker.ts';
import type { ClientList, ClientPage, ClientRows } from '../../src/broker/client-listing.ts';
import { type ClusterView, Management } from '../../src/management/management.ts';
import { SystemPasswordHasher } from '../../src/password-hasher.ts';
import { LocalGateway } from './local-gateway.ts';

export interface LocalManagement {
  readonly gateway: LocalGateway;
  readonly management: Management;
  /** Connections that were asked to be closed. */
  readonly closed: string[];
}

/** What operators see of a node that is alone, without clients unless `rows` has some. */
export function localManagement(
  rows: { readonly [List in ClientList]?: readonly ClientPage<List>[] } = {},
): LocalManagement {
  const gateway = new LocalGateway();
  const closed: string[] = [];
  const cluster: ClusterView = {
    nodeName: node => (node === gateway.self.node ? 'warren-0' : undefined),
    async *clients<List extends ClientList>(list: List) {
      for (const page of rows[list] ?? []) {
        yield { rows: page.rows as readonly ClientRows[List][], silentNode: undefined };
      }
    },
    queueCounts: async ids =>
      new Map(ids.map(id => [id, { node: gateway.self.node, ready: 1, unacked: 2, consumers: 3, bytes: 4 }] as const)),
    singleActive: async () => new Map(),
    closeConnection: async (owner, reason) => {
      closed.push(`${owner.connection}: ${reason}`);
      return owner.connection === 1 ? 'closed' : 'unknown';
    },
  };
  const management = new Management({
    administration: new ClusterAccessAdministration(gateway, new SystemPasswordHasher()),
    gateway,
    cluster,
    openSession: () => {
      throw new Error('no session here') as never as BrokerSession;
    },
    nextTurn: () => new Promise(resolve => setImmediate(resolve)),
    clusterName: 'test',
    version: '0.1.0',
  });
  return { gateway, management, closed };
}

export async function joined<Row>(pages: AsyncIterable<readonly Row[]>): Promise<Row[]> {
  const rows: Row[] = [];
  for await (const page of pages) rows.push(...page);
  return rows;
}

export async function exported(management: Management, vhost?: string): Promise<Record<string, unknown[]>> {
  let text = '';
  for await (const piece of management.exportDefinitions(vhost)) text += piece;
  return JSON.parse(text) as Record<string, unknown[]>;
}
