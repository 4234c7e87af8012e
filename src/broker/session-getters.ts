import type { ConsumerId } from '../lib/ids.ts';
import { writeGet } from '../queue/commands.ts';
import { NO_OFFSET } from '../queue/effects.ts';
import type { ConsumerHandle, GetResult, SettleHow } from './broker.ts';
import { SETTLEMENTS } from './consumer.ts';
import type { ClusterGateway, ConsumerReceiver, Decision, HomeStream } from './gateway.ts';
import { isQuorumQueue } from './queue-arguments.ts';
import { queueConfig } from './session-publisher.ts';
import type { QueueRecord } from './topology-records.ts';

interface Getter {
  readonly stream: HomeStream;
  readonly consumer: ConsumerId;
}

/** A message taken with `get`: which pseudo consumer of which home holds it, under which number. */
interface Got extends Getter {
  readonly handle: ConsumerHandle;
  readonly number: number;
}

/** What a session takes without a consumer: one pseudo consumer for each queue, and the messages it holds. */
export class SessionGetters {
  readonly #gateway: Pick<ClusterGateway, 'nextConsumerId' | 'topology'>;
  readonly #byQueue = new Map<QueueRecord, Getter>();
  readonly #got = new Map<number, Got>();
  #lastNumber = 0;

  constructor(gateway: Pick<ClusterGateway, 'nextConsumerId' | 'topology'>) {
    this.#gateway = gateway;
  }

  get unsettled(): number {
    return this.#got.size;
  }

  /** The home's decision when it is neither a message nor that there is none. */
  async take(
    stream: HomeStream,
    queue: QueueRecord,
    request: { readonly autoAck: boolean; readonly consumer: ConsumerHandle },
  ): Promise<GetResult | Decision> {
    let getter = this.#byQueue.get(queue);
    if (getter === undefined) {
      getter = { stream, consumer: this.#gateway.nextConsumerId() };
      this.#byQueue.set(queue, getter);
    }
    const { consumer } = getter;
    let taken = await takeOne(stream, queue, consumer);
    // It was found too old to be told of the queue by it, which is mended by the second try, unless what it missed is the deletion.
    if (taken.outcome?.kind === 'stale-topology') {
      if (this.#gateway.topology.isRemoved(queue.id)) return { kind: 'no-such-queue' };
      stream.introduce(queue.id, queueConfig(queue));
      taken = await takeOne(stream, queue, consumer);
    }
    const { outcome, content, more } = taken;
    if (outcome?.kind === 'empty') return { empty: true };
    if (outcome?.kind !== 'message' || content === undefined) return outcome ?? { kind: 'no-such-queue' };
    const number = ++this.#lastNumber;
    const { deliveryCount, readyLeft, number: held } = outcome;
    // It leaves for the socket with this answer.
    if (request.autoAck) stream.settle(consumer, SETTLEMENTS.settle, [held, held]);
    else this.#got.set(number, { handle: request.consumer, stream, consumer, number: held });
    const redelivered = deliveryCount > 0;
    const isOfQuorumQueue = isQuorumQueue(queue.arguments);
    const delivery = {
      consumer: request.consumer,
      number,
      redelivered,
      deliveryCount,
      offset: NO_OFFSET,
      isOfQuorumQueue,
      content,
      more,
    };
    return { empty: false, delivery, messagesLeft: readyLeft };
  }

  settle(handle: ConsumerHandle, first: number, last: number, how: SettleHow): void {
    for (let number = first; number <= last; number++) {
      const got = this.#got.get(number);
      if (got?.handle !== handle) continue;
      this.#got.delete(number);
      got.stream.settle(got.consumer, SETTLEMENTS[how], [got.number, got.number]);
    }
  }

  /** Everything unsettled goes back to its queue. */
  release(): Promise<void>[] {
    const getters = [...this.#byQueue.values()];
    this.#byQueue.clear();
    this.#got.clear();
    return getters.map(
      ({ stream, consumer }) => new Promise<void>(resolve => stream.release(consumer, () => resolve())),
    );
  }
}

/** Asks for one message and waits for both: the decision, and the body that comes as a delivery of the pseudo consumer. */
function takeOne(
  stream: HomeStream,
  queue: QueueRecord,
  consumer: ConsumerId,
): Promise<{ outcome: Decision | undefined; content: Uint8Array | undefined; more: Uint8Array[] }> {
  return new Promise(resolve => {
    let outcome: Decision | undefined;
    let content: Uint8Array | undefined;
    let more: Uint8Array[] = [];
    const finish = (): void => {
      if (outcome?.kind === 'message' && content === undefined) return;
      if (outcome !== undefined) resolve({ outcome, content, more });
    };
    const receiver: ConsumerReceiver = {
      deliver(_number, _deliveryCount, _offset, block, parts) {
        content = block.slice();
        more = parts.map(part => part.slice());
        finish();
      },
      cancelled() {
        outcome = { kind: 'no-such-queue' };
        finish();
      },
    };
    stream.register(consumer, receiver);
    stream.request(
      out => writeGet(out, { queue: queue.id, consumer, autoSettle: false }),
      answer => {
        outcome = answer ?? { kind: 'no-such-queue' };
        finish();
      },
    );
  });
}
