import type { Publish } from '../../broker/broker.ts';
import type { FieldTable } from '../../broker/field-table.ts';
import type { HashedProperty } from '../../broker/route-collector.ts';
import { decodeProperties } from './properties.ts';

const NOTHING: Uint8Array = new Uint8Array(0);
const NO_KEYS: readonly string[] = [];

/** What is handed to the broker. A channel has one and fills it anew for each message; a transaction keeps copies. */
export class PublishView implements Publish {
  exchange = '';
  routingKey = '';
  moreRoutingKeys = NO_KEYS;
  properties = NOTHING;
  readonly body: readonly Uint8Array[];
  bodyBytes = 0;
  expirationMs: number | undefined = undefined;
  sequence = 0;
  readonly headers = (): FieldTable | undefined => decodeProperties(this.properties)?.headers;
  readonly property = (name: HashedProperty): string | undefined => {
    const properties = decodeProperties(this.properties);
    if (name === 'correlation_id') return properties?.correlationId;
    return name === 'message_id' ? properties?.messageId : properties?.timestamp?.toString();
  };

  constructor(body: readonly Uint8Array[]) {
    this.body = body;
  }

  /** Refers to no memory of frames. */
  copy(): PublishView {
    const copy = new PublishView(this.body.map(part => part.slice()));
    copy.exchange = this.exchange;
    copy.routingKey = this.routingKey;
    copy.moreRoutingKeys = this.moreRoutingKeys;
    copy.properties = this.properties.slice();
    copy.bodyBytes = this.bodyBytes;
    copy.expirationMs = this.expirationMs;
    return copy;
  }

  release(): void {
    this.properties = NOTHING;
    this.moreRoutingKeys = NO_KEYS;
  }
}
