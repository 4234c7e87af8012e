import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { type Delivery as BrokerDelivery, NO_OFFSET } from '../../broker/broker.ts';
import { ConsumeResponseSchema, DeliveriesSchema, DeliverySchema } from '../../gen/warren/v1/broker_pb.ts';
import type { PropertyMapping } from './property-mapping.ts';

/** Field numbers for the envelope around deliveries that are encoded already. */
const RESPONSE_FIELD = ConsumeResponseSchema.field.deliveries.number;
const DELIVERY_FIELD = DeliveriesSchema.field.deliveries.number;

/** A response grows no further; a larger message has one of its own. */
const RESPONSE_BYTES_MAX = 256 * 1024;

/** Gathers deliveries as encoded responses: what the broker hands over is valid during the call only. */
export class DeliveryBatch {
  readonly #mapping: PropertyMapping;
  #deliveries: Uint8Array[] = [];
  #bytes = 0;
  #full: Buffer[] = [];

  constructor(mapping: PropertyMapping) {
    this.#mapping = mapping;
  }

  get isEmpty(): boolean {
    return this.#deliveries.length === 0 && this.#full.length === 0;
  }

  add(delivery: BrokerDelivery): void {
    const message = create(DeliverySchema);
    message.number = BigInt(delivery.number);
    message.message = this.#mapping.toMessage(delivery.content, delivery.more);
    message.redelivered = delivery.redelivered;
    message.deliveryCount = delivery.deliveryCount;
    if (delivery.offset !== NO_OFFSET) message.streamOffset = BigInt(delivery.offset);
    const bytes = toBinary(DeliverySchema, message);
    if (this.#bytes > 0 && this.#bytes + bytes.length > RESPONSE_BYTES_MAX) this.#close();
    this.#deliveries.push(bytes);
    this.#bytes += bytes.length;
  }

  /** Encoded `ConsumeResponse`s with everything added so far. */
  take(): readonly Buffer[] {
    if (this.#deliveries.length > 0) this.#close();
    const full = this.#full;
    this.#full = [];
    return full;
  }

  #close(): void {
    const writer = new BinaryWriter().tag(RESPONSE_FIELD, WireType.LengthDelimited).fork();
    for (const delivery of this.#deliveries) writer.tag(DELIVERY_FIELD, WireType.LengthDelimited).bytes(delivery);
    const { buffer, byteOffset, byteLength } = writer.join().finish();
    this.#full.push(Buffer.from(buffer, byteOffset, byteLength));
    this.#deliveries = [];
    this.#bytes = 0;
  }
}
